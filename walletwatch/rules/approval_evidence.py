"""What findings about approvals show: payments, requests and every act, so that the lines can be found in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chains.model import AssetId
from walletwatch.domain.findings import Verdict, undetermined
from walletwatch.domain.payments import Match, MatchResult, NearMiss, Payment, Reuse
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, Authorisation
from walletwatch.rules.evidence import amount_json, shown
from walletwatch.rules.facts import Facts


def say_payments(payments: Sequence[Payment]) -> str:
    """For a sentence: `to X and 2 more`."""
    return f"to {payments[0].address}" + (f" and {len(payments) - 1} more" if len(payments) > 1 else "")


def unless_blind(found: MatchResult, verdict: Verdict) -> Verdict:
    """While a feed is dead what it holds may explain the payment: said, and never read as fine."""
    if not found.blind:
        return verdict
    return undetermined(f"{found.blind}; so far: {verdict.summary}", **verdict.evidence)


def near_json(asset: AssetId, facts: Facts, near: Sequence[NearMiss]) -> dict[str, Any]:
    """Requests that differ in one thing, with what was expected and what was found."""
    return {
        "request_ids": shown(miss.authorisation.request.id for miss in near),
        "mismatches": shown(_miss_json(asset, facts, miss) for miss in near),
        "mismatches_count": len(near),
    }


def _miss_json(asset: AssetId, facts: Facts, miss: NearMiss) -> dict[str, Any]:
    intent = miss.authorisation.request.intent
    return {
        "expected": {"destination": intent.destination.text, **amount_json(facts, intent.asset, intent.amount)},
        "found": payment_json(asset, facts, miss.payment),
        "differs": miss.differs,
        "named_by_broadcast": miss.by_txid,
        **authorisation_json(miss.authorisation),
    }


def reuse_json(asset: AssetId, facts: Facts, reuse: Reuse) -> dict[str, Any]:
    """A request that was paid before, and by which transaction."""
    payment = payment_json(asset, facts, reuse.payment)
    return {"request_id": reuse.request_id, "first_tx": reuse.first_tx.hex(), "payment": payment}


def matches_json(asset: AssetId, facts: Facts, matches: Sequence[Match]) -> dict[str, Any]:
    """The requests that explain payments, with every act that counts and every act that does not."""
    return {
        "request_ids": shown(m.authorisation.request.id for m in matches),
        "requests": shown(
            {
                "payment": payment_json(asset, facts, m.payment),
                "named_by_broadcast": m.by_txid,
                **({"rivals": list(m.rivals)} if m.rivals else {}),
                **_leeway_json(asset, facts, m),
                **authorisation_json(m.authorisation),
            }
            for m in matches
        ),
    }


def _leeway_json(asset: AssetId, facts: Facts, match: Match) -> dict[str, Any]:
    """What the policy's leeway was used for; nothing where the payment is what was asked for."""
    if not match.short and not match.paid_before:
        return {}
    found: dict[str, Any] = {"part": match.part, "paid_before": amount_json(facts, asset, match.paid_before)}
    if match.short >= 0:
        return found | {"short": amount_json(facts, asset, match.short)}
    return found | {"over": amount_json(facts, asset, -match.short)}


def payment_json(asset: AssetId, facts: Facts, payment: Payment) -> dict[str, Any]:
    """One arrival."""
    amount = amount_json(facts, asset, payment.amount)
    return {"ordinal": payment.ordinal, "destination": payment.address.text, **amount}


def authorisation_json(answer: Authorisation) -> dict[str, Any]:
    """A request's standing, so that a person can recompute it."""
    return {
        "request_id": answer.request.id,
        "requested": act_json(answer.request.requested),
        "quorum_met": answer.met,
        "policy": answer.policy,
        "policy_digest": answer.policy_digest,
        "quorum": answer.quorum,
        "counted": shown(act_json(act) for act in answer.counted),
        "refused": shown({**act_json(r.act), "rule": r.rule, "reason": r.reason} for r in answer.refused),
        "missing": list(answer.missing),
        "signed": answer.signed,
        **({"withdrawn": act_json(answer.withdrawn)} if answer.withdrawn is not None else {}),
        "steps": shown(answer.explanation),
    }


def act_json(act: Act) -> dict[str, Any]:
    """One act, so that its line can be found: feed, line and the SHA-256 of its payload."""
    return {
        "act": act.kind.value,
        "actor": act.actor,
        "kid": act.kid,
        "at": format_utc(act.at),
        "intent_hash": act.intent_hash,
        **({"shown_hash": act.shown_hash} if act.shown_hash else {}),
        "feed": act.feed,
        "line": act.line,
        "grade": str(act.grade),
        "digest": act.digest.hex(),
    }
