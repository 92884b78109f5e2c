"""How amounts of an asset are written in exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.model import AssetId, format_units
from walletwatch.output.texts import clean

Symbols = Mapping[AssetId, tuple[str, int]]
"""Symbol and decimals by asset."""


@dataclass(frozen=True, slots=True)
class Unit:
    """How amounts of one asset are written."""

    symbol: str
    decimals: int

    def exact(self, units: int) -> str:
        """Every digit: '4,502.9 BTC'."""
        return f"{format_units(units, self.decimals)} {self.symbol}"

    def short(self, units: int, places: int = 4) -> str:
        """Rounded down to `places` decimals, marked if it is not exact: '0.1234… ETH'."""
        keep = min(places, self.decimals)
        step: int = 10 ** (self.decimals - keep)
        if 0 < units < step:
            return self.exact(units)
        mark = "…" if units % step else ""
        return f"{format_units(units // step, keep)}{mark} {self.symbol}"


def unit_of(asset: AssetId, symbols: Symbols) -> Unit:
    """The unit of `asset`; base units of its CAIP-19 id where nobody knows better."""
    symbol, decimals = symbols.get(asset, (f"base units of {asset}", 0))
    return Unit(clean(symbol), decimals)
