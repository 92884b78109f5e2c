"""Which requests explain which payments of one transaction (CONTRACT §4 "Matching").

First what agrees in asset, destination and amount, named by a broadcast act or oldest first; then, for what is left,
whether its request was already spent; then the best pairing with requests that agree in all but destination or amount.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from heapq import merge
from itertools import islice

from chains.model import MAX_AMOUNT, TxId
from walletwatch.approvals.request_book import Requests, request_age
from walletwatch.approvals.searches import STOPPED, UNREAD, Search, assign
from walletwatch.approvals.settlements import Leeway, settle
from walletwatch.domain.withdrawals import (
    Authorisation,
    Match,
    MatchResult,
    NearMiss,
    Payment,
    Reading,
    Request,
    Reuse,
    Spending,
)


def match(
    spending: Spending,
    book: Requests,
    spent: Mapping[str, TxId],
    authorise: Callable[[Request], Authorisation],
    blind: str = "",
    leeway: Leeway | None = None,
) -> MatchResult:
    """The whole answer for one transaction and asset.

    `spent` is request id -> the transaction that first paid it, retired requests included. A family of replacements
    shares its requests: what a member of it spent is free for the others. `leeway` tells where payments may differ from
    their requests; without it amounts agree to the base unit. The result does not depend on the order of payments, acts
    or requests. A search that would take more than about 50 ms is stopped, and the answer says so.
    """
    search = _Matching(spending, book, spent, authorise)
    if leeway is not None:
        settle(search, leeway)
    search.match_exact()
    search.find_reuse()
    search.match_near()
    return MatchResult(
        spending=spending,
        matches=tuple(sorted(search.matches, key=lambda m: m.payment.ordinal)),
        near=tuple(sorted(search.near, key=lambda n: n.payment.ordinal)),
        reused=tuple(sorted(search.reused, key=lambda r: r.payment.ordinal)),
        unexplained=tuple(sorted(search.left, key=lambda p: p.ordinal)),
        blind="; ".join(why for why in (blind, search.blind) if why),
        stopped=search.stopped,
    )


_MOST_TRIED = 16
"""Readings that are tried one by one; each is a matching of its own."""


def match_readings(
    spending: Spending, readings: Callable[[], Sequence[Reading]], match_one: Callable[[Spending], MatchResult]
) -> MatchResult:
    """The answer for `spending` as it stands, or as other readings of what is not explained leave less unexplained.

    Whatever is read differently accounts for the same base units, so no value is explained twice.
    """
    best = match_one(spending)
    if not _not_explained(best):
        return best
    known = readings()
    splits = _apart(r for r in known if len(r.instead_of) == 1 and len(r.payments) > 1)
    trials = [splits] if len(splits) > 1 else []
    trials += [[r] for r in known]
    for trial in trials[:_MOST_TRIED]:
        ill = _not_explained(best)
        now = best.read_as or spending.payments
        wanted = [r for r in trial if not ill.isdisjoint(r.instead_of) and set(r.instead_of) <= set(now)]
        if not ill:
            break
        if not wanted:
            continue
        gone = {p for r in wanted for p in r.instead_of}
        payments = (*(p for p in now if p not in gone), *(p for r in wanted for p in r.payments))
        other = replace(match_one(replace(spending, payments=payments)), spending=spending, read_as=payments)
        if _standing(other) < _standing(best):
            best = other
    return best


def _apart(readings: Iterable[Reading]) -> list[Reading]:
    """Those that replace different payments: the first of each."""
    return list({r.instead_of: r for r in reversed(list(readings))}.values())


def _not_explained(result: MatchResult) -> set[Payment]:
    return set(result.read_as or result.spending.payments) - {m.payment for m in result.matches if m.authorisation.met}


def _standing(result: MatchResult) -> tuple[int, int]:
    """Base units without an approved request, then without any: less is better."""
    approved = sum(m.payment.amount for m in result.matches if m.authorisation.met)
    return -approved, -sum(m.payment.amount for m in result.matches)


class _Matching(Search):
    """The stages one after the other."""

    @cached_property
    def costs(self) -> dict[str, int]:
        """What each request costs by its merit."""
        return {}

    @cached_property
    def ladders(self) -> dict[bytes, tuple[_Ladder, _Ladder]]:
        """By destination, the named ones and the others."""
        return {}

    @cached_property
    def equals(self) -> dict[tuple[int, int], list[Request]]:
        """By amount and how many were asked for."""
        return {}

    def match_exact(self) -> None:
        """Pair equal contents: within a class of them every pairing explains as much, so merit and age decide."""
        classes: dict[tuple[bytes, int], list[Payment]] = defaultdict(list)
        for payment in self.left:
            classes[payment.address.key, payment.amount].append(payment)
        self.left = []
        for payments in classes.values():
            one = payments[0]
            named = [r for r in self.named.values() if _same_content(one, r)]
            others = self.unnamed(self.book.fitting(self.spending.asset, one.address, one.amount))
            # One more than needed tells whether the choice was ambiguous.
            chosen = self.best(len(payments) + 1, named, others)
            spare = chosen[len(payments) :]
            for payment, request in zip(payments, chosen, strict=False):
                self._take(payment, request, spare)
            self.left += payments[len(chosen) :]
        if self.unread:
            self.blind, self.unread = UNREAD, False

    def _take(self, payment: Payment, request: Request, spare: list[Request]) -> None:
        self.taken.add(request.id)
        rivals = tuple(rival.id for rival in spare if self.merit(rival) == self.merit(request))
        self.matches.append(Match(payment, self.judge(request), request.id in self.named, rivals))

    def find_reuse(self) -> None:
        """Of what is left: payments whose fitting request was spent, by an earlier transaction or by this one."""
        left, self.left = self.left, []
        for payment in left:
            content = (self.spending.asset, payment.address, payment.amount)
            fitting = [*self.book.fitting(*content), *self.book.fitting(*content, retired=True)]
            known = [request for request in fitting if self.concerns(request)]
            if not known:
                self.left.append(payment)
                continue
            latest = max(known, key=request_age).id
            first_tx = self.spending.tx if latest in self.taken else self.spent.get(latest, b"")
            self.reused.append(Reuse(payment, latest, first_tx))

    def match_near(self) -> None:
        """The best pairing of what is left with requests that differ in destination or amount alone.

        Each payment begins with its few best candidates; where the prices of the answer do not prove that more would
        not change it, it gets more.
        """
        rows = [_Candidates(self, payment) for payment in self.left]
        while True:
            chosen = {r.id: r for row in rows for r, _ in row.edges}
            ordered = sorted(chosen.values(), key=request_age)
            number = {request.id: n for n, request in enumerate(ordered)}
            edges = [[(number[r.id], cost) for r, cost in row.edges] for row in rows]
            answer = assign(edges, self._step**3 * 5 * self._unit, self.effort)
            unproved = [row for row, price in zip(rows, answer.prices, strict=True) if not row.proves(price)]
            if answer.settled and not unproved:
                break
            if self.effort.spent:
                self.stopped = STOPPED
                break
            for row in unproved:
                row.take_more()
        if self.unread:
            self.stopped = STOPPED
        for n, column in answer.column_of.items():
            self._add_near_miss(self.left[n], ordered[column])
        self.left = [payment for n, payment in enumerate(self.left) if n not in answer.column_of]

    @cached_property
    def _unit(self) -> int:
        """What another destination costs: more than all differences in amounts together."""
        return (len(self.left) + 1) * (MAX_AMOUNT + 1)

    @cached_property
    def _step(self) -> int:
        """By how much each part of a merit outweighs the next, summed over all payments."""
        return 4 * len(self.left) + 1

    def cost(self, payment: Payment, request: Request) -> int:
        """How far `request` is from explaining `payment`: its merit, then what differs.

        The same destination with another amount is the nearer miss: amounts agree by chance, addresses do not.
        """
        known = self.costs.get(request.id)
        if known is None:
            unnamed, standing, elsewhere = self.merit(request)
            known = ((unnamed * self._step + standing) * self._step + elsewhere) * self._step * self._unit
            self.costs[request.id] = known
        if request.intent.destination == payment.address:
            return known + abs(request.intent.amount - payment.amount)
        return known + self._unit

    def paying(self, payment: Payment, count: int) -> list[Request]:
        """The best requests to the same destination: by merit, then the nearest amount."""
        key = payment.address.key
        if key not in self.ladders:
            named = [r for r in self.named.values() if r.intent.destination == payment.address]
            others = self.unnamed(self.book.paying(self.spending.asset, payment.address))
            self.ladders[key] = _Ladder(self.may_be_near(named)), _Ladder(self.may_be_near(others))
        named_ladder, ladder = self.ladders[key]
        return self.best(count, named_ladder.nearest(payment.amount), ladder.nearest(payment.amount))

    def worth(self, amount: int, count: int) -> list[Request]:
        """The best requests of the same amount: by merit, then the oldest."""
        known = self.equals.get((amount, count))
        if known is None:
            named = [r for r in self.named.values() if r.intent.amount == amount]
            others = self.unnamed(self.book.worth(self.spending.asset, amount))
            near = self.may_be_near(named), self.may_be_near(others)
            known = self.equals[amount, count] = self.best(count, *near)
        return known

    def _add_near_miss(self, payment: Payment, request: Request) -> None:
        differs = "amount" if request.intent.destination == payment.address else "destination"
        self.near.append(NearMiss(payment, self.judge(request), differs, request.id in self.named))


class _Candidates:
    """Requests that nearly explain one payment, the best ones of either kind, with their costs."""

    def __init__(self, search: _Matching, payment: Payment) -> None:
        self._search, self._payment = search, payment
        self._count = max(_FEW, sum(p.amount == payment.amount for p in search.left))
        self.edges: list[tuple[Request, int]] = []
        self._proved_to: int | None = None
        self._take_candidates()

    def take_more(self) -> None:
        """Take more candidates."""
        self._count *= 4
        self._take_candidates()

    def proves(self, price: int) -> bool:
        """Whether the candidates left out cannot matter at this price of the payment's row: each costs more."""
        return self._proved_to is None or price <= self._proved_to

    def _take_candidates(self) -> None:
        search, payment = self._search, self._payment
        # As many as payments are left are always enough, because each of those takes one.
        count = min(self._count, len(search.left))
        search.effort.left -= 2 * count
        kinds = (search.paying(payment, count), search.worth(payment.amount, count))
        edges = [[(r, search.cost(payment, r)) for r in kind] for kind in kinds]
        ends = [kind[-1][1] for kind in edges if len(kind) == count < len(search.left)]
        self._proved_to = min(ends, default=None)
        self.edges = [*edges[0], *edges[1]]


_FEW = 3
"""Candidates a payment begins with; one or two are the rule."""


class _Ladder:
    """Requests by amount, to be walked in both directions from any amount. They come, and stay, oldest first."""

    def __init__(self, requests: Iterable[Request]) -> None:
        oldest_first = list(requests)
        self._up = sorted(oldest_first, key=lambda r: r.intent.amount)
        self._down = sorted(oldest_first, key=lambda r: -r.intent.amount)

    def nearest(self, amount: int) -> Iterator[Request]:
        """The nearest amounts first; at the same distance the oldest."""
        above = bisect_left(self._up, amount, key=lambda r: r.intent.amount)
        below = bisect_right(self._down, -amount, key=lambda r: -r.intent.amount)
        return merge(
            islice(self._up, above, None),
            islice(self._down, below, None),
            key=lambda r: (abs(r.intent.amount - amount), request_age(r)),
        )


def _same_content(payment: Payment, request: Request) -> bool:
    return request.intent.amount == payment.amount and request.intent.destination == payment.address
