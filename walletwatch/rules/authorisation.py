"""Was this payment approved? The verdicts on what matching found, one type for each way in which the answer is no.

Of the types that say a payment has no approved request (`unapproved`, `destination_mismatch`, `amount_mismatch`,
`approval_reused`) one fits each payment; of those that say its request is not approved, the reasons why acts do not
count come first and `quorum_not_met` is for too few acts with none refused (CONTRACT §3 "Keys and edges").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from walletwatch.domain.findings import PASS, Severity, Verdict, undetermined, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind, Authorisation, Match, MatchResult, RefusedAct
from walletwatch.rules.evidence import (
    act_json,
    matches_json,
    near_json,
    payment_json,
    reuse_json,
    say_amount,
    say_payments,
    shown,
    unless_blind,
)
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import NoParams
from walletwatch.rules.rule_types import rule


@rule(
    type="unapproved",
    family="authorisation",
    severity=Severity.CRITICAL,
    description="Value left and no request explains it, or its request had been cancelled or rejected. The evidence "
    "names the payments of the transaction that are not explained.",
    source="DMM Bitcoin 2024-05-31, Coincheck 2018-01-26: the first transaction had no approval",
)
def unapproved(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
    """No request, or one that was withdrawn before the broadcast."""
    found = facts.match()
    ended = [m for m in found.matches if m.authorisation.withdrawn is not None]
    if not ended and not found.unexplained:
        return PASS
    evidence = {
        "unexplained": shown(payment_json(outflow.asset, facts, p) for p in found.unexplained),
        "unexplained_count": len(found.unexplained),
        "payments_count": len(found.spending.payments),
        **matches_json(outflow.asset, facts, ended),
        **_strangers(outflow),
        **_void(found),
        **_stopped(found),
    }
    if ended:
        return violation(_say_withdrawn(ended), **evidence)
    total = sum(p.amount for p in found.unexplained)
    words = f"{say_amount(facts, outflow.asset, total)} left {outflow.wallet} without a request: "
    return unless_blind(found, violation(words + say_payments(found.unexplained), **evidence))


def _say_withdrawn(ended: Sequence[Match]) -> str:
    act = ended[0].authorisation.withdrawn
    word = {ActKind.CANCEL: "cancelled", ActKind.REJECT: "rejected"}[act.kind] if act else ""
    more = f" (and {len(ended) - 1} more)" if len(ended) > 1 else ""
    who = f"{act.actor} at {format_utc(act.at)}" if act else ""
    return f"request {ended[0].authorisation.request.id} was {word} by {who} and sent all the same{more}"


def _void(found: MatchResult) -> dict[str, Any]:
    """Request acts that fit and open nothing: badly signed, or by somebody who may not ask."""
    if not found.void:
        return {}
    reasons = ({"request_id": act.request_id, **act_json(act), "reason": _why_void(act)} for act in found.void)
    return {"void_requests": shown(reasons)}


def _why_void(act: Act) -> str:
    return f"{act.refused}: {act.reason}" if act.refused else f"{act.actor} may not ask for withdrawals"


@rule(
    type="destination_mismatch",
    family="authorisation",
    severity=Severity.CRITICAL,
    description="A request asks for exactly this amount, and the money went to another address than it names.",
    source="DMM Bitcoin 2024-05-31: 4,502.9 BTC to a look-alike of the real payee",
)
def destination_mismatch(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
    """The nearest request differs in its destination alone."""
    found = facts.match()
    near = [miss for miss in found.near if miss.differs == "destination"]
    if not near:
        return PASS
    miss = near[0]
    request = miss.authorisation.request
    words = (
        f"request {request.id} asks for {say_amount(facts, outflow.asset, miss.payment.amount)} to "
        f"{request.intent.destination}; it went to {miss.payment.address}"
    )
    evidence = {**near_json(outflow.asset, facts, near), **_strangers(outflow), **_stopped(found)}
    return unless_blind(found, violation(words, **evidence))


@rule(
    type="amount_mismatch",
    family="authorisation",
    severity=Severity.CRITICAL,
    description="A request names exactly this destination, and another amount was sent than it asks for.",
    source="four-eyes control of payment orders: amount and payee are approved together",
)
def amount_mismatch(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
    """The nearest request differs in its amount alone."""
    found = facts.match()
    near = [miss for miss in found.near if miss.differs == "amount"]
    if not near:
        return PASS
    miss = near[0]
    request = miss.authorisation.request
    words = (
        f"request {request.id} asks for {say_amount(facts, outflow.asset, request.intent.amount)} to "
        f"{request.intent.destination}; {say_amount(facts, outflow.asset, miss.payment.amount)} was sent"
    )
    evidence = {**near_json(outflow.asset, facts, near), **_strangers(outflow), **_stopped(found)}
    return unless_blind(found, violation(words, **evidence))


@rule(
    type="approval_reused",
    family="authorisation",
    severity=Severity.CRITICAL,
    description="The only request that fits was paid before: one approval, two payments.",
    source="replay of an approved withdrawal; double payouts of withdrawal queues",
)
def approval_reused(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
    """The fitting request is spent."""
    found = facts.match()
    if not found.reused:
        return PASS
    first = found.reused[0]
    words = f"request {first.request_id} was already paid by {first.first_tx.hex()}: paid again "
    evidence: dict[str, Any] = {
        "request_ids": shown(reuse.request_id for reuse in found.reused),
        "reused": shown(reuse_json(outflow.asset, facts, reuse) for reuse in found.reused),
    }
    return unless_blind(found, violation(words + say_payments([r.payment for r in found.reused]), **evidence))


@rule(
    type="quorum_not_met",
    family="authorisation",
    severity=Severity.CRITICAL,
    description="The request that explains the payment has too few approvals for its policy. None was refused: there "
    "are simply not enough, or not of the departments and roles the policy asks for.",
    source="FSA Japan on DMM Bitcoin, 2024-09-26: one person signed where several should have checked each other",
)
def quorum_not_met(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
    """Too few approvals, none of them refused."""
    found = facts.match()
    short = [m for m in found.matches if _is_short(m.authorisation) and not _blocking(m.authorisation)]
    if not short:
        return PASS
    sure = [m for m in short if not m.authorisation.undetermined]
    if not sure:
        return undetermined(
            short[0].authorisation.undetermined, **matches_json(outflow.asset, facts, short), quorum_met=False
        )
    answer = sure[0].authorisation
    words = f"request {answer.request.id} was sent with {len(answer.counted)} of {answer.quorum} approvals; missing: "
    evidence = matches_json(outflow.asset, facts, short)
    return unless_blind(found, violation(words + ", ".join(answer.missing), **evidence, quorum_met=False))


_REFUSALS = {
    "self_approval": (
        "The person who asked for the payment approved it, and the policy does not allow that.",
        "four-eyes principle; CryptoCurrency Security Standard (CCSS), key usage",
    ),
    "approver_not_authorised": (
        "An approval by an unknown key, by somebody else's key or one not valid then, or by a person who may not.",
        "RFC 8725 §3; insiders and former staff with live keys",
    ),
    "invalid_signature": (
        "An approval whose signature does not fit its content and key, or whose header would switch the check off.",
        "RFC 7515, RFC 8725 §2.1",
    ),
    "content_mismatch": (
        "Other content was approved, or shown on screen, than was sent; two requests under one id; a rewritten log.",
        "Bybit 2025-02-21: the signers' screens showed another transaction than they signed",
    ),
    "approval_expired": (
        "An approval older at the broadcast than the policy allows, or a request sent after it had expired.",
        "stale approvals re-used by whoever holds the signer",
    ),
    "approved_after_broadcast": (
        "An approval given after the transaction was out; by Bitcoin's block time alone, two hours after it.",
        "approvals made up afterwards to cover a payment",
    ),
    "approval_too_fast": (
        "An approval given sooner after the request than a person needs to read it (the policy's min_delay).",
        "rubber-stamping; approvals by script",
    ),
}


def _refusal_judge(rule_name: str) -> Callable[[Outflow, Facts, NoParams], Verdict]:
    def judge(outflow: Outflow, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - every rule's shape
        return _judge_refused(rule_name, outflow, facts)

    judge.__name__ = judge.__qualname__ = rule_name
    return judge


REFUSALS = tuple(
    rule(
        type=name,
        family="authorisation",
        severity=Severity.CRITICAL,
        description=description + " Beside a quorum that is met all the same it is only noted (low).",
        source=source,
    )(_refusal_judge(name))
    for name, (description, source) in _REFUSALS.items()
)


def _judge_refused(rule_name: str, outflow: Outflow, facts: Facts) -> Verdict:
    """The verdict of one reason for which acts do not count: it blocked a quorum, may have, or stands beside one."""
    found = facts.match()
    blocked = [m for m in found.matches if any(r.rule == rule_name for r in _blocking(m.authorisation))]
    sure = [m for m in blocked if not m.authorisation.undetermined]
    if sure:
        words = _say_refused(sure[0], _blocking(sure[0].authorisation), rule_name) + "; the quorum is short"
        return unless_blind(found, violation(words, **matches_json(outflow.asset, facts, blocked), quorum_met=False))
    if blocked:
        reason = blocked[0].authorisation.undetermined
        return undetermined(reason, **matches_json(outflow.asset, facts, blocked), quorum_met=False)
    beside = [m for m in found.matches if m.authorisation.met and _has(m.authorisation.refused, rule_name)]
    if not beside:
        return PASS
    words = _say_refused(beside[0], beside[0].authorisation.refused, rule_name) + "; the quorum is met without it"
    return violation(words, Severity.LOW, **matches_json(outflow.asset, facts, beside), quorum_met=True)


def _is_short(answer: Authorisation) -> bool:
    return not answer.met and answer.withdrawn is None


def _blocking(answer: Authorisation) -> list[RefusedAct]:
    """The refused acts for lack of which the quorum may be short: approvals, and the request's own act."""
    if not _is_short(answer):
        return []
    return [r for r in answer.refused if r.act.kind is ActKind.APPROVE or r.act is answer.request.requested]


def _has(refused: Sequence[RefusedAct], rule_name: str) -> bool:
    return any(r.rule == rule_name for r in refused)


def _say_refused(match: Match, refused: Sequence[RefusedAct], rule_name: str) -> str:
    first = next(r for r in refused if r.rule == rule_name)
    return f"{first.act.kind} of request {match.authorisation.request.id} does not count: {first.reason}"


def _strangers(outflow: Outflow) -> dict[str, Any]:
    return {"foreign_inputs": True} if outflow.foreign_inputs else {}


def _stopped(found: MatchResult) -> dict[str, Any]:
    return {"search_stopped": found.stopped} if found.stopped else {}
