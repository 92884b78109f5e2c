"""Approvals of what is no outflow: moves between own wallets, and approved requests that were not paid.

Moves are held to approval like withdrawals: into a hot wallet is the way out of a cold one. A request may be lost in a
queue, paid where nobody looks, or paid to somebody else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator

from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, undetermined, violation
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import MatchResult
from walletwatch.rules.evidence import (
    amount_json,
    authorisation_json,
    matches_json,
    near_json,
    payment_json,
    reuse_json,
    say_amount,
    say_duration,
    shown,
    unless_blind,
)
from walletwatch.rules.facts import AwaitedRequest, Facts, InternalTransfer
from walletwatch.rules.parameters import Duration, Params, Texts
from walletwatch.rules.rule_types import ROLES, rule


class UnapprovedMoveParams(Params):
    """Moves out of wallets of `from_roles` into wallets of `to_roles` need an approved request."""

    from_roles: Texts = ("cold",)
    to_roles: Texts = ROLES

    @field_validator("from_roles", "to_roles")
    @classmethod
    def _known(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(roles) - set(ROLES))
        if unknown or not roles:
            raise ValueError(f"must name roles out of {', '.join(ROLES)}")
        return roles


@rule(
    type="unapproved_move",
    family="authorisation",
    severity=Severity.HIGH,
    description="Value moved between own wallets, and no approved request for it names the receiving address and the "
    "amount. By default every way out of a cold wallet is looked at. Judged when the move is in a block.",
    source="Bybit 2025-02-21: the theft was signed as a routine move from the cold to a warm wallet",
    default_on=False,
)
def unapproved_move(event: InternalTransfer, facts: Facts, params: UnapprovedMoveParams) -> Verdict:
    """Violated by a move that no request explains whose approvals suffice. Unknown without an approval feed."""
    if facts.role(event.wallet) not in params.from_roles:
        return PASS
    reached = [name for name in event.to_wallets if facts.role(name) in params.to_roles]
    if not reached:
        return PASS
    found = facts.match()
    short = [m for m in found.matches if not m.authorisation.met]
    if not short and not found.near and not found.reused and not found.unexplained:
        return PASS
    said = f"{say_amount(facts, event.asset, event.amount)} moved from {event.wallet} to {', '.join(reached)}"
    evidence = {"to_wallets": list(event.to_wallets), **amount_json(facts, event.asset, event.amount)}
    evidence |= _evidence(event, facts, found)
    doubtful = [m for m in short if m.authorisation.undetermined]
    if short and len(doubtful) == len(short) and not (found.near or found.reused or found.unexplained):
        return undetermined(doubtful[0].authorisation.undetermined, **evidence)
    return unless_blind(found, violation(f"{said}: {_say_why(found)}", **evidence))


def _say_why(found: MatchResult) -> str:
    if found.unexplained:
        return "no request asks for it"
    if found.near:
        return f"request {found.near[0].authorisation.request.id} differs in its {found.near[0].differs}"
    if found.reused:
        return f"request {found.reused[0].request_id} was paid before"
    answer = next(m.authorisation for m in found.matches if not m.authorisation.met)
    if answer.withdrawn is not None:
        return f"request {answer.request.id} was withdrawn"
    return f"request {answer.request.id} has {len(answer.counted)} of {answer.quorum} approvals"


def _evidence(event: InternalTransfer, facts: Facts, found: MatchResult) -> dict[str, Any]:
    return {
        "unexplained": shown(payment_json(event.asset, facts, p) for p in found.unexplained),
        "reused": shown(reuse_json(event.asset, facts, r) for r in found.reused),
        **near_json(event.asset, facts, found.near),
        **matches_json(event.asset, facts, [m for m in found.matches if not m.authorisation.met]),
    }


class RequestUnpaidParams(Params):
    """A request must be seen on chain within `after` of the approval that met its policy."""

    after: Duration = Field(default=86_400, gt=0)


@rule(
    type="request_unpaid",
    family="authorisation",
    severity=Severity.MEDIUM,
    description="A request was approved, and no transaction that pays it was seen for longer than you allow. The time "
    "is that of the chain's latest block, so that a chain that lags is not taken for a payment that is missing. It "
    "is resolved when the payment comes or the request is withdrawn.",
    source="A missing payout is the other half of a wrong one: DMM Bitcoin's real payee never got the 4,502.9 BTC",
    default_on=False,
)
def request_unpaid(event: AwaitedRequest, facts: Facts, params: RequestUnpaidParams) -> Verdict:
    """Violated by more than `after` between approval and the latest block. Unknown for a chain that is not watched."""
    answer = event.authorisation
    intent = answer.request.intent
    if answer.withdrawn is not None:
        return PASS
    if not answer.met or event.approved_at is None:
        if not answer.undetermined:
            return PASS
        return undetermined(answer.undetermined, **authorisation_json(answer))
    if not event.watched:
        reason = f"no wallet is watched on {event.chain}: whether request {answer.request.id} was paid cannot be seen"
        return Verdict(
            VerdictKind.UNDETERMINED, reason, {"reason": reason, **authorisation_json(answer)}, Severity.INFO
        )
    if event.at - event.approved_at <= timedelta(seconds=params.after):
        return PASS
    expired = intent.expires_at is not None and intent.expires_at < event.at
    return violation(
        f"request {answer.request.id} for {say_amount(facts, intent.asset, intent.amount)} to {intent.destination} was "
        f"approved at {format_utc(event.approved_at)} and not paid within {say_duration(params.after)}",
        destination=intent.destination.text,
        **amount_json(facts, intent.asset, intent.amount),
        approved_at=format_utc(event.approved_at),
        looked_at=format_utc(event.at),
        after=say_duration(params.after),
        expired=expired,
        **authorisation_json(answer),
    )
