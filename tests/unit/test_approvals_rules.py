"""The authorisation rules over real matching: which type fires, how loud, and what the evidence lets a person check."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785

from chains.model import Address, AssetId, ChainId, TxId
from unit.rules_facts import MemoryFacts, World
from walletwatch.approvals.matching import match
from walletwatch.approvals.policies import PolicyHistory
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.findings import Finding, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.people import People, Person
from walletwatch.domain.policies import Policy, Threshold
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Payment, Spending
from walletwatch.rules.engine import judge
from walletwatch.rules.registry import default_rules

ETHEREUM = ChainId.parse("eip155:1")
ETH = AssetId.parse("eip155:1/slip44:60")
START = datetime(2026, 11, 22, tzinfo=UTC)
TX, FIRST_TX = b"\x01" * 32, b"\x02" * 32
PAYEE, OTHER, THIRD = (Address(bytes([n]) * 20, f"0x{n:02x}") for n in (1, 2, 3))
PEOPLE = People(
    (
        Person("req", "treasury", ("requester", "approver")),
        Person("app-1", "treasury", ("approver",)),
        Person("app-2", "compliance", ("approver",)),
        Person("desk", "support", ()),
    )
)
TWO = Policy("two", quorum=2)
RULES = default_rules(feed_configured=True)


def act(kind: str, actor: str, minute: float, request_id: str = "W-1", **more: Any) -> Act:
    digest = hashlib.sha256(repr((kind, actor, minute, request_id, more)).encode()).digest()
    at = START + timedelta(minutes=minute)
    return Act(ActKind(kind), request_id, actor, at, digest, "feed.jsonl", 7, kid=f"{actor}-key", **more)


def hash_of(request_id: str) -> str:
    return "sha256:" + hashlib.sha256(request_id.encode()).hexdigest()


def ask(amount: int, to: Address = PAYEE, request_id: str = "W-1", minute: float = 0, **more: Any) -> Act:
    intent = Intent(ETHEREUM, ETH, amount, to, hash_of(request_id))
    return act("request", "req", minute, request_id, intent=intent, intent_hash=intent.hash, **more)


def approve(actor: str, minute: float = 10, request_id: str = "W-1", **more: Any) -> Act:
    return act("approve", actor, minute, request_id, **{"intent_hash": hash_of(request_id), **more})


APPROVED = (approve("app-1"), approve("app-2", 11))


def no_price(asset: AssetId) -> Price:
    raise Unknown(f"no price for {asset}")


def findings(
    *acts: Act,
    paid: list[tuple[Address, int]],
    policy: Policy = TWO,
    spent: dict[str, TxId] | None = None,
    blind: str = "",
) -> dict[str, Finding]:
    payments = tuple(Payment(n, to, amount) for n, (to, amount) in enumerate(paid))
    at = START + timedelta(minutes=60)
    spending = Spending(ETHEREUM, TX, ETH, ("eth-hot",), payments, at)
    judged = authoriser(spending, policies=PolicyHistory.of([policy]), people=PEOPLE, price_of=no_price)
    found = match(spending, RequestBook(PEOPLE, acts), spent or {}, judged, blind)
    total = sum(p.amount for p in payments)
    outflow = Outflow(
        "out_1", ETHEREUM, TX, OutflowState.INCLUDED, "eth-hot", ETH, total, payments, 21_000, at, block_time=at
    )
    world = World(natives={ETHEREUM: ETH}, symbols={ETH: ("ETH", 18)}, roles={"eth-hot": "hot"}, matches={TX: found})
    answer = judge(outflow, MemoryFacts(world, outflow), RULES, "sha256:0", at)
    for finding in answer:
        rfc8785.dumps(dict(finding.evidence))
    return {finding.rule: finding for finding in answer}


def only(found: dict[str, Finding], rule: str, severity: Severity = Severity.CRITICAL) -> Finding:
    assert list(found) == [rule]
    assert (found[rule].verdict, found[rule].severity, found[rule].rule_id) == (VerdictKind.VIOLATION, severity, rule)
    return found[rule]


def test_an_approved_payment_is_silent() -> None:
    assert findings(ask(100), *APPROVED, paid=[(PAYEE, 100)]) == {}


def test_no_request_is_unapproved() -> None:
    finding = only(findings(paid=[(PAYEE, 10**18)]), "unapproved")
    assert finding.summary == "1 ETH left eth-hot without a request: to 0x01"
    [payment] = finding.evidence["unexplained"]
    assert (payment["destination"], payment["amount"], payment["ordinal"]) == ("0x01", str(10**18), 0)


def test_a_batch_partly_explained_is_one_finding_that_names_the_rest() -> None:
    finding = only(findings(ask(100), *APPROVED, paid=[(OTHER, 7), (PAYEE, 100), (THIRD, 8)]), "unapproved")
    assert [(p["ordinal"], p["amount"]) for p in finding.evidence["unexplained"]] == [(0, "7"), (2, "8")]
    assert finding.evidence["payments_count"] == 3


@pytest.mark.parametrize("kind", ["cancel", "reject"])
def test_a_withdrawn_request_that_was_sent_is_unapproved_with_the_act(kind: str) -> None:
    end = act(kind, "app-2", 30, intent_hash=hash_of("W-1"))
    finding = only(findings(ask(100), *APPROVED, end, paid=[(PAYEE, 100)]), "unapproved")
    assert finding.evidence["requests"][0]["withdrawn"]["act"] == kind
    assert finding.evidence["requests"][0]["withdrawn"]["actor"] == "app-2"
    assert f"request W-1 was {kind}ed by app-2".replace("canceled", "cancelled") in finding.summary


def test_another_destination_names_the_request_and_what_it_expected() -> None:
    finding = only(findings(ask(100), *APPROVED, paid=[(OTHER, 100)]), "destination_mismatch")
    assert finding.evidence["request_ids"] == ["W-1"]
    [miss] = finding.evidence["mismatches"]
    assert (miss["expected"]["destination"], miss["found"]["destination"]) == ("0x01", "0x02")
    assert miss["quorum_met"] is True


def test_another_amount_names_the_request_and_what_it_expected() -> None:
    finding = only(findings(ask(100), *APPROVED, paid=[(PAYEE, 101)]), "amount_mismatch")
    [miss] = finding.evidence["mismatches"]
    assert (miss["request_id"], miss["expected"]["amount"], miss["found"]["amount"]) == ("W-1", "100", "101")


def test_the_same_destination_is_the_better_near_miss() -> None:
    acts = (ask(100, OTHER, "W-1"), ask(90, PAYEE, "W-2"))
    assert only(findings(*acts, paid=[(PAYEE, 100)]), "amount_mismatch").evidence["request_ids"] == ["W-2"]


def test_both_near_misses_are_used_where_that_explains_more() -> None:
    acts = (ask(90, PAYEE, "W-1"), ask(100, OTHER, "W-2"))
    found = findings(*acts, paid=[(PAYEE, 100), (THIRD, 90)])
    assert list(found) == ["destination_mismatch"]
    assert sorted(found["destination_mismatch"].evidence["request_ids"]) == ["W-1", "W-2"]


def test_a_spent_request_is_reused_and_names_the_first_transaction() -> None:
    finding = only(
        findings(ask(100), *APPROVED, paid=[(PAYEE, 100)], spent={"W-1": FIRST_TX}),
        "approval_reused",
    )
    assert finding.evidence["reused"][0]["request_id"] == "W-1"
    assert finding.evidence["reused"][0]["first_tx"] == FIRST_TX.hex()


def test_paying_twice_in_one_transaction_reuses_the_request() -> None:
    finding = only(findings(ask(100), *APPROVED, paid=[(PAYEE, 100), (PAYEE, 100)]), "approval_reused")
    assert finding.evidence["reused"][0]["first_tx"] == TX.hex()


def test_too_few_acts_with_none_refused_is_quorum_not_met() -> None:
    finding = only(findings(ask(100), approve("app-1"), paid=[(PAYEE, 100)]), "quorum_not_met")
    assert finding.summary == "request W-1 was sent with 1 of 2 approvals; missing: 1 more of 2 persons"
    assert finding.evidence["quorum_met"] is False
    [entry] = finding.evidence["requests"]
    assert (entry["policy"], entry["quorum"], entry["missing"]) == ("two", 2, ["1 more of 2 persons"])
    assert entry["counted"][0] | {"digest": ""} == {
        "act": "approve",
        "actor": "app-1",
        "kid": "app-1-key",
        "at": "2026-11-22T00:10:00.000000Z",
        "intent_hash": hash_of("W-1"),
        "feed": "feed.jsonl",
        "line": 7,
        "grade": "signed",
        "digest": "",
    }


REFUSED = {
    "self_approval": (approve("req"), TWO),
    "approver_not_authorised": (approve("desk"), TWO),
    "invalid_signature": (approve("app-2", refused="invalid_signature", reason="forged"), TWO),
    "content_mismatch": (approve("app-2", intent_hash=hash_of("other")), TWO),
    "approval_expired": (approve("app-2", 5), replace(TWO, max_age=timedelta(minutes=50))),
    "approved_after_broadcast": (approve("app-2", 61), TWO),
    "approval_too_fast": (approve("app-2", 3), replace(TWO, min_delay=timedelta(minutes=4))),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_a_refused_act_for_lack_of_which_the_quorum_is_short_is_the_finding(rule: str) -> None:
    refused, policy = REFUSED[rule]
    finding = only(findings(ask(100), approve("app-1"), refused, paid=[(PAYEE, 100)], policy=policy), rule)
    [shown] = finding.evidence["requests"][0]["refused"]
    assert (shown["rule"], shown["actor"], finding.evidence["quorum_met"]) == (rule, refused.actor, False)
    assert finding.evidence["request_ids"] == ["W-1"]


@pytest.mark.parametrize("rule", REFUSED)
def test_a_refused_act_beside_a_met_quorum_is_only_noted(rule: str) -> None:
    refused, policy = REFUSED[rule]
    extra = approve("app-2", 20) if refused.actor != "app-2" else approve("req", 20)
    policy = replace(policy, requester_may_approve=refused.actor != "req")
    acts = (ask(100), approve("app-1", 12), refused, extra)
    finding = only(findings(*acts, paid=[(PAYEE, 100)], policy=policy), rule, Severity.LOW)
    assert finding.evidence["quorum_met"] is True


def test_two_reasons_are_two_findings() -> None:
    found = findings(ask(100), approve("req"), approve("desk"), paid=[(PAYEE, 100)])
    assert set(found) == {"self_approval", "approver_not_authorised"}


def test_a_request_whose_own_hash_is_wrong_is_a_content_mismatch() -> None:
    wrong = ask(100, refused="content_mismatch", reason="intent_hash is not …")
    finding = only(findings(wrong, *APPROVED, paid=[(PAYEE, 100)]), "content_mismatch")
    assert finding.evidence["request_ids"] == ["W-1"]


def test_a_request_by_somebody_without_the_role_is_none() -> None:
    asked = replace(ask(100), actor="app-1")
    only(findings(asked, *APPROVED, paid=[(PAYEE, 100)]), "unapproved")


def test_a_missing_price_leaves_it_undetermined_where_tiers_differ() -> None:
    policy = replace(TWO, min_value=Threshold(10**8))
    for acts, rule in (
        ((approve("app-1"),), "quorum_not_met"),
        ((approve("app-1"), approve("app-2", refused="invalid_signature", reason="forged")), "invalid_signature"),
    ):
        found = findings(ask(100), *acts, paid=[(PAYEE, 100)], policy=policy)
        assert {name: f.verdict for name, f in found.items()} == {rule: VerdictKind.UNDETERMINED}
        assert "no price for" in found[rule].evidence["reason"]


@pytest.mark.parametrize(
    ("acts", "spent", "rule"),
    [
        ((), {}, "unapproved"),
        ((ask(100, OTHER), *APPROVED), {}, "destination_mismatch"),
        ((ask(99), *APPROVED), {}, "amount_mismatch"),
        ((ask(100), *APPROVED), {"W-1": FIRST_TX}, "approval_reused"),
        ((ask(100), approve("app-1")), {}, "quorum_not_met"),
        ((ask(100), approve("app-1"), approve("req")), {}, "self_approval"),
    ],
)
def test_a_dead_feed_makes_undetermined_what_would_be_a_violation(
    acts: tuple[Act, ...], spent: dict[str, TxId], rule: str
) -> None:
    found = findings(*acts, paid=[(PAYEE, 100)], spent=spent, blind="feed approvals.jsonl cannot be read")
    assert {name: f.verdict for name, f in found.items()} == {rule: VerdictKind.UNDETERMINED}
    assert "cannot be read" in found[rule].evidence["reason"]


def test_a_dead_feed_does_not_hide_what_is_known() -> None:
    dead = {"blind": "feed approvals.jsonl cannot be read"}
    assert findings(ask(100), *APPROVED, paid=[(PAYEE, 100)], **dead) == {}  # type: ignore[arg-type]
    end = act("cancel", "req", 30, intent_hash=hash_of("W-1"))
    only(findings(ask(100), *APPROVED, end, paid=[(PAYEE, 100)], **dead), "unapproved")  # type: ignore[arg-type]


def test_equal_requests_are_said_to_be_rivals() -> None:
    acts = [a for n in (1, 2) for a in (ask(100, request_id=f"W-{n}", minute=n), approve("app-1", request_id=f"W-{n}"))]
    found = findings(*acts, paid=[(PAYEE, 100)])
    entry = found["quorum_not_met"].evidence["requests"][0]
    assert (entry["request_id"], entry["rivals"]) == ("W-1", ["W-2"])


def test_evidence_of_a_huge_batch_stays_bounded() -> None:
    finding = only(findings(paid=[(Address(n.to_bytes(20, "big"), hex(n)), n + 1) for n in range(500)]), "unapproved")
    assert finding.evidence["unexplained_count"] == 500
    assert len(json.dumps(finding.evidence)) < 20_000
