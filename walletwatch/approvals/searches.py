"""The state of one matching, and the best assignment of requests to payments within an effort."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, nsmallest
from itertools import islice

from chains.model import TxId
from walletwatch.approvals.request_book import Requests, request_age
from walletwatch.domain.withdrawals import ActKind, Authorisation, Match, NearMiss, Request, Reuse, Spending

Edges = Sequence[tuple[int, int]]
"""(column, cost) of one row; costs are not negative."""


@dataclass(slots=True)
class Effort:
    """How many looks at an edge are left; about a microsecond each. None in its place is no bound."""

    left: int

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0


@dataclass(frozen=True, slots=True)
class Pairing:
    """`column_of` the rows that got one. The `prices` of the rows prove the answer: an edge that a row does not have
    would make it no cheaper if it costs the row's price or more. Not `settled`: the effort was spent before, the rows
    that were left took what was free, and the answer may not be the best.
    """

    column_of: Mapping[int, int]
    prices: Sequence[int]
    settled: bool = True


def assign(rows: Sequence[Edges], dearest: int | None = None, effort: Effort | None = None) -> Pairing:
    """Pair each row with at most one column and each column with at most one row.

    `dearest` is the highest cost any edge could have, if `rows` do not show all of them. The work is one look at each
    edge, and a search through the rows that fight for the same columns for each of these: cubic where all of them do,
    which `effort` bounds.
    """
    return _AssignmentSearch(rows, dearest, effort or Effort(sys.maxsize)).solve()


class _AssignmentSearch:
    """Rows, columns and the dual prices that prove the answer cheapest. Column -1 - r is row r's own way out."""

    def __init__(self, rows: Sequence[Edges], dearest: int | None, effort: Effort) -> None:
        if dearest is None:
            dearest = max((cost for edges in rows for _, cost in edges), default=0)
        way_out = 1 + dearest * len(rows)
        self.rows = [(*edges, (-1 - r, way_out)) for r, edges in enumerate(rows)]
        self.row_price = [min(cost for _, cost in edges) for edges in self.rows]
        self.column_price: dict[int, int] = {}
        self.column_of: dict[int, int] = {}
        self.row_of: dict[int, int] = {}
        self.effort = effort

    def solve(self) -> Pairing:
        """Settle the rows that need not fight, then the others one by one."""
        contested = [r for r in range(len(self.rows)) if not self._take_cheapest(r)]
        given_up = [r for r in contested if not self._augment(r)]
        for r in given_up:
            self._take_free(r)
        column_of = {r: c for r, c in self.column_of.items() if c >= 0}
        return Pairing(column_of, self.row_price, settled=not given_up)

    def _take_free(self, row: int) -> None:
        """The cheapest column that nobody has."""
        free = [(cost, c) for c, cost in self.rows[row] if c not in self.row_of]
        self._pair(row, min(free)[1])

    def _take_cheapest(self, row: int) -> bool:
        """Give the row a free column of its lowest cost, if there is one: most rows are done by this."""
        price, taken = self.row_price[row], self.row_of
        free = min((c for c, cost in self.rows[row] if cost == price and c not in taken), default=None)
        if free is not None:
            self._pair(row, free)
        return free is not None

    def _pair(self, row: int, column: int) -> None:
        self.column_of[row] = column
        self.row_of[column] = row

    def _augment(self, start: int) -> bool:
        """Dijkstra over reduced costs from `start` to the nearest free column, then turn the path round. False if the
        effort did not reach so far; nothing is changed then.
        """
        distance: dict[int, int] = {}
        came_from: dict[int, int] = {}
        settled: dict[int, int] = {}
        queue: list[tuple[int, bool, int]] = []
        row, reached = start, 0
        while not self.effort.spent:
            self.effort.left -= len(self.rows[row])
            for column, cost in self.rows[row]:
                d = reached + cost - self.row_price[row] - self.column_price.get(column, 0)
                if column not in settled and d < distance.get(column, d + 1):
                    distance[column], came_from[column] = d, row
                    heappush(queue, (d, column in self.row_of, column))
            reached, taken, column = heappop(queue)
            while column in settled:
                reached, taken, column = heappop(queue)
            if not taken:
                self._reprice(start, settled, reached)
                self._turn(start, column, came_from)
                return True
            settled[column] = reached
            row = self.row_of[column]
        return False

    def _reprice(self, start: int, settled: dict[int, int], reached: int) -> None:
        self.row_price[start] += reached
        for column, distance in settled.items():
            self.row_price[self.row_of[column]] += reached - distance
            self.column_price[column] = self.column_price.get(column, 0) - (reached - distance)

    def _turn(self, start: int, column: int, came_from: dict[int, int]) -> None:
        row = came_from[column]
        while row != start:
            before = self.column_of[row]
            self._pair(row, column)
            column, row = before, came_from[before]
        self._pair(start, column)


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
        self.wallets = frozenset(spending.wallets)
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
        return intent.asset == self.spending.asset and (not intent.wallet or self.wallets == {intent.wallet})

    def may_be_near(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Those of `requests` that were dated before the broadcast: a later one was no mistaken payment's."""
        return (r for r in requests if r.requested.at <= self.spending.broadcast_at)

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
