"""Payments with leeway (dust, deducted fees, parts) against every possible pairing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chains.model import MAX_AMOUNT, Address, TxId
from properties.approvals_worlds import ASSET, CHAIN, OTHER_TX, PEOPLE, PLACES, TX, World, no_price, worlds
from unit.rules_facts import MemoryFacts
from unit.rules_facts import World as Known
from walletwatch.approvals.matching import match
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.approvals.settlements import EXACT, Leeway
from walletwatch.domain.findings import Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import ActKind, MatchResult, MatchTerms, Payment, Request
from walletwatch.rules.engine import judge
from walletwatch.rules.registry import default_rules

pytestmark = pytest.mark.long

RULES = default_rules(feed_configured=True)
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass(frozen=True)
class Case:
    """A world, the terms of its requests, and what others paid of them before."""

    world: World
    terms: dict[str, MatchTerms]
    paid: dict[str, tuple[int, int]]

    @property
    def leeway(self) -> Leeway:
        return Leeway(lambda r: self.terms.get(r.id, EXACT), lambda i: self.paid.get(i, (0, 0)))

    @property
    def spent(self) -> dict[str, TxId]:
        return {**self.world.spent, **dict.fromkeys(self.paid, OTHER_TX)}

    def book(self) -> RequestBook:
        book = RequestBook(PEOPLE, self.world.acts)
        for request_id in self.world.retired:
            book.retire(request_id)
        return book


def places(draw: st.DrawFn) -> Address:
    return PLACES[draw(st.sampled_from([0, 0, 0, 1]))]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Amounts are multiplied, so that they differ by less than themselves; most meet at one address."""
    world = draw(worlds(max_requests=5, max_payments=4))
    payments = tuple(
        replace(p, amount=4 * p.amount + draw(st.integers(-3, 3)), address=places(draw))
        for p in world.spending.payments
    )
    acts = tuple(
        replace(a, intent=replace(a.intent, amount=4 * a.intent.amount, destination=places(draw), wallet=""))
        if a.intent
        else a
        for a in world.acts
    )
    spending = replace(world.spending, payments=payments, fee=draw(st.integers(0, 3)))
    terms: dict[str, MatchTerms] = {}
    paid: dict[str, tuple[int, int]] = {}
    for act in acts:
        if act.kind is ActKind.REQUEST and draw(st.booleans()):
            given_terms = MatchTerms(
                draw(st.integers(0, 1)), draw(st.sampled_from([0, 1, MAX_AMOUNT])), draw(st.sampled_from([1, 1, 2, 3]))
            )
            terms[act.request_id] = given_terms
            if given_terms.parts > 1 and draw(st.booleans()):
                paid[act.request_id] = (draw(st.integers(1, 12)), draw(st.integers(1, 2)))
    world = replace(world, spending=spending, acts=acts)
    return Case(replace(world, spent={}, retired=frozenset()) if draw(st.booleans()) else world, terms, paid)


def answer_of(case: Case) -> MatchResult:
    judged = authoriser(case.world.spending, policies=case.world.policies, people=PEOPLE, price_of=no_price)
    return match(case.world.spending, case.book(), case.spent, judged, leeway=case.leeway)


Option = tuple[int, bool, int]
"""(borne by the fee alone, part, difference)."""


class Optimum:
    """Every pairing, tried; nothing here is shared with the code under test."""

    def __init__(self, case: Case) -> None:
        self.case, self.spending = case, case.world.spending
        family = {TX, *self.spending.family}
        judged = authoriser(self.spending, policies=case.world.policies, people=PEOPLE, price_of=no_price)
        wallets = ("", *self.spending.wallets)
        concerned = [r for r in case.book() if r.intent.wallet in wallets and r.id not in case.world.retired]
        self.requests = [r for r in concerned if case.spent.get(r.id, TX) in family or self._is_open(r)]
        self.merits = {}
        for r in self.requests:
            told = {a.txid for a in r.acts if a.kind is ActKind.BROADCAST and not a.refused}
            answer = judged(r)
            standing = 0 if answer.met else 3 if answer.withdrawn else 2
            named = bool(told & family) and r.id not in case.paid
            self.merits[r.id] = (int(not named), standing, int(bool(told) and not told & family))

    def _is_open(self, r: Request) -> bool:
        before, _ = self.case.paid.get(r.id, (0, 0))
        return self.case.terms.get(r.id, EXACT).parts > 1 and r.id in self.case.paid and before < r.intent.amount

    def option(self, payment: Payment, r: Request) -> Option | None:
        if r.intent.destination != payment.address:
            return None
        terms = self.case.terms.get(r.id, EXACT)
        before, count = self.case.paid.get(r.id, (0, 0)) if terms.parts > 1 else (0, 0)
        short = r.intent.amount - before - payment.amount
        borne = max(0, short - terms.tolerance)
        if short >= -terms.tolerance and borne <= min(self.spending.fee, terms.max_deduction):
            return borne, False, abs(short)
        if short > 0 and terms.parts > 1 and count < terms.parts:
            return 0, True, short
        return None

    def cost(self, pairs: dict[int, Request]) -> list[int]:
        options = [self.option(p, pairs[p.ordinal]) for p in self.spending.payments if p.ordinal in pairs]
        levels = [sum(o[n] for o in options if o is not None) for n in range(3)]
        merits = [sum(self.merits[r.id][n] for r in pairs.values()) for n in range(3)]
        return [-len(pairs), *merits, *levels]

    def best(self) -> list[int]:
        return min(self.cost(pairs) for pairs in self._pairings(list(self.spending.payments), frozenset()))

    def _pairings(self, payments: list[Payment], taken: frozenset[str]) -> Iterator[dict[int, Request]]:
        if not payments:
            yield {}
            return
        first, *rest = payments
        yield from self._pairings(rest, taken)
        for r in self.requests:
            if r.id not in taken and self.option(first, r) is not None:
                for tail in self._pairings(rest, taken | {r.id}):
                    yield {first.ordinal: r, **tail}


