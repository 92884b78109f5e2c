"""Requests that were approved and never paid: lost in a queue, paid where nobody looks, or paid to somebody else."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, undetermined, violation
from walletwatch.domain.times import format_utc
from walletwatch.rules.evidence import amount_json, authorisation_json, say_amount, say_duration
from walletwatch.rules.facts import AwaitedRequest, Facts
from walletwatch.rules.parameters import Duration, Params
from walletwatch.rules.rule_types import rule


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
