"""Evidence in the form in which findings carry it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from chains.model import Address, AssetId, format_units
from walletwatch.domain.findings import Verdict, undetermined
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Price
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, Authorisation, Match, MatchResult, NearMiss, Payment, Reuse
from walletwatch.rules.facts import Counted, Facts
from walletwatch.rules.parameters import USD_DECIMALS, Limit

SHOWN = 50
"""At most so many items of a list are shown; how many there are is said beside it."""


def say_amount(facts: Facts, asset: AssetId, units: int) -> str:
    """For a sentence: `4,502.9 BTC`."""
    symbol, decimals = facts.symbol(asset)
    return f"{format_units(units, decimals)} {symbol}"


def say_usd(usd_e8: int) -> str:
    """For a sentence: whole cents, rounded down: `1,000,000 USD`."""
    return f"{format_units(usd_e8 // 10 ** (USD_DECIMALS - 2), 2)} USD"


def say_percent(milli: int) -> str:
    """Thousandths of a percent as text: 2500 -> `2.5 %`."""
    return f"{format_units(milli, 3)} %"


def say_duration(secs: int) -> str:
    """The largest unit that divides: 86400 -> `1 d`, 5400 -> `90 min`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if secs and secs % size == 0:
            return f"{secs // size} {unit}"
    return f"{secs} s"


def amount_json(facts: Facts, asset: AssetId, units: int) -> dict[str, Any]:
    """An amount as every JSON object of the project shows it."""
    symbol, decimals = facts.symbol(asset)
    return {"amount": str(units), "asset": str(asset), "symbol": symbol, "decimals": decimals}


def usd_json(usd_e8: int) -> dict[str, Any]:
    """A value in US dollars, in units of 1e-8."""
    return {"amount": str(usd_e8), "asset": "USD", "symbol": "USD", "decimals": USD_DECIMALS}


def limit_json(limit: Limit) -> dict[str, Any]:
    """A configured amount."""
    asset = "USD" if limit.asset is None else str(limit.asset)
    return {"amount": str(limit.units), "asset": asset, "symbol": limit.symbol, "decimals": limit.decimals}


def price_json(price: Price) -> dict[str, Any]:
    """The price a verdict rests on: pinned, because tomorrow's is another."""
    pinned: dict[str, Any] = {"asset": str(price.asset), "usd_e8": str(price.usd_e8), "source": price.source}
    return pinned if price.at is None else {**pinned, "at": format_utc(price.at)}


def window_json(until: datetime, secs: int) -> dict[str, Any]:
    """The window (after, until]."""
    return {"after": format_utc(until - timedelta(seconds=secs)), "until": format_utc(until), "secs": secs}


def counted_json(counted: Sequence[Counted]) -> list[dict[str, Any]]:
    """The outflows a sum is made of, at most `SHOWN`."""
    return [
        {"outflow": c.outflow, "tx": c.tx.hex(), "at": format_utc(c.at), "wallet": c.wallet}
        | {"amount": str(c.amount), "asset": str(c.asset)}
        | ({} if c.usd_e8 is None else {"usd_e8": str(c.usd_e8)})
        for c in counted[:SHOWN]
    ]


_last: tuple[Outflow | None, Mapping[Address, int]] = (None, {})


def destinations_of(outflow: Outflow) -> Mapping[Address, int]:
    """Base units by destination, in the order of the payments; of the last outflow it is remembered, for all rules."""
    global _last  # noqa: PLW0603 - one tuple, put in place at once: no thread sees half of it
    known, paid = _last
    if known is not outflow:
        sums: dict[Address, int] = {}
        for payment in outflow.payments:
            sums[payment.address] = sums.get(payment.address, 0) + payment.amount
        paid = MappingProxyType(sums)
        _last = (outflow, paid)
    return paid


def first_receivers(outflow: Outflow) -> Mapping[str, Any]:
    """Said wherever destinations matter: without traces the first receiver may not be where value came to rest."""
    return {} if outflow.traced else {"destinations_are": "first receivers: the node shows no inner calls"}


def shown(items: Iterable[Any]) -> list[Any]:
    """At most `SHOWN` of the items."""
    return list(items)[:SHOWN]


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
    """What the policy's leeway was used for; empty where the payment is what was requested."""
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
        **({"read_late": True} if answer.read_late else {}),
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
        **({"read_late": True} if act.read_late else {}),
        "digest": act.digest.hex(),
    }
