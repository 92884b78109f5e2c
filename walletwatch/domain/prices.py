"""Prices as exact integers, and the exception for unknown facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chains.model import AssetId

USD_SCALE = 10**8
"""A price is an integer of 1e-8 USD for one whole unit of the asset."""


class Unknown(Exception):
    """A requested fact is not available; the message says why."""


@dataclass(frozen=True, slots=True)
class Price:
    """`usd_e8` = 1e-8 USD for one whole unit (10**decimals base units), from `source`, as of `at`."""

    asset: AssetId
    usd_e8: int
    decimals: int
    source: str
    at: datetime | None = None

    def value_e8(self, units: int) -> int:
        """Value of `units` base units in 1e-8 USD, rounded down."""
        scale: int = 10**self.decimals
        return units * self.usd_e8 // scale
