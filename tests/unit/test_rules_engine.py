from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chains.model import ControlKind
from unit.rules_examples import BTC, NAMES, NOON, out, unknown, world
from unit.rules_examples_signing import allowed, control
from unit.rules_facts import MemoryFacts, World
from walletwatch.domain.findings import Severity, Verdict, VerdictKind, finding_id, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules import registry
from walletwatch.rules.engine import OncePerRule, examine, judge, judge_event
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import NoParams
from walletwatch.rules.registry import RuleConfig, configure
from walletwatch.rules.rule_types import rule

FOUND_AT = datetime(2026, 11, 22, tzinfo=UTC)
LIMIT = {"type": "transaction_limit", "max": "1 BTC"}


def read(**table: Any) -> RuleConfig:
    return configure(table, amounts=NAMES)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rules that misbehave, in the catalogue for one test."""
    for name, act in (("raises", _raise), ("knows_not", _know_not), ("no_json", _no_json)):
        entry = rule(type=name, family="pattern", severity=Severity.LOW, description="x", source="x")(act)
        monkeypatch.setitem(registry._types, name, entry)


def _raise(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:
    raise ZeroDivisionError("of the rule's own making")


def _know_not(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:
    raise Unknown("nobody told")


def _no_json(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:
    return violation("hash as bytes", tx=b"\x00")


@pytest.mark.usefixtures("broken")
def test_a_broken_rule_is_undetermined_and_stops_no_other() -> None:
    told: list[tuple[str, str]] = []
    rules = [read(type="raises"), read(type="no_json"), read(type="knows_not"), read(**LIMIT)]
    subject, known = out("2 BTC"), world()
    log = OncePerRule(lambda config, error: told.append((config.id, type(error).__name__)))
    for _ in range(3):
        findings = judge(subject, MemoryFacts(known, subject), rules, "d", FOUND_AT, on_error=log)
    assert [(f.rule_id, str(f.verdict)) for f in findings] == [
        ("raises", "undetermined"),
        ("no_json", "undetermined"),
        ("knows_not", "undetermined"),
        ("transaction_limit", "violation"),
    ]
    assert "rule raises (raises) raised ZeroDivisionError" in findings[0].summary
    assert findings[2].evidence == {"reason": "nobody told"}
    assert [name for name, _ in told] == ["raises", "no_json"]


def test_a_finding_names_what_was_judged() -> None:
    subject = out("2 BTC")
    (found,) = judge(subject, MemoryFacts(world(), subject), [read(**LIMIT, id="btc-max")], "sha256:d", FOUND_AT)
    assert found.id == finding_id(str(subject.chain), subject.tx, "hot", str(BTC.id), "btc-max")
    assert (found.rule, found.rule_id, found.outflow) == ("transaction_limit", "btc-max", subject.id)
    assert (found.rules_digest, found.found_at, found.verdict) == ("sha256:d", FOUND_AT, VerdictKind.VIOLATION)
    assert found.evidence["amount"] == {"amount": "200000000", "asset": str(BTC.id), "symbol": "BTC", "decimals": 8}


def test_the_same_input_gives_the_same_findings() -> None:
    subject, rules = out("2 BTC"), [read(**LIMIT), read(type="new_destination")]
    one, two = (judge(subject, MemoryFacts(world(), subject), rules, "d", FOUND_AT) for _ in range(2))
    assert one == two
    assert len(one) == 2


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True),
        ({"wallets": ["hot"]}, True),
        ({"wallets": ["cold"]}, False),
        ({"roles": ["hot", "warm"]}, True),
        ({"roles": ["cold"]}, False),
        ({"chains": ["bitcoin"]}, True),
        ({"chains": ["ethereum"], "assets": ["USDT"]}, False),
        ({"assets": ["BTC", "ETH"]}, True),
        ({"assets": ["USDT"]}, False),
        ({"wallets": ["hot"], "roles": ["cold"]}, False),
    ],
)
def test_all_selectors_given_must_fit(selector: dict[str, Any], fits: bool) -> None:
    subject = out()
    rules = [read(type="new_destination", **selector)]
    assert len(judge(subject, MemoryFacts(world(), subject), rules, "d", FOUND_AT)) == fits


def test_passes_are_told_and_are_no_findings() -> None:
    subject, rules = (
        out("1 BTC"),
        [read(**LIMIT), read(type="transaction_limit", id="other", max="1 ETH", assets=["ETH"])],
    )
    judgement = examine(subject, MemoryFacts(world(), subject), rules)
    assert [config.id for config in judgement.passes] == ["transaction_limit"]
    assert [answer.verdict for answer in judgement.answers][1] is None
    assert judgement.findings("d", FOUND_AT) == ()


def test_rules_about_outflows_do_not_judge_events_and_the_other_way_round() -> None:
    rules = [read(**LIMIT), read(type="allowance_granted"), read(type="node_stale")]
    event, subject = allowed("5"), out("2 BTC")
    (granted,) = judge_event(event, MemoryFacts(world(), event), rules, "d", FOUND_AT)
    assert (granted.rule, granted.outflow, granted.asset, granted.tx) == ("allowance_granted", None, "", event.tx)
    assert [f.rule for f in judge(subject, MemoryFacts(world(), subject), rules, "d", FOUND_AT)] == [
        "transaction_limit"
    ]


def test_two_changes_of_one_transaction_are_one_finding() -> None:
    owners = control(ControlKind.OWNERS, "3", "1").changes
    event = control(ControlKind.THRESHOLD, "3", "1")
    both = type(event)(event.chain, event.tx, event.wallet, NOON, event.changes + owners)
    (found,) = judge_event(both, MemoryFacts(world(), both), [read(type="wallet_control_changed")], "d", FOUND_AT)
    assert [change["kind"] for change in found.evidence["changes"]] == ["threshold", "owners"]


def test_an_unknown_role_is_undetermined_where_it_decides() -> None:
    subject = out()
    nowhere: World = unknown("x", "", {}, subject, world(roles={})).world
    (found,) = judge(subject, MemoryFacts(nowhere, subject), [read(type="sweep", roles=["hot"])], "d", FOUND_AT)
    assert found.verdict is VerdictKind.UNDETERMINED
