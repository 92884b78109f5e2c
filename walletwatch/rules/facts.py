"""What rules judge beside outflows, and the port that answers their questions of the past."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from chains.model import AccountTransaction, Address, AssetId, ChainId, ChainTransaction, ControlChange, TxId
from walletwatch.domain.labels import Label
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Authorisation, MatchResult, Payment, Request
from walletwatch.rules.lookalikes import PayeeIndex


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
class InternalTransfer:
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


Event = ControlEvent | SentTransaction | InternalTransfer | AwaitedRequest


if TYPE_CHECKING:
    from walletwatch.rules.wallet_profile import WalletProfile


@dataclass(frozen=True, slots=True)
class Spent:
    """What went out in a window: the sum in base units (or 1e-8 USD) and how many outflows, the judged one included."""

    total: int
    count: int


class Periods:
    """What went out in each period that saw an outflow, oldest first. Sorted by size on first use: many rules
    read the same past.
    """

    def __init__(self, spent: Iterable[Spent] = ()) -> None:
        self.spent = tuple(spent)

    def __len__(self) -> int:
        return len(self.spent)

    @cached_property
    def totals(self) -> Sequence[int]:
        """The sums, smallest first."""
        return sorted(period.total for period in self.spent)

    @cached_property
    def counts(self) -> Sequence[int]:
        """The numbers of outflows, smallest first."""
        return sorted(period.count for period in self.spent)

    def moved(self, gone: int, more: Iterable[Spent]) -> Periods:
        """Without the `gone` oldest and with `more` new ones; what stands in order of size needs no sorting again."""
        new, old = tuple(more), self.spent[:gone]
        now = Periods((*self.spent[gone:], *new))
        if "totals" in self.__dict__:
            now.__dict__["totals"] = _reordered(self.totals, [p.total for p in old], [p.total for p in new])
        if "counts" in self.__dict__:
            now.__dict__["counts"] = _reordered(self.counts, [p.count for p in old], [p.count for p in new])
        return now


def _reordered(ordered: Sequence[int], gone: Iterable[int], more: Iterable[int]) -> list[int]:
    found = list(ordered)
    for value in gone:
        del found[bisect_left(found, value)]
    for value in more:
        insort(found, value)
    return found


@dataclass(frozen=True, slots=True)
class Counted:
    """One outflow that counts in a window: `amount` base units of it count (with a destination, what was paid to it,
    each payment once). `usd_e8` is its value at its own broadcast, None if it was not requested.
    """

    outflow: str
    tx: TxId
    wallet: str
    asset: AssetId
    amount: int
    at: datetime
    usd_e8: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """`units` base units of `asset` that an own wallet holds."""

    wallet: str
    role: str
    asset: AssetId
    units: int


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

    def native(self) -> AssetId:
        """The coin of this chain, in which fees are paid."""

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

    def balance_after(self, wallet: str, asset: AssetId) -> int:
        """Base units the wallet holds after this transaction, its fee paid. Raises Unknown like `balance_before`."""

    def holdings(self) -> Sequence[Holding]:
        """What every own wallet of every chain holds after this transaction. Raises Unknown if one is not known."""

    def counted(
        self,
        window_secs: int,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: Address | None = None,
        in_usd: bool = False,
        limit: int | None = None,
    ) -> Sequence[Counted]:
        """The outflows that `spent` adds up, newest first, this one included; at most `limit`. Raises like `spent`."""

    def active_periods(
        self, period_secs: int, history_secs: int, *, wallet: str, asset: AssetId | None = None
    ) -> Periods:
        """What went out in each whole period that saw an outflow. Periods begin at multiples of `period_secs` since
        1970; those count that begin at or after t - history_secs and end at or before t - period_secs, so that the past
        holds nothing of the window (t - period_secs, t] it is compared with. Totals are of `asset`, and 0 where it is
        None.
        """

    def payee_index(self) -> PayeeIndex:
        """`payees`, indexed; the caller keeps it between outflows."""

    def first_paid_at(self, destination: Address) -> datetime | None:
        """Broadcast time of the earliest payment to `destination` by any watched wallet before this transaction."""

    def watched_since(self, wallet: str) -> datetime:
        """Since when what the wallet does is known without a gap. Raises Unknown."""

    def last_moved_at(self, wallet: str) -> datetime | None:
        """Broadcast time of the wallet's latest transaction before this one in which it spent anything, moves to own
        wallets included; None if there was none since `watched_since`.
        """

    def has_moved_since(self, wallet: str, moment: datetime) -> bool:
        """Whether `last_moved_at` is `moment` or later."""

    def past(self, wallet: str, limit: int) -> WalletProfile:
        """What the wallet's last `limit` transactions before this one (broadcast no later, judged before) add up to.
        Good until the next outflow is judged.
        """

    def requests_to(self, destination: Address, window_secs: int) -> Sequence[Request]:
        """Valid requests for `destination` made within the window. Raises Unknown if no feed is configured or it is
        dead.
        """

    def frozen_at(self, wallet: str) -> datetime | None:
        """When the wallet was frozen: the opening of the earliest critical alert about it that stands when this
        transaction was broadcast (not closed), or of a case; None if there is none.
        """
