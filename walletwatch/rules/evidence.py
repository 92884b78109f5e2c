"""What a finding shows so that a person can check it with a calculator: JSON values, amounts as text of base units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from chains.model import Address, AssetId, format_units
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Price
from walletwatch.domain.times import format_utc
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
