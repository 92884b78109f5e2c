"""Limits on shares: how much of a wallet may leave, what must stay in it, how much of all may lie online."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from chains.model import AssetId
from walletwatch.domain.findings import PASS, Severity, Verdict, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Price, Unknown
from walletwatch.rules.evidence import (
    SHOWN,
    amount_json,
    counted_json,
    limit_json,
    price_json,
    say_amount,
    say_duration,
    say_percent,
    say_usd,
    usd_json,
    window_json,
)
from walletwatch.rules.facts import Facts, Holding
from walletwatch.rules.parameters import WHOLE, Duration, LimitAmount, Params, Percent, Texts
from walletwatch.rules.rule_types import ROLES, rule


class BalanceShareParams(Params):
    """At most `max_percent` of a wallet's balance may leave in any `window`."""

    max_percent: Percent
    window: Duration = Field(gt=0)


class BalanceFloorParams(Params):
    """`min` must stay in the wallet, in an asset or in USD."""

    min: LimitAmount


class HotShareParams(Params):
    """At most `max_percent` of all value may lie in wallets of `online_roles`."""

    max_percent: Percent
    online_roles: Texts = ("hot", "warm", "deposit")

    @field_validator("online_roles")
    @classmethod
    def _known(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(roles) - set(ROLES))
        if unknown or not roles:
            raise ValueError(f"must name roles out of {', '.join(ROLES)}")
        return roles


@rule(
    type="balance_share",
    family="limits",
    severity=Severity.HIGH,
    description="Too large a part of a wallet's balance left within some time. The part is taken of what the wallet "
    "would have held had nothing left it in that time.",
    source="Bybit 2025-02-21 and DMM Bitcoin 2024-05-31: all of a wallet's balance at once",
)
def balance_share(outflow: Outflow, facts: Facts, params: BalanceShareParams) -> Verdict:
    """Violated by more than `max_percent` of (balance before + what left earlier in the window)."""
    spent = facts.spent(params.window, wallet=outflow.wallet, asset=outflow.asset)
    whole = facts.balance_before(outflow.wallet, outflow.asset) + spent.total - outflow.amount
    if spent.total * WHOLE <= params.max_percent * whole:
        return PASS
    share = say_percent(spent.total * WHOLE // whole) if whole > 0 else "more than all"
    counted = facts.counted(params.window, wallet=outflow.wallet, asset=outflow.asset, limit=SHOWN)
    return violation(
        f"{share} of what {outflow.wallet} held left within {say_duration(params.window)}; "
        f"the limit is {say_percent(params.max_percent)}",
        spent=amount_json(facts, outflow.asset, spent.total),
        held=amount_json(facts, outflow.asset, max(0, whole)),
        share=share,
        limit=say_percent(params.max_percent),
        window=window_json(outflow.broadcast_at, params.window),
        count=spent.count,
        counted=counted_json(counted),
    )


@rule(
    type="balance_floor",
    family="limits",
    severity=Severity.MEDIUM,
    description="A wallet holds less than must stay in it: time to refill it, or somebody is emptying it.",
    source="Zaif 2018-09-14: hot wallets robbed within two hours, noticed after three days",
)
def balance_floor(outflow: Outflow, facts: Facts, params: BalanceFloorParams) -> Verdict:
    """Violated by less than `min` after the transaction. Unknown without an opening balance, or without a price."""
    floor = params.min
    if floor.asset is not None and floor.asset != outflow.asset:
        return PASS
    left = facts.balance_after(outflow.wallet, outflow.asset)
    price = facts.price(outflow.asset) if floor.asset is None else None
    low = left * price.usd_e8 < floor.units * 10**price.decimals if price else left < floor.units
    if not low:
        return PASS
    seen: dict[str, Any] = {"balance": amount_json(facts, outflow.asset, left), "floor": limit_json(floor)}
    if price:
        seen |= {"price": price_json(price), "value": usd_json(price.value_e8(left))}
    said = say_amount(facts, outflow.asset, left)
    return violation(f"{outflow.wallet} holds {said} after this outflow; {floor.text} must stay", **seen)


@rule(
    type="hot_share",
    family="limits",
    severity=Severity.HIGH,
    description="Too large a part of all that the exchange holds for customers lies in wallets whose keys are online. "
    "Every role but cold counts as online unless you name others.",
    source="Payment Services Act (Japan) and its Cabinet Office Order: at most 5 % outside cold storage",
)
def hot_share(outflow: Outflow, facts: Facts, params: HotShareParams) -> Verdict:  # noqa: ARG001 - judged at each outflow
    """Violated by more than `max_percent` online after the transaction. Unknown without every balance and price."""
    holdings, prices, by_role = _worth(facts)
    online = sum(value for role, value in by_role.items() if role in params.online_roles)
    whole = sum(by_role.values())
    if not whole:
        raise Unknown("the exchange's wallets hold nothing of known value: there is no share to take")
    if online * WHOLE <= params.max_percent * whole:
        return PASS
    share = say_percent(online * WHOLE // whole)
    return violation(
        f"{share} of all value ({say_usd(online)} of {say_usd(whole)}) lies online; "
        f"the limit is {say_percent(params.max_percent)}",
        online=usd_json(online),
        all=usd_json(whole),
        share=share,
        limit=say_percent(params.max_percent),
        online_roles=list(params.online_roles),
        prices=[price_json(price) for price in prices.values()],
        holdings=_by_role(holdings),
    )


_Worth = tuple[Sequence[Holding], dict[AssetId, Price], dict[str, int]]
_last: tuple[Facts | None, _Worth] = (None, ((), {}, {}))


def _worth(facts: Facts) -> _Worth:
    """Everything held, the prices of it, and what each role holds in 1e-8 USD, each holding rounded down. Of the last
    facts it is remembered, for all rules.
    """
    global _last  # noqa: PLW0603 - one tuple, put in place at once: no thread sees half of it
    known, worth = _last
    holdings = facts.holdings()
    if known is not facts or worth[0] is not holdings:
        prices = {asset: facts.price(asset) for asset in sorted({h.asset for h in holdings if h.units})}
        by_role: dict[str, int] = defaultdict(int)
        for held in holdings:
            if held.units:
                by_role[held.role] += prices[held.asset].value_e8(held.units)
        worth = (holdings, prices, by_role)
        _last = (facts, worth)
    return worth


def _by_role(holdings: Sequence[Holding]) -> list[dict[str, str]]:
    sums: dict[tuple[str, AssetId], int] = defaultdict(int)
    for holding in holdings:
        sums[holding.role, holding.asset] += holding.units
    return [{"role": role, "asset": str(asset), "amount": str(n)} for (role, asset), n in sorted(sums.items())]
