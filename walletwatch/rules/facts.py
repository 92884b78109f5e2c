"""What a rule may ask about. `pipeline` answers from the store, inside the block's transaction; tests from memory.

A question that cannot be answered raises `Unknown`; the engine turns that into an undetermined verdict, so that what is
not known never reads as fine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chains.model import Address, AssetId, ChainTransaction
from walletwatch.domain.labels import Label
from walletwatch.domain.payments import MatchResult

USD_SCALE = 10**8
"""A price is an integer of 1e-8 USD for one whole unit of the asset."""


class Unknown(Exception):
    """The facts asked for are not to be had; the message says why, for a person."""


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


@dataclass(frozen=True, slots=True)
class Spent:
    """What went out in a window: the sum in base units (or 1e-8 USD) and how many outflows, the judged one included."""

    total: int
    count: int


class Facts(Protocol):
    """Everything known about one outflow beyond itself. Windows are (t - window, t], t the outflow's broadcast time;
    orphaned and replaced outflows do not count.
    """

    def role(self, wallet: str) -> str:
        """The role of an own wallet."""

    def transaction(self) -> ChainTransaction | None:
        """The transaction itself, None where only the stored outflow is left."""

    def match(self) -> MatchResult:
        """What the approvals say. Raises Unknown if no feed is configured or it is dead."""

    def symbol(self, asset: AssetId) -> tuple[str, int]:
        """Symbol and decimals."""

    def price(self, asset: AssetId) -> Price:
        """The price in force at broadcast. Raises Unknown if missing or stale."""

    def spent(
        self,
        window_secs: int,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: Address | None = None,
        in_usd: bool = False,
    ) -> Spent:
        """Outflows in the window that fit every filter given, this one included. Raises Unknown where `in_usd` and a
        price is missing.
        """

    def first_paid(self, destination: Address, within_secs: int | None = None) -> bool:
        """True if no watched wallet has paid `destination` before this transaction (within the history, if given)."""

    def payees(self) -> Iterable[Address]:
        """Known payees on this chain: destinations paid before, requested destinations and allowlists."""

    def labels(self, address: Address) -> tuple[Label, ...]:
        """Labels valid at broadcast."""

    def balance_before(self, wallet: str, asset: AssetId) -> int:
        """Base units the wallet held before this transaction. Raises Unknown without an opening balance."""