@settings(RELAXED, max_examples=2500)
@given(cases())
def test_no_pairing_with_leeway_explains_more_or_better(case: Case) -> None:
    answer, optimum = answer_of(case), Optimum(case)
    pairs = {m.payment.ordinal: m.authorisation.request for m in answer.matches}
    best = optimum.best()
    if best[4] <= case.world.spending.fee:
        assert optimum.cost(pairs) == best
    else:
        # Together they rely on more fee than there was: as many as it carries stand, the others do not.
        assert best[0] < -len(pairs)
        assert optimum.cost(pairs)[4] <= case.world.spending.fee
    assert answer.blind == answer.stopped == ""


@settings(RELAXED, max_examples=800)
@given(cases())
def test_never_more_is_paid_than_was_approved(case: Case) -> None:
    answer, optimum = answer_of(case), Optimum(case)
    used = [m.authorisation.request.id for m in answer.matches]
    assert len(used) == len(set(used))
    for m in answer.matches:
        request = m.authorisation.request
        terms = case.terms.get(request.id, EXACT)
        before, count = case.paid.get(request.id, (0, 0)) if terms.parts > 1 else (0, 0)
        assert (m.paid_before, m.short) == (before, request.intent.amount - before - m.payment.amount)
        assert before + m.payment.amount <= request.intent.amount + terms.tolerance
        assert count < terms.parts or not m.part
        assert optimum.option(m.payment, request) is not None


@settings(RELAXED, max_examples=500)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_acts_and_payments_changes_nothing_with_leeway(case: Case, chance: Any) -> None:
    acts, payments = list(case.world.acts), list(case.world.spending.payments)
    chance.shuffle(acts)
    chance.shuffle(payments)
    spending = replace(case.world.spending, payments=tuple(payments))
    shuffled = replace(case, world=replace(case.world, acts=tuple(acts), spending=spending))
    expected = answer_of(case)
    assert replace(answer_of(shuffled), spending=expected.spending) == expected


@settings(RELAXED, max_examples=500)
@given(worlds())
def test_exact_terms_change_nothing(world: World) -> None:
    """Where the policies give no leeway the answer is that of the matching without it."""
    case = Case(world, {}, {})
    judged = authoriser(world.spending, policies=world.policies, people=PEOPLE, price_of=no_price)
    assert answer_of(case) == match(world.spending, case.book(), world.spent, judged)


@settings(RELAXED, max_examples=500)
@given(cases(), st.data())
def test_taking_an_approval_away_never_pays_more_with_leeway(case: Case, data: st.DataObject) -> None:
    approvals = [a for a in case.world.acts if a.kind is ActKind.APPROVE]
    if not approvals:
        return
    gone = data.draw(st.sampled_from(approvals))
    fewer = replace(case, world=replace(case.world, acts=tuple(a for a in case.world.acts if a is not gone)))

    def met(answer: MatchResult) -> int:
        return sum(m.authorisation.met for m in answer.matches)

    assert met(answer_of(fewer)) <= met(answer_of(case))


def verdicts(case: Case) -> set[str]:
    """The rules that are violated for good."""
    spending, found = case.world.spending, answer_of(case)
    total = sum(p.amount for p in spending.payments)
    outflow = Outflow(
        "out_1",
        CHAIN,
        spending.tx,
        OutflowState.SEEN,
        "hot-1",
        ASSET,
        total,
        spending.payments,
        0,
        first_seen=spending.broadcast_at,
    )
    known = Known(natives={CHAIN: ASSET}, symbols={ASSET: ("ETH", 18)}, matches={spending.tx: found})
    findings = judge(outflow, MemoryFacts(known, outflow), RULES, "sha256:0", spending.broadcast_at)
    return {f.rule for f in findings if f.verdict is VerdictKind.VIOLATION and f.severity is not Severity.LOW}


@settings(RELAXED, max_examples=800)
@given(cases(), st.integers(0, 3), st.booleans(), st.integers(1, 3))
def test_more_leeway_never_adds_a_violation(case: Case, tolerance: int, fee: bool, parts: int) -> None:
    """As raising a limit does not."""
    every = {a.request_id for a in case.world.acts}
    before = {i: case.terms.get(i, EXACT) for i in every}
    wider = {
        i: MatchTerms(
            t.tolerance + tolerance,
            MAX_AMOUNT if fee else t.max_deduction,
            t.parts if i in case.paid else max(t.parts, parts),
        )
        for i, t in before.items()
    }
    if not verdicts(case):
        assert not verdicts(replace(case, terms=wider))


@settings(RELAXED, max_examples=800)
@given(cases(), st.data())
def test_removing_an_approval_never_turns_a_violation_into_a_pass_with_leeway(case: Case, data: st.DataObject) -> None:
    approvals = [a for a in case.world.acts if a.kind is ActKind.APPROVE]
    gone = data.draw(st.sets(st.sampled_from(approvals), min_size=1)) if approvals else set()
    fewer = replace(case, world=replace(case.world, acts=tuple(a for a in case.world.acts if a not in gone)))
    if verdicts(case):
        assert verdicts(fewer)


@settings(RELAXED, max_examples=300)
@given(cases(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_a_verdict_with_leeway(case: Case, chance: Any) -> None:
    acts = [*case.world.acts, *case.world.acts]
    chance.shuffle(acts)
    assert verdicts(replace(case, world=replace(case.world, acts=tuple(acts)))) == verdicts(case) == verdicts(case)
