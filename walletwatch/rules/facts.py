"""What a rule may ask about. `pipeline` answers from the store, inside the block's transaction; tests from memory.

A question that cannot be answered raises `Unknown`; the engine turns that into an undetermined verdict, so that what is
not known never reads as fine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from chains.model import Address, AssetId, ChainTransaction
from walletwatch.domain.labels import Label
from walletwatch.domain.payments import MatchResult
from walletwatch.domain.prices import Price


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
