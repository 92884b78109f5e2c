"""Labels: public statements about addresses, with source and confidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

CATEGORIES = frozenset(
    {"exchange", "service", "mixer", "bridge", "sanctioned", "darknet", "scam", "theft", "gambling"}
    | {"wallet", "defi", "other"}
)
STOP_CATEGORIES = frozenset({"exchange", "service", "mixer", "bridge", "sanctioned"})
"""Categories at which the tracer stops: these services mix the funds of many people."""


@dataclass(frozen=True, slots=True)
class Label:
    """One statement: `address` (in its chain's usual text form) on `chain` (CAIP-2, or `*` for any) is `label`.

    `confidence_milli` is 0..1000 (CONTRACT's 0 to 1). Valid in [valid_from, expires_at); None means unbounded.
    """

    chain: str
    address: str
    label: str
    category: str
    source: str = ""
    confidence_milli: int = 500
    valid_from: datetime | None = None
    expires_at: datetime | None = None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the label is valid at `moment`."""
        after = self.valid_from is None or self.valid_from <= moment
        return after and (self.expires_at is None or moment < self.expires_at)
