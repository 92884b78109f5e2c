"""The answer of a preflight as JSON: for approvers' screens, and for whoever signs by a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chains.model import AssetId
from walletwatch.approvals.intents import hash_intent
from walletwatch.domain.findings import Severity, VerdictKind
from walletwatch.domain.objects import Names, finding_object, outflow_object, time_text
from walletwatch.domain.payments import Match, MatchResult, NearMiss, Payment
from walletwatch.service.preflights import Preflight, Reason, loudness

_FINDING_KEYS = ("rule", "rule_id", "verdict", "severity", "mode", "wallet", "asset", "summary", "evidence")
_DRAFT_RULE = "draft"
"""Stands for a rule in reasons that come of the bytes themselves."""


def preflight_object(answer: Preflight, names: Names) -> dict[str, Any]:
    """The whole answer. `shown_hash` are the hashes an approver's screen should show, one for each payment."""
    chain, draft, judged = str(answer.watched.chain), answer.draft, answer.judgement
    payments = list(_payments(answer, names))
    return {
        "chain": names.chain(chain),
        "chain_id": chain,
        "kind": draft.kind,
        **draft.digests,
        "verdict": str(answer.verdict),
        "shown_hash": [row["shown_hash"] for row in payments],
        "requests": list(dict.fromkeys(row["request"] for row in payments if row["request"])),
        "reasons": reason_rows(answer, names),
        "payments": payments,
        "outflows": [_outflow(row) for row in (outflow_object(o, names) for o in judged.outflows)],
        "not_judged": list(judged.not_judged),
        "rules_digest": answer.rules_digest,
        "judged_at": time_text(answer.at),
    }


def reason_rows(answer: Preflight, names: Names) -> list[dict[str, Any]]:
    """What the bytes leave open or contradict, then the findings, the loudest first."""
    found = sorted(answer.judgement.findings, key=loudness)
    rows = [{key: finding_object(f, names)[key] for key in _FINDING_KEYS} for f in found]
    return [*(_reason(reason) for reason in answer.reasons), *rows]


def _reason(reason: Reason) -> dict[str, Any]:
    severity = Severity.CRITICAL if reason.verdict is VerdictKind.VIOLATION else Severity.HIGH
    return {
        "rule": _DRAFT_RULE,
        "rule_id": _DRAFT_RULE,
        "verdict": str(reason.verdict),
        "severity": str(severity),
        "mode": "enforce",
        "wallet": "",
        "asset": "",
        "summary": reason.summary,
        "evidence": {},
    }


def _outflow(row: Mapping[str, Any]) -> dict[str, Any]:
    """An outflow that does not exist yet has neither id nor place."""
    return {key: row[key] for key in ("wallet", "asset", "symbol", "decimals", "amount", "destinations", "fee")}


def _payments(answer: Preflight, names: Names) -> Iterator[dict[str, Any]]:
    """Everything that would be paid, with the request that explains it, if one does."""
    results = {(r.spending.asset, r.spending.payments): r for r in answer.judgement.matches}
    paid = [(outflow.asset, outflow.payments) for outflow in answer.judgement.outflows]
    paid += [(move.asset, move.payments) for move in answer.judgement.moves]
    for asset, payments in dict.fromkeys(paid):
        result = results.get((asset, payments))
        for payment in payments:
            yield _payment(answer, names, asset, payment, result)


def _payment(
    answer: Preflight, names: Names, asset: AssetId, payment: Payment, result: MatchResult | None
) -> dict[str, Any]:
    found = _explanation(payment, result)
    row = {**names.unit(asset), "amount": str(payment.amount), "destination": payment.address.text}
    if found is None:
        return {**row, "request": None, "intent_hash": None, "shown_hash": _plain_hash(answer, asset, payment)}
    request = found.authorisation.request
    more: dict[str, Any] = {}
    if isinstance(found, NearMiss):
        shown, more["differs"] = _plain_hash(answer, asset, payment), found.differs
    else:
        shown, more["ambiguous_with"] = request.intent.hash, list(found.rivals)
    return {
        **row,
        "request": request.id,
        "intent_hash": request.intent.hash,
        "shown_hash": shown,
        "approved": found.authorisation.met,
        "missing": list(found.authorisation.missing),
        **more,
    }


def _explanation(payment: Payment, result: MatchResult | None) -> Match | NearMiss | None:
    if result is None:
        return None
    found: tuple[Match | NearMiss, ...] = (*result.matches, *result.near)
    return next((one for one in found if one.payment == payment), None)


def _plain_hash(answer: Preflight, asset: AssetId, payment: Payment) -> str:
    """The hash of what the bytes say would be paid, in the least form an intent has: it is no request's hash, so that
    an approval given on this screen counts for none.
    """
    return hash_intent(
        {
            "chain": str(answer.watched.chain),
            "asset": str(asset),
            "amount": str(payment.amount),
            "destination": payment.address.text,
        }
    )
