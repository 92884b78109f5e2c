"""What must hold of rules whatever the history: limits are monotone, judging is deterministic, rules are isolated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.rules_examples import CUSTOMER, DMM_PAYEE, DMM_THIEF, NAMES, ago, out, usd, world
from unit.rules_facts import MemoryFacts, World
from walletwatch.domain.findings import Severity, Verdict, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.rules import registry
from walletwatch.rules.engine import examine, judge
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import NoParams
from walletwatch.rules.registry import RuleConfig, configure
from walletwatch.rules.rule_types import rule

FOUND_AT = datetime(2026, 11, 22, tzinfo=UTC)
WALLETS = ("hot", "cold")
PLACES = (CUSTOMER, DMM_PAYEE, DMM_THIEF)


def read(**table: Any) -> RuleConfig:
    return configure(table, amounts=NAMES)


@st.composite
def histories(draw: st.DrawFn) -> tuple[World, Outflow]:
    """Up to a dozen outflows of the last two days, some of them orphaned, and one to judge."""

    def outflow(name: str, secs: int) -> Outflow:
        sats = draw(st.integers(1, 30))
        wallet, place = draw(st.sampled_from(WALLETS)), draw(st.sampled_from(PLACES))
        state = draw(st.sampled_from([OutflowState.SEEN, OutflowState.FINAL, OutflowState.ORPHANED]))
        return out(f"0.{sats:08} BTC", place, at=ago(secs), name=name, wallet=wallet, state=state)

    times = draw(st.lists(st.integers(0, 48 * 3600), max_size=12))
    past = [outflow(f"h{n}", secs) for n, secs in enumerate(sorted(times, reverse=True))]
    known = world(past, roles=dict.fromkeys(WALLETS, "hot"), prices=[usd("BTC", "95000")])
    subject = outflow("now", 0)
    for wallet in WALLETS:
        known.balances[wallet, subject.asset] = draw(st.integers(0, 100))
    return known, subject


def violates(config: RuleConfig, known: World, subject: Outflow) -> bool:
    (answer,) = examine(subject, MemoryFacts(known, subject), [config]).answers
    assert answer.verdict is not None
    return answer.verdict.kind is VerdictKind.VIOLATION


def limit(kind: str, size: int, per: str) -> RuleConfig:
    tables: dict[str, dict[str, Any]] = {
        "transaction_limit": {"max": f"0.{size:08} BTC"},
        "window_limit": {"max": f"0.{size:08} BTC", "window": "24h", "per": per},
        "in_usd": {"type": "window_limit", "max": f"0.{size:03} USD", "window": "24h", "per": per},
        "count_limit": {"max": size, "window": "24h", "per": per},
        "balance_share": {"max_percent": size, "window": "24h"},
    }
    return read(**{"type": kind, **tables[kind]})


KINDS = ("transaction_limit", "window_limit", "in_usd", "count_limit", "balance_share")


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from(KINDS), st.sampled_from(("wallet", "destination", "asset", "all")), st.data())
def test_raising_a_limit_never_adds_a_violation(
    history: tuple[World, Outflow], kind: str, per: str, data: st.DataObject
) -> None:
    low, high = sorted((data.draw(st.integers(0, 120)), data.draw(st.integers(0, 120))))
    known, subject = history
    if violates(limit(kind, high, per), known, subject):
        assert violates(limit(kind, low, per), known, subject)


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, 120))
def test_a_window_limit_is_broken_exactly_when_the_sum_is_above_it(history: tuple[World, Outflow], size: int) -> None:
    known, subject = history
    total = subject.amount + sum(
        o.amount
        for o in known.outflows
        if o.wallet == subject.wallet and o.state is not OutflowState.ORPHANED and o.broadcast_at > ago(86_400)
    )
    assert violates(limit("window_limit", size, "wallet"), known, subject) == (total > size)


RULES = (
    {"type": "transaction_limit", "max": "0.00000010 BTC"},
    {"type": "window_limit", "max": "1 USD", "window": "1h"},
    {"type": "window_limit", "id": "to-one", "max": "0.00000020 BTC", "window": "24h", "per": "destination"},
    {"type": "count_limit", "max": 2, "window": "24h"},
    {"type": "balance_share", "max_percent": 20, "window": "24h"},
    {"type": "new_destination"},
    {"type": "lookalike_destination"},
    {"type": "sweep"},
    {"type": "test_then_drain", "factor": 2},
    {"type": "structuring", "limit": "0.00000020 BTC", "margin_percent": 50},
    {"type": "fee_anomaly"},
    {"type": "expression", "when": 'new && destinations.exists(d, d.address.startsWith("1B6"))'},
)
CONFIGS = tuple(read(**table) for table in RULES)


@settings(max_examples=60, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_judging_depends_on_nothing_but_the_facts(history: tuple[World, Outflow], random: Any) -> None:
    known, subject = history
    shuffled = list(CONFIGS)
    random.shuffle(shuffled)
    first = judge(subject, MemoryFacts(known, subject), CONFIGS, "d", FOUND_AT)
    second = judge(subject, MemoryFacts(known, subject), shuffled, "d", FOUND_AT)
    assert sorted(first, key=lambda f: f.id) == sorted(second, key=lambda f: f.id)
    assert len({f.id for f in first}) == len(first)


@pytest.fixture
def landmine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that raises, in the catalogue for one test."""
    entry = rule(type="landmine", family="pattern", severity=Severity.LOW, description="x", source="x")(_explode)
    monkeypatch.setitem(registry._types, "landmine", entry)


def _explode(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:
    raise RuntimeError(outflow.id)


def test_a_raising_rule_changes_nothing_for_the_others(landmine: None) -> None:
    mine = read(type="landmine")

    @settings(max_examples=60, deadline=None)
    @given(histories(), st.lists(st.integers(0, len(CONFIGS)), max_size=5))
    def hold(history: tuple[World, Outflow], places: list[int]) -> None:
        known, subject = history
        planted = list(CONFIGS)
        for place in places:
            planted.insert(place, mine)
        found = judge(subject, MemoryFacts(known, subject), planted, "d", FOUND_AT)
        alone = judge(subject, MemoryFacts(known, subject), CONFIGS, "d", FOUND_AT)
        assert tuple(f for f in found if f.rule != "landmine") == alone
        assert sum(f.rule == "landmine" for f in found) == len(places)

    hold()
