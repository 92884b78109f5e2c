"""What is judged and is no outflow. The finding's key has one place for (transaction, wallet, asset, rule), so an event
gathers all that one transaction did to one wallet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chains.model import AccountTransaction, AssetId, ChainId, ControlChange, TxId


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """Every change in the control of `wallet` that one transaction made. `at` is the transaction's broadcast time."""

    chain: ChainId
    tx: TxId
    wallet: str
    at: datetime
    changes: tuple[ControlChange, ...]


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """A transaction that `wallet` sent on an account chain, whether it did what it was meant to or failed."""

    chain: ChainId
    tx: TxId
    wallet: str
    at: datetime
    transaction: AccountTransaction


@dataclass(frozen=True, slots=True)
class OwnMove:
    """`amount` base units of `asset` moved from `wallet` to another own wallet."""

    chain: ChainId
    tx: TxId
    wallet: str
    at: datetime
    asset: AssetId
    amount: int
    to_wallet: str


Event = ControlEvent | SentTransaction | OwnMove
