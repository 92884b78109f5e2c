"""Matching against every possible pairing, and against every order of what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from properties.approvals_worlds import OTHER_TX, PEOPLE, TX, World, no_price, worlds
from walletwatch.approvals import matching
from walletwatch.approvals.matching import match
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.approvals.searches import assign
from walletwatch.domain.withdrawals import Act, ActKind, Authorisation, MatchResult, Payment, Request

pytestmark = pytest.mark.long

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def book_of(world: World, acts: Sequence[Act] | None = None) -> RequestBook:
    book = RequestBook(PEOPLE, world.acts if acts is None else acts)
    for request_id in world.retired:
        book.retire(request_id)
    return book


def judge_of(world: World) -> Callable[[Request], Authorisation]:
    return authoriser(world.spending, policies=world.policies, people=PEOPLE, price_of=no_price)


def answer_of(world: World, acts: Sequence[Act] | None = None) -> MatchResult:
    return match(world.spending, book_of(world, acts), world.spent, judge_of(world))


class Optimum:
    """The best pairing found by trying all of them; nothing here is shared with the code under test."""

    def __init__(self, world: World, *, merits_only: bool = False) -> None:
        self.spending = world.spending
        self.family = {TX, *world.spending.family}
        judge = judge_of(world)
        self.requests = sorted(book_of(world), key=lambda r: (r.requested.at, r.id))
        self.concerned = [
            r for r in self.requests if not r.intent.wallet or {r.intent.wallet} == set(world.spending.wallets)
        ]
        self.usable = [r for r in self.concerned if world.spent.get(r.id, TX) in self.family]
        self.merits = {r.id: self._merit(r, judge(r)) for r in self.usable}
        if not merits_only:
            self._find(world)

    def _merit(self, request: Request, answer: Authorisation) -> tuple[int, int, int]:
        told = {a.txid for a in request.acts if a.kind is ActKind.BROADCAST and not a.refused}
        standing = 0 if answer.met else 3 if answer.withdrawn else 2
        return int(not told & self.family), standing, int(bool(told) and not told & self.family)

    def _find(self, world: World) -> None:
        payments = list(world.spending.payments)
        self.exact_cost, exact = min(
            (self._exact_cost(pairs), sorted(pairs.items())) for pairs in self._pairings(payments, exact=True)
        )
        taken = {request_id for _, request_id in exact}
        left = [p for p in payments if p.ordinal not in dict(exact)]
        self.exact = [(payments[n].address.key, payments[n].amount, r) for n, r in exact]
        fits_spent = [
            p for p in left if any(same(p, r) for r in self.concerned if r not in self.usable or r.id in taken)
        ]
        self.reused = {p.ordinal for p in fits_spent}
        left = [p for p in left if p.ordinal not in self.reused]
        self.near_cost = min(self._near_cost(left, pairs) for pairs in self._pairings(left, exact=False, taken=taken))

    def _pairings(self, payments: list[Payment], *, exact: bool, taken: Any = ()) -> Iterator[dict[int, str]]:
        if not payments:
            yield {}
            return
        first, *rest = payments
        yield from self._pairings(rest, exact=exact, taken=taken)
        for r in self.usable:
            if r.id not in taken and (same(first, r) if exact else near(first, r)):
                for tail in self._pairings(rest, exact=exact, taken={*taken, r.id}):
                    yield {first.ordinal: r.id, **tail}

    def _exact_cost(self, pairs: dict[int, str]) -> list[int]:
        merits = [self.merits[r] for r in pairs.values()]
        order = [r.id for r in self.usable]
        sums = [sum(m[n] for m in merits) for n in range(3)]
        return [-len(pairs), *sums, sum(order.index(r) for r in pairs.values())]

    def _near_cost(self, left: list[Payment], pairs: dict[int, str]) -> list[int]:
        chosen = {r.id: r for r in self.usable}
        return near_cost([(p, chosen[pairs[p.ordinal]]) for p in left if p.ordinal in pairs], self.merits)


def near_cost(pairs: list[tuple[Payment, Request]], merits: dict[str, tuple[int, int, int]]) -> list[int]:
    sums = [sum(merits[r.id][n] for _, r in pairs) for n in range(3)]
    elsewhere = sum(r.intent.destination != p.address for p, r in pairs)
    return [-len(pairs), *sums, elsewhere, sum(abs(r.intent.amount - p.amount) for p, r in pairs)]


def same(payment: Payment, request: Request) -> bool:
    return (request.intent.destination, request.intent.amount) == (payment.address, payment.amount)


def near(payment: Payment, request: Request) -> bool:
    return (request.intent.destination == payment.address) != (request.intent.amount == payment.amount)


@settings(RELAXED, max_examples=2500)
@given(worlds())
def test_no_pairing_explains_more_or_better(world: World) -> None:
    answer, best = answer_of(world), Optimum(world)
    pairs = {m.payment.ordinal: m.authorisation.request.id for m in answer.matches}
    assert best._exact_cost(pairs) == best.exact_cost
    assert sorted((m.payment.address.key, m.payment.amount, m.authorisation.request.id) for m in answer.matches) == (
        sorted(best.exact)
    )
    assert {reuse.payment.ordinal for reuse in answer.reused} == best.reused
    assert near_cost([(n.payment, n.authorisation.request) for n in answer.near], best.merits) == best.near_cost


@settings(RELAXED, max_examples=800)
@given(worlds(max_requests=9))
def test_beginning_with_fewer_candidates_finds_an_answer_as_good(world: World) -> None:
    """Near misses are searched among few candidates first; the prices of the answer must tell when that is too few."""
    best = Optimum(world, merits_only=True)
    costs = []
    for few in (1, 2, 100):
        with patch.object(matching, "_FEW", few):
            costs.append(near_cost([(n.payment, n.authorisation.request) for n in answer_of(world).near], best.merits))
    assert costs[0] == costs[1] == costs[2]


@settings(RELAXED, max_examples=500)
@given(worlds())
def test_every_payment_is_answered_once_and_every_request_used_once(world: World) -> None:
    answer = answer_of(world)
    groups = (answer.matches, answer.near, answer.reused)
    ordinals = [entry.payment.ordinal for group in groups for entry in group]  # type: ignore[attr-defined]
    ordinals += [p.ordinal for p in answer.unexplained]
    assert sorted(ordinals) == [p.ordinal for p in world.spending.payments]
    used = [entry.authorisation.request.id for group in groups[:2] for entry in group]  # type: ignore[attr-defined]
    assert len(used) == len(set(used))
    assert not any(world.spent.get(r) == OTHER_TX for r in used)
    for m in answer.matches:
        assert same(m.payment, m.authorisation.request)
    for n in answer.near:
        assert near(n.payment, n.authorisation.request)
        assert (n.differs == "amount") == (n.authorisation.request.intent.destination == n.payment.address)


@settings(RELAXED, max_examples=500)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_acts_and_payments_changes_nothing(world: World, chance: Any) -> None:
    acts, payments = list(world.acts), list(world.spending.payments)
    chance.shuffle(acts)
    chance.shuffle(payments)
    shuffled = replace(world, spending=replace(world.spending, payments=tuple(payments)))
    expected, found = answer_of(world), answer_of(shuffled, acts)
    assert replace(found, spending=expected.spending) == expected


@settings(RELAXED, max_examples=500)
@given(worlds(), st.data())
def test_taking_an_approval_away_never_explains_more(world: World, data: st.DataObject) -> None:
    approvals = [act for act in world.acts if act.kind is ActKind.APPROVE]
    if not approvals:
        return
    gone = data.draw(st.sampled_from(approvals))
    whole, less = answer_of(world), answer_of(world, [act for act in world.acts if act is not gone])

    def paid(answer: MatchResult) -> int:
        return sum(m.authorisation.met for m in answer.matches)

    assert len(less.matches) == len(whole.matches)
    assert paid(less) <= paid(whole)


@settings(RELAXED, max_examples=300)
@given(worlds())
def test_a_replacement_finds_the_requests_its_family_spent(world: World) -> None:
    """RBF: judging the replacement after the original has taken its requests gives the original's answer."""
    first = answer_of(world)
    spent = world.spent | {m.authorisation.request.id: TX for m in first.matches}
    bumped = replace(world.spending, tx=b"\x09" * 32, family=(*world.spending.family, TX, b"\x09" * 32))
    again = match(bumped, book_of(world), spent, judge_of(replace(world, spending=bumped)))
    assert [m.authorisation.request.id for m in again.matches] == [m.authorisation.request.id for m in first.matches]


@settings(RELAXED, max_examples=500)
@given(st.lists(st.dictionaries(st.integers(0, 5), st.integers(0, 4), max_size=5), max_size=5))
def test_assignment_equals_the_cheapest_of_all_largest_ones(rows: list[dict[int, int]]) -> None:
    def tries(n: int, taken: frozenset[int]) -> Iterator[dict[int, int]]:
        if n == len(rows):
            yield {}
            return
        yield from tries(n + 1, taken)
        for column in rows[n].keys() - taken:
            for tail in tries(n + 1, taken | {column}):
                yield {n: column, **tail}

    def cost(pairs: dict[int, int]) -> tuple[int, int]:
        return -len(pairs), sum(rows[row][column] for row, column in pairs.items())

    found = assign([sorted(row.items()) for row in rows]).column_of
    assert cost(found) == min(cost(pairs) for pairs in tries(0, frozenset()))
    assert len(set(found.values())) == len(found)
