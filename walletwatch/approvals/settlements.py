"""Payments that may differ from their requests: dust, the fee taken from what arrives, one request paid in parts.

A policy gives the leeway (`tolerance`, `fee_deducted` up to `max_deduction`, `parts`); never is more paid than was
approved, beyond the tolerance. Where a destination has requests with leeway, all its payments and requests are paired
at once: as many payments as can be, then by merit, then with little reliance on the fee, then in few parts, then with
small differences, then the oldest. In this order more leeway never takes an explanation away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from chains.model import MAX_AMOUNT
from walletwatch.approvals.searches import UNREAD, Search, assign
from walletwatch.domain.withdrawals import Match, MatchTerms, Payment, Request

_MOST_REQUESTS = 1_000
"""Requests to one destination that are paired at once; with more the answer says that not all were read."""


EXACT = MatchTerms()


@dataclass(frozen=True, slots=True)
class Leeway:
    """`terms` of a request; `paid`: (base units, transactions) that others than this family paid of it so far."""

    terms: Callable[[Request], MatchTerms]
    paid: Callable[[str], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Offer:
    """One request as it could be paid: `before` base units of it were, in `count` transactions."""

    request: Request
    terms: MatchTerms
    before: int
    count: int

    @property
    def open(self) -> int:
        return self.request.intent.amount - self.before

    def fits(self, payment: Payment, fee: int) -> _PairFit | None:
        """How `payment` pays it, None if it does not."""
        short = self.open - payment.amount
        borne = min(fee, self.terms.max_deduction)
        if -self.terms.tolerance <= short <= self.terms.tolerance + borne:
            return _PairFit(self, payment, short, max(0, short - self.terms.tolerance), part=False)
        if short > 0 and self.count < self.terms.parts and self.terms.parts > 1:
            return _PairFit(self, payment, short, 0, part=True)
        return None


@dataclass(frozen=True, slots=True)
class _PairFit:
    """`payment` is `short` of what is open; `borne` of that only the fee explains. `part`: more is to be paid."""

    offer: _Offer
    payment: Payment
    short: int
    borne: int
    part: bool


def settle(search: Search, leeway: Leeway) -> None:
    """Match the payments to destinations with requests that have leeway; take them out of what is left."""
    by_place: dict[bytes, list[Payment]] = defaultdict(list)
    for payment in search.left:
        by_place[payment.address.key].append(payment)
    fits: list[tuple[_PairFit, tuple[str, ...]]] = []
    for payments in by_place.values():
        offers = _offers(search, leeway, payments[0])
        if any(offer.terms != EXACT for offer in offers):
            fits += _pair(search, payments, offers)
    for fit, rivals in _within_fee(fits, search.spending.fee):
        request = fit.offer.request
        search.taken.add(request.id)
        search.left.remove(fit.payment)
        by_txid = request.id in search.named
        match = Match(fit.payment, search.judge(request), by_txid, rivals, fit.offer.before, fit.short, fit.part)
        search.matches.append(match)


def _offers(search: Search, leeway: Leeway, payment: Payment) -> list[_Offer]:
    """What is still to be paid to this destination, oldest request first."""
    known = list(islice(search.book.paying(search.spending.asset, payment.address), _MOST_REQUESTS + 1))
    if len(known) > _MOST_REQUESTS and any(leeway.terms(request) != EXACT for request in known):
        search.blind = UNREAD
    offers = []
    for request in known[:_MOST_REQUESTS]:
        terms = leeway.terms(request)
        before, count = leeway.paid(request.id) if terms.parts > 1 else (0, 0)
        free = search.usable(request) if not count else search.concerns(request)
        if free and before < request.intent.amount:
            offers.append(_Offer(request, terms, before, count))
    return offers


def _pair(
    search: Search, payments: Sequence[Payment], offers: Sequence[_Offer]
) -> list[tuple[_PairFit, tuple[str, ...]]]:
    fits = [[(n, o.fits(payment, search.spending.fee)) for n, o in enumerate(offers)] for payment in payments]
    unit = (len(payments) + 1) * (MAX_AMOUNT + 1)
    step, ages = 4 * len(payments) + 1, len(payments) * len(offers) + 1

    def cost(fit: _PairFit) -> int:
        unnamed, standing, elsewhere = search.merit(fit.offer.request)
        merit = (unnamed * step + standing) * step + elsewhere
        return ((merit * unit + fit.borne) * step + fit.part) * unit + abs(fit.short)

    costs = [{n: cost(fit) for n, fit in row if fit is not None} for row in fits]
    search.effort.left -= sum(map(len, fits))
    answer = assign([[(n, c * ages + n) for n, c in row.items()] for row in costs], effort=search.effort)
    if not answer.settled:
        search.blind = UNREAD
    chosen = []
    for row, column in sorted(answer.column_of.items()):
        fit = fits[row][column][1]
        if fit is not None:
            rivals = _rivals(costs[row], column, set(answer.column_of.values()))
            chosen.append((fit, tuple(offers[n].request.id for n in rivals)))
    return chosen


def _rivals(row: dict[int, int], column: int, taken: set[int]) -> list[int]:
    """Offers nobody took that would have done as well."""
    return [n for n, cost in row.items() if n not in taken and cost == row[column]]


def _within_fee(fits: list[tuple[_PairFit, tuple[str, ...]]], fee: int) -> list[tuple[_PairFit, tuple[str, ...]]]:
    """All that rely on the fee together rely on no more than there was: those that rely least come first."""
    kept = []
    for fit, rivals in sorted(fits, key=lambda f: (f[0].borne, f[0].payment.ordinal)):
        if fit.borne <= fee:
            fee -= fit.borne
            kept.append((fit, rivals))
    return kept
