"""What must hold for the verdicts of authorisation, whatever the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from properties.approvals_worlds import ASSET, CHAIN, PEOPLE, World, no_price, worlds
from unit.rules_facts import MemoryFacts
from unit.rules_facts import World as Known
from walletwatch.approvals.matching import match
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.findings import Finding, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.rules.engine import judge
from walletwatch.rules.registry import default_rules

RULES = default_rules(feed_configured=True)
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NO_REQUEST = {"unapproved", "destination_mismatch", "amount_mismatch", "approval_reused"}


def verdicts(world: World, acts: Sequence[Act] | None = None, blind: str = "") -> tuple[Finding, ...]:
    spending = world.spending
    book = RequestBook(PEOPLE, world.acts if acts is None else acts)
    for request_id in world.retired:
        book.retire(request_id)
    judged = authoriser(spending, policies=world.policies, people=PEOPLE, price_of=no_price)
    found = match(spending, book, world.spent, judged, blind)
    at, total = spending.broadcast_at, sum(p.amount for p in spending.payments)
    outflow = Outflow(
        "out_1", CHAIN, spending.tx, OutflowState.SEEN, "hot-1", ASSET, total, spending.payments, 0, first_seen=at
    )
    known = Known(natives={CHAIN: ASSET}, symbols={ASSET: ("ETH", 18)}, matches={spending.tx: found})
    return judge(outflow, MemoryFacts(known, outflow), RULES, "sha256:0", at)


def loud(findings: Sequence[Finding]) -> set[str]:
    """The rules that are violated for good: a refused act beside a met quorum is only noted."""
    return {f.rule for f in findings if f.verdict is VerdictKind.VIOLATION and f.severity is not Severity.LOW}


@settings(RELAXED, max_examples=400)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_acts_never_changes_a_verdict(world: World, chance: Any) -> None:
    acts = list(world.acts)
    chance.shuffle(acts)
    assert verdicts(world, acts) == verdicts(world)


@settings(RELAXED, max_examples=800)
@given(worlds(), st.data())
def test_removing_an_approval_never_turns_a_violation_into_a_pass(world: World, data: st.DataObject) -> None:
    approvals = [act for act in world.acts if act.kind is ActKind.APPROVE]
    gone = data.draw(st.sets(st.sampled_from(approvals), min_size=1)) if approvals else set()
    before, after = verdicts(world), verdicts(world, [act for act in world.acts if act not in gone])
    if loud(before):
        assert loud(after)
    # Which request is the nearest may change with its standing; that one is near does not.
    mismatches = NO_REQUEST - {"unapproved"}
    assert bool(loud(before) & mismatches) == bool(loud(after) & mismatches)


@settings(RELAXED, max_examples=400)
@given(worlds())
def test_silence_means_that_every_payment_has_a_met_quorum(world: World) -> None:
    """The other way round than the rules: from the matching itself."""
    judged = authoriser(world.spending, policies=world.policies, people=PEOPLE, price_of=no_price)
    book = RequestBook(PEOPLE, world.acts)
    for request_id in world.retired:
        book.retire(request_id)
    found = match(world.spending, book, world.spent, judged)
    all_met = len(found.matches) == len(world.spending.payments) and all(m.authorisation.met for m in found.matches)
    assert (not loud(verdicts(world))) == all_met


@settings(RELAXED, max_examples=400)
@given(worlds())
def test_a_dead_feed_never_silences(world: World) -> None:
    sighted, blind = verdicts(world), verdicts(world, blind="feed is dead")
    assert [f.rule for f in blind] == [f.rule for f in sighted]
    doubtful = {f.rule for f in blind if f.verdict is VerdictKind.UNDETERMINED}
    assert loud(blind) | doubtful == loud(sighted)
