"""The book of requests: every act that is known, found by request, content and transaction.

Whatever the order in which acts are added, the book says the same: which request act opened a request follows from
where the acts stand in their feeds, not from when they were read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.approvals.signatures import NOT_AUTHORISED
from walletwatch.domain.people import People
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Request

REQUESTER = "requester"
"""The role that may ask for payments."""
OPERATOR = "operator"
"""The role that broadcasts what was approved."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A second request with the same id and other content: `stands` counts, `other` does not (`content_mismatch`)."""

    request_id: str
    stands: Act
    other: Act


class Requests(Protocol):
    """What matching asks. Every answer is oldest first (by `at` of the request act, then id). `RequestBook` answers
    from memory; a store may answer from its tables.
    """

    def get(self, request_id: str) -> Request | None:
        """The request with this id."""

    def fitting(self, asset: AssetId, destination: Address, amount: int, *, retired: bool = False) -> Iterable[Request]:
        """Requests with exactly this content: open ones, or retired ones."""

    def paying(self, asset: AssetId, destination: Address) -> Iterable[Request]:
        """Open requests that pay `destination` any amount."""

    def worth(self, asset: AssetId, amount: int) -> Iterable[Request]:
        """Open requests that pay anybody `amount` base units."""

    def broadcast_as(self, txid: TxId) -> Iterable[Request]:
        """Requests with a broadcast act that names `txid`."""


_Age = tuple[datetime, str]
"""When the request was made, and its id: the order in which equal requests are paid."""


class _Shelf:
    """Requests in one state by content. A bucket is a sorted list; most hold one request."""

    __slots__ = ("by_amount", "by_destination")

    def __init__(self) -> None:
        self.by_destination: dict[tuple[AssetId, bytes], list[_Age]] = {}
        self.by_amount: dict[tuple[AssetId, int], list[_Age]] = {}

    def put(self, intent: Intent, age: _Age) -> None:
        insort(self.by_destination.setdefault((intent.asset, intent.destination.key), []), age)
        insort(self.by_amount.setdefault((intent.asset, intent.amount), []), age)

    def take(self, intent: Intent, age: _Age) -> None:
        by_destination = self.by_destination[intent.asset, intent.destination.key]
        by_amount = self.by_amount[intent.asset, intent.amount]
        for bucket in (by_destination, by_amount):
            del bucket[bisect_left(bucket, age)]
        if not by_destination:
            del self.by_destination[intent.asset, intent.destination.key]
        if not by_amount:
            del self.by_amount[intent.asset, intent.amount]

    def narrowest(self, asset: AssetId, key: bytes, amount: int) -> list[_Age]:
        by_destination = self.by_destination.get((asset, key), [])
        by_amount = self.by_amount.get((asset, amount), [])
        return min(by_destination, by_amount, key=len)


class _Entry:
    """All that is known under one request id."""

    __slots__ = ("acts", "built", "retired", "stands")

    def __init__(self) -> None:
        self.acts: dict[tuple[bytes, str, str], Act] = {}
        """By payload digest, key id and reason of refusal: a forged copy never hides the good act."""
        self.stands: Act | None = None
        self.built: Request | None = None
        self.retired = False


