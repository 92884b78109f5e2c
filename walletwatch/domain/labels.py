"""What is publicly said about an address, by whom, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

CATEGORIES = frozenset(
    {"exchange", "service", "mixer", "bridge", "sanctioned", "darknet", "scam", "theft", "gambling"}
    | {"wallet", "defi", "other"}
)
STOP_CATEGORIES = frozenset({"exchange", "service", "mixer", "bridge", "sanctioned"})
"""Where the tracer stops: whoever holds funds there mixes them with others'."""


@dataclass(frozen=True, slots=True)
class Label:
    """One statement: `address` (the chain's usual text) on `chain` (CAIP-2, or `*` for any) is `label`.

    `confidence_milli` is 0..1000 (CONTRACT's 0 to 1). Valid in [valid_from, expires_at); None is open.
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
        """Whether the statement was held true at `moment`."""
        after = self.valid_from is None or self.valid_from <= moment
        return after and (self.expires_at is None or moment < self.expires_at)
