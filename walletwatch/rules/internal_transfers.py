"""Moves between own wallets, held to approval like withdrawals: into a hot wallet is the way out of a cold one."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from walletwatch.domain.findings import PASS, Severity, Verdict, undetermined, violation
from walletwatch.domain.withdrawals import MatchResult
from walletwatch.rules.evidence import (
    amount_json,
    matches_json,
    near_json,
    payment_json,
    reuse_json,
    say_amount,
    shown,
    unless_blind,
)
from walletwatch.rules.facts import Facts, InternalTransfer
from walletwatch.rules.parameters import Params, Texts
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
