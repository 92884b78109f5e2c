"""Acts as read, lines that were none, our place in each feed, and which request each payment used up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from chains.model import AssetId, ChainId, TxId
from walletwatch.domain.outflows import OutflowState
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.store import tables as t
from walletwatch.store.codecs import act_from_json, act_to_json, transaction_from_json
from walletwatch.store.statements import Filter, Statement, insert_if_new, inserting_new, narrow, overwriting, upsert


@dataclass(frozen=True, slots=True)
class FeedState:
    """Where we are in a feed; `position` is the feed reader's own. `trouble` is why it cannot be read, or empty.
    `looked_at`: about when it could last be read, None where that was not kept.
    """

    feed: str
    position: dict[str, Any]
    read_at: datetime
    grew_at: datetime
    trouble: str
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """Payment `ordinal` of a transaction used up `request_id`, for its whole family of replacements."""

    chain: ChainId
    tx: TxId
    asset: AssetId
    ordinal: int
    request_id: str
    family: TxId
    amount: int | None = None
    """Base units; None where it was not kept: then it used up the whole."""


@dataclass(frozen=True, slots=True)
class KeptPolicies:
    """The approval policies as they stood from `since` on (None: since ever), in their normal form."""

    digest: str
    document: tuple[Mapping[str, Any], ...]
    since: datetime | None


_a, _x = t.allocations.c, t.transactions.c
_ADD_ACT = inserting_new(t.acts)
_FORGET_MALFORMED = Statement(
    lambda _: delete(t.malformed_lines).where(
        t.malformed_lines.c.feed == bindparam("feed"), t.malformed_lines.c.line == bindparam("line")
    )
)
_ALLOCATE = overwriting(t.allocations, ("chain", "txid", "asset", "ordinal"))
_CLEAR = Statement(
    lambda _: delete(t.allocations).where(
        _a.chain == bindparam("chain"), _a.txid == bindparam("txid"), _a.asset == bindparam("asset")
    )
)
_ALLOCATED = Statement(
    lambda _: (
        select(_a.asset, _a.ordinal, _a.request_id, _a.family, _a.amount)
        .where(_a.chain == bindparam("chain"), _a.txid == bindparam("txid"))
        .order_by(_a.asset, _a.ordinal)
    )
)
_OF_REQUEST = _a.request_id == bindparam("request_id")
_SPENT_BY = Statement(
    lambda _: (
        select(_a.txid)
        .join(t.transactions, (_x.chain == _a.chain) & (_x.txid == _a.txid))
        .where(_OF_REQUEST)
        .order_by(_x.first_seen, _a.txid)
    )
)
_PAID = Statement(lambda _: select(_a.txid, _a.amount).where(_OF_REQUEST))
_TROUBLE = Statement(lambda _: select(t.feeds.c.feed, t.feeds.c.trouble).where(t.feeds.c.trouble != ""))


class ApprovalRepository:
    """The approval side. Acts are never changed or removed."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def add_act(self, act: Act, read_at: datetime) -> bool:
        """Keep an act; False if it was kept before. A forged copy of a good act is another act, and never hides it."""
        row = {
            "feed": act.feed,
            "digest": act.digest,
            "line": act.line,
            "request_id": act.request_id,
            "kind": str(act.kind),
            "actor": act.actor,
            "kid": act.kid,
            "refused": act.refused,
            "at": act.at,
            "read_at": read_at,
            "act": act_to_json(act),
        }
        return _ADD_ACT.run(self._c, row) == 1

    def acts_after(self, act_row: int) -> Iterator[tuple[int, Act]]:
        """(row, act) of every act kept after row `act_row`, in the order of keeping."""
        query = select(t.acts.c.id, t.acts.c.act).where(t.acts.c.id > act_row).order_by(t.acts.c.id)
        for row in self._c.execute(query):
            yield row.id, act_from_json(row.act)

    def acts_of(self, request_ids: Sequence[str]) -> list[Act]:
        """Every act on these requests, by time."""
        query = select(t.acts.c.act).where(t.acts.c.request_id.in_(list(request_ids)))
        return [act_from_json(r.act) for r in self._c.execute(query.order_by(t.acts.c.at, t.acts.c.id))]

    def find_acts(self, wanted: Filter) -> Iterator[Act]:
        """Acts that fit, by time."""
        c = t.acts.c
        query = select(c.act).order_by(c.at, c.id)
        fields = [("request_id", "request_id"), ("actor", "actor"), ("action", "kind")]
        for row in self._c.execute(narrow(query, wanted, c, "at", fields)):
            yield act_from_json(row.act)

    def count_acts(self) -> int:
        """How many acts are kept."""
        return int(self._c.execute(select(func.count()).select_from(t.acts)).scalar_one())

    def add_malformed(self, feed: str, line: int, error: str, raw: bytes, now: datetime) -> bool:
        """Keep a line that is no act; False if it was kept before."""
        row = {"feed": feed, "line": line, "error": error, "raw": raw, "read_at": now}
        return insert_if_new(self._c, t.malformed_lines, row)

    def forget_malformed(self, feed: str, line: int) -> None:
        """A line that was malformed only until its time came (dated in the future) is an act now."""
        _FORGET_MALFORMED.run(self._c, {"feed": feed, "line": line})

    def malformed(self, feed: str | None = None, since: datetime | None = None) -> list[dict[str, Any]]:
        """Malformed lines `{feed, line, error, read_at}`."""
        c = t.malformed_lines.c
        query = select(c.feed, c.line, c.error, c.read_at).order_by(c.feed, c.line)
        if feed is not None:
            query = query.where(c.feed == feed)
        if since is not None:
            query = query.where(c.read_at >= since)
        return [
            {"feed": r.feed, "line": r.line, "error": r.error, "read_at": r.read_at} for r in self._c.execute(query)
        ]

    def says_the_same(self, act: Act) -> bool:
        """Whether an act is kept that differs from this one at most in its time: a vendor's export that is read again
        gives another time to what is known.
        """
        c = t.acts.c
        like = (c.feed == act.feed, c.request_id == act.request_id, c.kind == str(act.kind), c.actor == act.actor)
        known = (act_from_json(r.act) for r in self._c.execute(select(c.act).where(*like, c.refused == act.refused)))
        said = (act.kid, act.intent_hash, act.txid)
        return any((k.kid, k.intent_hash, k.txid) == said for k in known)

    def has_malformed(self, feed: str, raw: bytes) -> bool:
        """Whether this very line of the feed was kept as malformed."""
        c = t.malformed_lines.c
        query = select(c.line).where(c.feed == feed, func.length(c.raw) == len(raw), c.raw == raw).limit(1)
        return self._c.execute(query).first() is not None

    def feed(self, feed: str, *, lock: bool = False) -> FeedState | None:
        """Our place in a feed; with `lock` nobody else moves it in this transaction."""
        query = select(t.feeds).where(t.feeds.c.feed == feed)
        row = self._c.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else _feed_state(row)

    def lock_feed(self, feed: str, now: datetime) -> FeedState:
        """Our place in a feed, made if there is none, which nobody else moves in this transaction."""
        row = {"feed": feed, "position": {}, "read_at": now, "grew_at": now, "trouble": ""}
        insert_if_new(self._c, t.feeds, row)
        return self.feed(feed, lock=True) or FeedState(feed, {}, now, now, "")

    def save_feed(self, state: FeedState) -> None:
        """Move our place; in the same transaction as the acts read up to it."""
        row = {
            "feed": state.feed,
            "position": state.position,
            "read_at": state.read_at,
            "grew_at": state.grew_at,
            "trouble": state.trouble,
            "looked_at": state.looked_at,
        }
        upsert(self._c, t.feeds, row, ("feed",))

    def record_read(self, feed: str, at: datetime) -> None:
        """The feed could be read at `at`, and had nothing new."""
        self._c.execute(update(t.feeds).where(t.feeds.c.feed == feed).values(looked_at=at))

    def knows(self, act: Act) -> bool:
        """Whether this very act of this feed is kept, counted or refused."""
        c = t.acts.c
        query = select(c.id).where(c.feed == act.feed, c.digest == act.digest, c.kid == act.kid).limit(1)
        return self._c.execute(query).first() is not None

    # --- spending requests --------------------------------------------------------------------------------------------

    def allocate(self, rows: Iterable[Allocation]) -> None:
        """Note which requests a transaction used up; overwrites what was noted for the same payment."""
        for a in rows:
            row = {
                "chain": str(a.chain),
                "txid": a.tx,
                "asset": str(a.asset),
                "ordinal": a.ordinal,
                "request_id": a.request_id,
                "family": a.family,
                "amount": a.amount,
            }
            _ALLOCATE.run(self._c, row)

    def clear_allocations(self, chain: ChainId, tx: TxId, asset: AssetId) -> None:
        """Forget what a transaction used up, before it is matched again."""
        _CLEAR.run(self._c, {"chain": str(chain), "txid": tx, "asset": str(asset)})

    def spent_by(self, request_id: str, but: AbstractSet[TxId]) -> TxId | None:
        """The first transaction not in `but` that used up this request, None if none did."""
        return next((txid for (txid,) in _SPENT_BY.rows(self._c, request_id=request_id) if txid not in but), None)

    def paid_by_others(self, request_id: str, but: AbstractSet[TxId]) -> tuple[int | None, int]:
        """(base units, transactions) that paid of it, but for `but`; None if some of it is not known."""
        rows = [(txid, amount) for txid, amount in _PAID.rows(self._c, request_id=request_id) if txid not in but]
        amounts = [amount for _, amount in rows]
        return None if None in amounts else sum(amounts), len({txid for txid, _ in rows})

    def spent_ids(self, but: AbstractSet[TxId]) -> list[str]:
        """Every request that a transaction not in `but` used up."""
        c = t.allocations.c
        rows = self._c.execute(select(c.request_id, c.txid))
        return sorted({r.request_id for r in rows if r.txid not in but})

    def release(self, chain: ChainId, tx: TxId) -> list[str]:
        """Free the requests that a transaction used up, which failed, was dropped, replaced or orphaned; their ids."""
        freed = sorted({a.request_id for a in self.allocations_of(chain, tx)})
        if freed:
            self._c.execute(delete(t.allocations).where(_a.chain == str(chain), _a.txid == tx))
        return freed

    def spent_on(self, request_ids: Iterable[str]) -> list[tuple[ChainId, TxId]]:
        """The transactions that used up any of these requests."""
        c = t.allocations.c
        ids, found = list(request_ids), list[tuple[ChainId, TxId]]()
        for low in range(0, len(ids), 500):
            query = select(c.chain, c.txid).where(c.request_id.in_(ids[low : low + 500])).distinct()
            found += [(ChainId.parse(r.chain), r.txid) for r in self._c.execute(query.order_by(c.chain, c.txid))]
        return found

    def requests_after(self, act_row: int) -> Iterator[tuple[int, str]]:
        """(row, request id) of every request act kept after row `act_row`, in the order of keeping."""
        c = t.acts.c
        query = select(c.id, c.request_id).where(c.id > act_row, c.kind == str(ActKind.REQUEST)).order_by(c.id)
        for row in self._c.execute(query):
            yield row.id, row.request_id

    def standing_payments(self, request_ids: Iterable[str]) -> dict[str, datetime]:
        """When each of these requests was first paid, by a transaction that is not orphaned, replaced or dropped by our
        node unmined.
        """
        a, x = t.allocations.c, t.transactions.c
        gone = (str(OutflowState.ORPHANED), str(OutflowState.REPLACED))
        ids, found = list(request_ids), dict[str, datetime]()
        for low in range(0, len(ids), 500):
            query = (
                select(a.request_id, x.first_seen, x.state, x.chain, x.txid)
                .join(t.transactions, (x.chain == a.chain) & (x.txid == a.txid))
                .where(a.request_id.in_(ids[low : low + 500]), x.state.not_in(gone))
            )
            for row in self._c.execute(query.order_by(x.first_seen)):
                if row.state != str(OutflowState.SEEN) or not self._was_dropped(row.chain, row.txid):
                    found.setdefault(row.request_id, row.first_seen)
        return found

    def _was_dropped(self, chain: str, txid: TxId) -> bool:
        c = t.transactions.c
        facts = self._c.execute(select(c.facts).where(c.chain == chain, c.txid == txid)).scalar_one()
        outlook = transaction_from_json(facts).outlook
        return outlook is not None and outlook.gone_since is not None

    def paid_for_good(self) -> list[str]:
        """Requests whose payment is final."""
        a, x = t.allocations.c, t.transactions.c
        query = select(a.request_id).join(t.transactions, (x.chain == a.chain) & (x.txid == a.txid))
        return list(self._c.execute(query.where(x.state == str(OutflowState.FINAL)).distinct()).scalars())

    def trouble(self) -> str:
        """Why the approvals cannot be consulted now, in the words of the feeds that cannot be read; else empty."""
        return "; ".join(f"{feed}: {trouble}" for feed, trouble in _TROUBLE.rows(self._c))

    def spent(self, request_ids: Sequence[str] | None = None) -> dict[str, Allocation]:
        """The first allocation of each of these requests (of all, if None)."""
        c = t.allocations.c
        query = select(t.allocations).order_by(c.request_id, c.chain, c.txid, c.ordinal)
        if request_ids is not None:
            query = query.where(c.request_id.in_(list(request_ids)))
        found: dict[str, Allocation] = {}
        for r in self._c.execute(query):
            found.setdefault(r.request_id, _allocation(r))
        return found

    def allocations_of(self, chain: ChainId, tx: TxId) -> list[Allocation]:
        """What a transaction used up."""
        ordinals = _ALLOCATED.rows(self._c, chain=str(chain), txid=tx)
        return [
            Allocation(chain, tx, AssetId.parse(asset), ordinal, request_id, family, amount)
            for asset, ordinal, request_id, family, amount in ordinals
        ]

    def allocated_by(self, txids: Sequence[TxId]) -> dict[tuple[ChainId, TxId], list[Allocation]]:
        """What each of these transactions (500 at most, of whichever chain) used up."""
        c = t.allocations.c
        query = select(t.allocations).where(c.txid.in_(list(txids))).order_by(c.asset, c.ordinal)
        found: dict[tuple[ChainId, TxId], list[Allocation]] = {}
        for allocation in map(_allocation, self._c.execute(query)):
            found.setdefault((allocation.chain, allocation.tx), []).append(allocation)
        return found

    # --- what was asked of approvals, and when ------------------------------------------------------------------------

    def keep_policies(self, digest: str, document: Sequence[Mapping[str, Any]], at: datetime) -> bool:
        """The policies with this digest are in force from `at` on; the first ones kept are in force since ever. False
        if they are those in force already.
        """
        c = t.policy_versions.c
        latest = self._c.execute(select(c.digest).order_by(c.id.desc()).limit(1)).scalar_one_or_none()
        if latest == digest:
            return False
        row = {"digest": digest, "document": list(document), "since": None if latest is None else at, "kept_at": at}
        self._c.execute(insert(t.policy_versions).values(row))
        return True

    def policies(self) -> list[KeptPolicies]:
        """Every version there was, oldest first."""
        rows = self._c.execute(select(t.policy_versions).order_by(t.policy_versions.c.id))
        return [KeptPolicies(r.digest, tuple(r.document), r.since) for r in rows]


def _feed_state(row: Any) -> FeedState:
    return FeedState(row.feed, row.position, row.read_at, row.grew_at, row.trouble, row.looked_at)


def _allocation(r: Any) -> Allocation:
    chain, asset = ChainId.parse(r.chain), AssetId.parse(r.asset)
    return Allocation(chain, r.txid, asset, r.ordinal, r.request_id, r.family, r.amount)