class RequestBook:
    """`Requests` in memory. Not thread-safe: one owner, or one lock around it."""

    def __init__(self, people: People, acts: Iterable[Act] = ()) -> None:
        self._people = people
        self._entries: dict[str, _Entry] = {}
        self._open = _Shelf()
        self._retired = _Shelf()
        self._by_txid: dict[TxId, set[str]] = {}
        self._by_payee: dict[tuple[ChainId, bytes], set[str]] = {}
        for act in acts:
            self.add(act)

    def __len__(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.stands is not None)

    def add(self, act: Act) -> bool:
        """Take in one act. False for an exact duplicate; of two, the one with the lower place in its feed is kept."""
        act = _hold_to_role(act, self._people)
        entry = self._entries.setdefault(act.request_id, _Entry())
        key = (act.digest, act.kid, act.refused)
        known = entry.acts.get(key)
        if known is not None and _line_order(known) <= _line_order(act):
            return False
        entry.acts[key] = act
        entry.built = None
        if act.kind is ActKind.REQUEST:
            self._choose(entry)
        elif act.kind is ActKind.BROADCAST and act.txid is not None and not act.refused:
            self._by_txid.setdefault(act.txid, set()).add(act.request_id)
        return known is None

    def _choose(self, entry: _Entry) -> None:
        """Find the act that opens the request anew and index its content."""
        shelf = self._retired if entry.retired else self._open
        before, entry.stands = entry.stands, first_request(entry.acts.values(), self._people)
        if before is entry.stands:
            return
        if before is not None and before.intent is not None:
            shelf.take(before.intent, (before.at, before.request_id))
            self._by_payee[_payee(before.intent)].discard(before.request_id)
        if entry.stands is not None and entry.stands.intent is not None:
            shelf.put(entry.stands.intent, (entry.stands.at, entry.stands.request_id))
            self._by_payee.setdefault(_payee(entry.stands.intent), set()).add(entry.stands.request_id)

    def retire(self, request_id: str) -> None:
        """Move a request whose payment is final out of the open ones, so that matching no longer passes over it."""
        self._move(request_id, retired=True)

    def reopen(self, request_id: str) -> None:
        """Undo `retire`."""
        self._move(request_id, retired=False)

    def _move(self, request_id: str, *, retired: bool) -> None:
        entry = self._entries.get(request_id)
        if entry is None or entry.retired == retired:
            return
        entry.retired = retired
        if entry.stands is not None and entry.stands.intent is not None:
            age = (entry.stands.at, request_id)
            old, new = (self._open, self._retired) if retired else (self._retired, self._open)
            old.take(entry.stands.intent, age)
            new.put(entry.stands.intent, age)

    def get(self, request_id: str) -> Request | None:
        """The request with this id; None if it is unknown or nobody entitled to has asked for it."""
        entry = self._entries.get(request_id)
        if entry is None or entry.stands is None or entry.stands.intent is None:
            return None
        if entry.built is None:
            acts = tuple(sorted(entry.acts.values(), key=act_order))
            entry.built = Request(request_id, entry.stands.intent, entry.stands, acts)
        return entry.built

    def fitting(self, asset: AssetId, destination: Address, amount: int, *, retired: bool = False) -> Iterator[Request]:
        """Requests with exactly this content, oldest first."""
        shelf = self._retired if retired else self._open
        for request in self._read(shelf.narrowest(asset, destination.key, amount)):
            if request.intent.amount == amount and request.intent.destination == destination:
                yield request

    def paying(self, asset: AssetId, destination: Address) -> Iterator[Request]:
        """Open requests that pay `destination`, oldest first."""
        return self._read(self._open.by_destination.get((asset, destination.key), []))

    def worth(self, asset: AssetId, amount: int) -> Iterator[Request]:
        """Open requests of `amount` base units, oldest first."""
        return self._read(self._open.by_amount.get((asset, amount), []))

    def broadcast_as(self, txid: TxId) -> Iterator[Request]:
        """Requests with a broadcast act that names `txid`, oldest first."""
        known = [r for r in map(self.get, self._by_txid.get(txid, ())) if r is not None]
        return iter(sorted(known, key=request_age))

    def naming(self, chain: ChainId, destination: Address) -> Iterator[Request]:
        """Every request that names `destination`, open or retired, of any asset of `chain`, oldest first."""
        known = [r for r in map(self.get, self._by_payee.get((chain, destination.key), ())) if r is not None]
        return iter(sorted(known, key=request_age))

    def _read(self, bucket: Iterable[_Age]) -> Iterator[Request]:
        return (request for request in (self.get(request_id) for _, request_id in bucket) if request is not None)

    def __iter__(self) -> Iterator[Request]:
        return (request for request in map(self.get, self._entries) if request is not None)

    def void(self, request_id: str) -> tuple[Act, ...]:
        """Request acts under this id that open nothing: badly signed, or by somebody who may not ask."""
        entry = self._entries.get(request_id)
        if entry is None:
            return ()
        acts = (a for a in entry.acts.values() if a.kind is ActKind.REQUEST and not opens(a, self._people))
        return tuple(sorted(acts, key=act_order))

    def conflicts(self, request_id: str | None = None) -> tuple[Conflict, ...]:
        """Second requests with a known id and other content: of one id, or all of them."""
        wanted = sorted(self._entries) if request_id is None else [request_id]
        entries = ((i, self._entries[i]) for i in wanted if i in self._entries)
        return tuple(conflict for i, entry in entries for conflict in self._conflicts(i, entry))

    def _conflicts(self, request_id: str, entry: _Entry) -> Iterator[Conflict]:
        stands = entry.stands
        if stands is None or stands.intent is None:
            return
        for act in sorted(entry.acts.values(), key=act_order):
            other = act.intent is not None and act.intent.hash != stands.intent.hash
            if other and opens(act, self._people):
                yield Conflict(request_id, stands, act)


def _hold_to_role(act: Act, people: People) -> Act:
    """A broadcast act counts from requesters and operators, or as a vendor's word: others could move deadlines."""
    if act.kind is not ActKind.BROADCAST or act.refused or act.vouched is not None:
        return act
    person = people.by_id(act.actor)
    if person is not None and not {REQUESTER, OPERATOR}.isdisjoint(person.roles):
        return act
    words = f"{act.actor} is neither requester nor operator, and may not say what was broadcast"
    return replace(act, refused=NOT_AUTHORISED, reason=words)


def _payee(intent: Intent) -> tuple[ChainId, bytes]:
    return intent.chain, intent.destination.key


def act_order(act: Act) -> tuple[datetime, bytes, str, str]:
    """By when people acted; what remains is settled by content, never by the order of reading."""
    return act.at, act.digest, act.kid, act.refused


def request_age(request: Request) -> _Age:
    """The order in which equal requests are paid: oldest first."""
    return request.requested.at, request.id


def opens(act: Act, people: People) -> bool:
    """Whether a request act makes a request: by a known key or person, with the role `requester`.

    One whose own `intent_hash` is wrong opens a request that can never be approved: the finding then names it.
    """
    person = people.by_id(act.actor)
    entitled = person is not None and REQUESTER in person.roles
    return act.kind is ActKind.REQUEST and entitled and act.refused in {"", "content_mismatch"}


def first_request(acts: Iterable[Act], people: People) -> Act | None:
    """The act that opens the request: within a feed the first line, among feeds the earliest act.

    `at` alone would let a later line take the place of an earlier one by being dated back.
    """
    opening = [act for act in acts if opens(act, people)]
    clean = [act for act in opening if not act.refused] or opening
    first: dict[str, Act] = {}
    for act in clean:
        known = first.get(act.feed)
        if known is None or (act.line, act_order(act)) < (known.line, act_order(known)):
            first[act.feed] = act
    return min(first.values(), key=lambda a: (a.at, a.feed, a.digest), default=None)


def _line_order(act: Act) -> tuple[str, int, str]:
    return act.feed, act.line, act.read_at.isoformat() if act.read_at else ""
