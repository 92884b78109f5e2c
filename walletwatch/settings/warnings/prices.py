"""Warnings about prices: those that make a limit worthless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from walletwatch.domain.prices import USD_SCALE
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.warnings.tables import is_fiat, line_of, sound, unpriced

DOLLARS = frozenset({"USDT", "USDC", "DAI", "USDP", "PYUSD", "TUSD", "BUSD", "FDUSD"})
"""Tokens that stand for one US dollar."""
_FACTOR = 100


def warn_of_prices(partial: PartialSettings) -> Iterator[Problem]:
    """Prices of nothing, of dollars that are none, and that contradict one another; a tracing floor without prices."""
    for entry in sound(partial, "price"):
        yield from _of_price(entry)
    yield from _contradictions(partial)
    trace = partial.singles.get("trace")
    if trace is not None and trace.has("min_value") and is_fiat(trace.value.min_value):
        missing = unpriced(partial, partial.reader.known())
        if missing:
            message = f"what this is worth is not known for {', '.join(missing)}: all of it is followed"
            yield trace.problem("min_value", message, "add a [[price]] for each")


def _of_price(entry: Entry[Any]) -> Iterator[Problem]:
    price = entry.value
    if price.usd == 0:
        yield entry.problem("usd", f"{price.asset} is worth nothing: no limit in USD ever counts it", "write its price")
    elif price.usd is not None and price.asset in DOLLARS and not USD_SCALE // 2 <= price.usd <= 2 * USD_SCALE:
        yield entry.problem("usd", f"{price.asset} stands for one dollar", 'usd = "1"')


def _contradictions(partial: PartialSettings) -> Iterator[Problem]:
    """Fixed prices of tokens of one symbol that differ by a factor of a hundred."""
    first: dict[str, Entry[Any]] = {}
    for entry in (e for e in sound(partial, "price") if e.value.usd):
        for symbol in {asset.symbol for asset in partial.reader.assets(entry.value.asset)}:
            other = first.setdefault(symbol, entry)
            low, high = sorted((other.value.usd, entry.value.usd))
            if high >= _FACTOR * low:
                message = f"{symbol} is worth a hundred times more or less at {line_of(other)}"
                yield entry.problem("usd", message, "correct one of the two")
