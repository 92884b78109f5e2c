"""What is judged and is no outflow. The finding's key has one place for (transaction, wallet, asset, rule), so an event
gathers all that one transaction did to one wallet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chains.model import AccountTransaction, AssetId, ChainId, ControlChange, TxId
from walletwatch.domain.payments import Payment
from walletwatch.domain.withdrawals import Authorisation


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
    """`amount` base units of `asset` moved from `wallet` to other own wallets: its share of `payments`, which are all
    that the transaction moved between own wallets in this asset.
    """

    chain: ChainId
    tx: TxId
    wallet: str
    at: datetime
    asset: AssetId
    amount: int
    to_wallets: tuple[str, ...]
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class AwaitedRequest:
    """An open request, looked at when the chain was known up to `at`. `wallet` is the one it names, or empty.

    `approved_at` is when its last counted approval was given, None while it is not approved. `watched` False: the
    chain is none of ours, so that no payment can be seen.
    """

    chain: ChainId
    wallet: str
    at: datetime
    authorisation: Authorisation
    approved_at: datetime | None
    watched: bool = True
    tx: None = None

    @property
    def asset(self) -> AssetId:
        """What is to be paid."""
        return self.authorisation.request.intent.asset


Event = ControlEvent | SentTransaction | OwnMove | AwaitedRequest
