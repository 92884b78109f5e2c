"""Limits on what may leave at once and in a time. A limit is broken by more than it, never by what equals it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from chains.model import Address, AssetId
from walletwatch.domain.findings import PASS, Severity, Verdict, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.evidence import (
    SHOWN,
    amount_json,
    counted_json,
    destinations_of,
    limit_json,
    price_json,
    say_amount,
    say_duration,
    say_usd,
    shown,
    usd_json,
    window_json,
)
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import Duration, Limit, LimitAmount, Params
from walletwatch.rules.rule_types import rule

Scope = Literal["wallet", "destination", "asset", "all"]
_SCOPE_WORDS = {
    "wallet": "from this wallet",
    "destination": "to one destination",
    "asset": "of this asset",
    "all": "from all wallets",
}


class TransactionLimitParams(Params):
    """`max`: the most one outflow may carry, in an asset or in USD."""

    max: LimitAmount


class WindowLimitParams(Params):
    """`max` in any `window`, added up `per` wallet, destination, asset, or over all."""

    max: LimitAmount
    window: Duration = Field(gt=0)
    per: Scope = "wallet"


class CountLimitParams(Params):
    """At most `max` outflows in any `window`, counted `per` wallet, destination, asset, or over all."""

    max: int = Field(ge=0, le=10**9)
    window: Duration = Field(gt=0)
    per: Scope = "wallet"


@rule(
    type="transaction_limit",
    family="limits",
    severity=Severity.HIGH,
    description="One outflow is larger than you allow. A limit in coins looks at that coin only; a limit in USD looks "
    "at everything, at the price in force when the transaction was broadcast.",
    source="DMM Bitcoin 2024-05-31: 4,502.9 BTC in one transaction",
)
def transaction_limit(outflow: Outflow, facts: Facts, params: TransactionLimitParams) -> Verdict:
    """Violated by more than `max`. Unknown without a price where `max` is in USD."""
    limit = params.max
    if limit.asset is not None and limit.asset != outflow.asset:
        return PASS
    is_over, seen = exceeds(limit, outflow.amount, outflow.asset, facts)
    if not is_over:
        return PASS
    amount = say_amount(facts, outflow.asset, outflow.amount)
    return violation(f"{amount} left {outflow.wallet} in one transaction; the limit is {limit.text}", **seen)


def exceeds(limit: Limit, units: int, asset: AssetId, facts: Facts) -> tuple[bool, dict[str, Any]]:
    """Whether `units` of `asset` are more than `limit`, exactly, and if so the numbers to check it with."""
    price = None if limit.asset is not None else facts.price(asset)
    # Multiplied out, so that no rounding decides.
    is_over = units > limit.units if price is None else units * price.usd_e8 > limit.units * 10**price.decimals
    if not is_over:
        return False, {}
    seen: dict[str, Any] = {"amount": amount_json(facts, asset, units), "limit": limit_json(limit)}
    if price is None:
        return True, seen
    return True, {**seen, "price": price_json(price), "value": usd_json(price.value_e8(units))}


@rule(
    type="window_limit",
    family="limits",
    severity=Severity.HIGH,
    description="The outflows of some time add up to more than you allow, per wallet, per destination, per asset, or "
    "over everything. The window slides: it looks back from each outflow. Orphaned and replaced ones do not count.",
    source="Coincheck 2018-01-26: six transactions in eight minutes",
)
def window_limit(outflow: Outflow, facts: Facts, params: WindowLimitParams) -> Verdict:
    """Violated by more than `max` in (t - window, t]. Unknown without a price where `max` is in USD."""
    limit = params.max
    if limit.asset is not None and limit.asset != outflow.asset:
        return PASS
    broken = []
    for chosen in scopes(outflow, params.per, limit.asset):
        total = facts.spent(params.window, **chosen, in_usd=limit.asset is None).total
        if total > limit.units:
            broken.append((total, chosen))
    if not broken:
        return PASS
    total, chosen = max(broken, key=lambda pair: pair[0])
    counted = facts.counted(params.window, **chosen, in_usd=limit.asset is None, limit=SHOWN)
    said = say_usd(total) if limit.asset is None else say_amount(facts, limit.asset, total)
    return violation(
        f"{said} left {_SCOPE_WORDS[params.per]} within {say_duration(params.window)}; the limit is {limit.text}",
        total=usd_json(total) if limit.asset is None else amount_json(facts, limit.asset, total),
        limit=limit_json(limit),
        per=params.per,
        destinations=shown(str(c["destination"]) for _, c in broken if "destination" in c),
        window=window_json(outflow.broadcast_at, params.window),
        count=facts.spent(params.window, **chosen).count,
        counted=counted_json(counted),
    )


def scopes(outflow: Outflow, per: Scope, asset: AssetId | None) -> list[dict[str, Any]]:
    """The filters of `Facts.spent` for one scope: one set of them for each destination, else a single one."""
    in_asset: dict[str, Any] = {} if asset is None else {"asset": asset}
    if per == "wallet":
        return [{"wallet": outflow.wallet, **in_asset}]
    if per == "asset":
        return [{"asset": outflow.asset}]
    if per == "all":
        return [in_asset]
    places: list[Address] = list(destinations_of(outflow))
    return [{"destination": place, **in_asset} for place in places]


@rule(
    type="count_limit",
    family="limits",
    severity=Severity.MEDIUM,
    description="More outflows in some time than you allow, however small each is.",
    source="Coincheck 2018-01-26; Liquid 2021-08-19: dozens of assets within minutes",
)
def count_limit(outflow: Outflow, facts: Facts, params: CountLimitParams) -> Verdict:
    """Violated by more than `max` outflows in (t - window, t]."""
    counts = [(facts.spent(params.window, **chosen).count, chosen) for chosen in scopes(outflow, params.per, None)]
    most, chosen = max(counts, key=lambda pair: pair[0], default=(0, {}))
    if most <= params.max:
        return PASS
    return violation(
        f"{most} outflows {_SCOPE_WORDS[params.per]} within {say_duration(params.window)}; the limit is {params.max}",
        count=most,
        limit=params.max,
        per=params.per,
        destinations=[str(chosen["destination"])] if "destination" in chosen else [],
        window=window_json(outflow.broadcast_at, params.window),
        counted=counted_json(facts.counted(params.window, **chosen, limit=SHOWN)),
    )
