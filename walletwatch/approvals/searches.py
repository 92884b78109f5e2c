"""The state of one matching: payments still to be explained, requests already used, and how well a request speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice

from chains.model import TxId
from walletwatch.approvals.assignments import Effort
from walletwatch.approvals.request_book import Requests, request_age
from walletwatch.domain.withdrawals import ActKind, Authorisation, Match, NearMiss, Request, Reuse, Spending

APPROVED, UNDETERMINED, UNAPPROVED, WITHDRAWN = range(4)
"""The standing of a request, the better explanation first."""

Merit = tuple[bool, int, bool]
"""How well a request speaks for a transaction beyond its content, the lowest first: no broadcast act of it names the
transaction; its standing; a broadcast act of it names another transaction.
"""
_BEST_UNNAMED: Merit = (True, APPROVED, False)
_MOST_EDGES = 12_000
"""Looks at an edge, each about a microsecond: 200 payments that fight for the same few nearest of 5,000 requests would
take a million. The cases of real shape take a sixth of it.
"""
_MOST_JUDGED = 600
"""Requests whose approvals are read, each about 20 µs, before the rest of those that fit equally are left unread."""

STOPPED = "many requests fit about equally and the search for the nearest was stopped: another pairing may be nearer"
UNREAD = "more requests fit than can be read in time: which of them is approved is not known"

_SPEAKING = frozenset({ActKind.APPROVE, ActKind.REJECT, ActKind.CANCEL})


class Search:
    """One matching under way. `left` are the payments still to be explained; `taken` the requests already used."""

    def __init__(
        self,
        spending: Spending,
        book: Requests,
        spent: Mapping[str, TxId],
        authorise: Callable[[Request], Authorisation],
    ) -> None:
        self.spending, self.book, self.spent, self.authorise = spending, book, spent, authorise
        self.effort = Effort(_MOST_EDGES)
        self.unread = False
        self.stopped = self.blind = ""
        self.family = frozenset({spending.tx, *spending.family})
        self.left = sorted(spending.payments, key=lambda p: p.ordinal)
        self.taken: set[str] = set()
        self.known: dict[str, Authorisation] = {}
        self.merits: dict[str, Merit] = {}
        self.matches: list[Match] = []
        self.near: list[NearMiss] = []
        self.reused: list[Reuse] = []
        named = {r.id: r for tx in self.family for r in book.broadcast_as(tx) if self.usable(r)}
        self.named = dict(sorted(named.items(), key=lambda item: request_age(item[1])))

    def usable(self, request: Request) -> bool:
        """Whether the request is about this asset and these wallets, and not spent by a stranger to the family."""
        return self.concerns(request) and self.spent.get(request.id, self.spending.tx) in self.family

    def concerns(self, request: Request) -> bool:
        """Whether the request is about this asset and these wallets."""
        intent = request.intent
        return intent.asset == self.spending.asset and intent.wallet in ("", *self.spending.wallets)

    def unnamed(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Those of `requests` that are free and that no broadcast act gives to this transaction."""
        return (r for r in requests if r.id not in self.taken and r.id not in self.named and self.usable(r))

    def judge(self, request: Request) -> Authorisation:
        """Whether it is approved, asked once."""
        if request.id not in self.known:
            self.known[request.id] = self.authorise(request)
        return self.known[request.id]

    def merit(self, request: Request) -> Merit:
        """How well it speaks for this transaction."""
        known = self.merits.get(request.id)
        if known is None:
            known = (request.id not in self.named, self._standing(request), self._named_elsewhere(request))
            self.merits[request.id] = known
        return known

    @property
    def judged_out(self) -> bool:
        """Whether no more requests are to be judged than are needed for an answer."""
        return len(self.known) >= _MOST_JUDGED

    def _readable(self, count: int) -> int:
        return max(count, _MOST_JUDGED - len(self.known))

    def _standing(self, request: Request) -> int:
        if not any(act.kind in _SPEAKING for act in request.acts):
            return UNAPPROVED
        answer = self.judge(request)
        if answer.met:
            return APPROVED
        if answer.withdrawn is not None:
            return WITHDRAWN
        return UNDETERMINED if answer.undetermined else UNAPPROVED

    def _named_elsewhere(self, request: Request) -> bool:
        told = {act.txid for act in request.acts if act.kind is ActKind.BROADCAST and not act.refused}
        return bool(told) and not told & self.family

    def best(self, count: int, named: Iterable[Request], others: Iterable[Request]) -> list[Request]:
        """The `count` requests of highest merit, ties in the order given; stops when nothing better can come.

        A request nobody approved is not judged unless it is needed: a flood of them costs a glance each.
        """
        told = list(islice((r for r in named if r.id not in self.taken), self._readable(count) + 1))
        self.unread = self.unread or len(told) > self._readable(count)
        chosen = sorted(told[: self._readable(count)], key=self.merit)[:count]
        perfect: list[Request] = []
        rest: list[Request] = []
        for request in others:
            if len(chosen) + len(perfect) >= count:
                break
            if self.judged_out and len(rest) >= count:
                self.unread = True
                break
            approved = any(act.kind is ActKind.APPROVE for act in request.acts)
            (perfect if approved and self.merit(request) == _BEST_UNNAMED else rest).append(request)
        chosen += perfect
        return chosen + nsmallest(count - len(chosen), rest, key=self.merit)
