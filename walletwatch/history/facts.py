"""The `Facts` that rules ask (`walletwatch.rules.facts`), answered inside the transaction that judges.

There is one implementation. What differs between judging live, a preflight and a backtest are the parts in `Sources`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from chains.model import Address, AssetId, ChainId, ChainTransaction, TxId
from walletwatch.deployment import Deployment
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import MatchResult, Request
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import EPOCH, LongestWindow, Windows, add_up, ticks
from walletwatch.rules.facts import Counted, Event, Holding, Periods, Spent
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.wallet_profile import WalletProfile
from walletwatch.store import UnitOfWork
from walletwatch.store.history import PastOutflow, PaymentReceived

_P = ParamSpec("_P")
_R = TypeVar("_R")

Requests = Callable[[ChainId, Address], Sequence[Request]]
"""The valid requests for a destination. Raises Unknown if no feed is configured or it is dead."""
Receipts = Callable[[ChainId, Address, datetime, datetime, TxId], Sequence[PaymentReceived]]
"""Payments to an address in (after, until] that count, or are of the transaction given; oldest first."""


class Payments(Protocol):
    """When addresses were paid and wallets spent, by other transactions than `tx`; as `HistoryRepository` answers."""

    def first_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """When a transaction judged before `ordinal` first paid `address`, up to `until`; None if none did."""

    def last_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """When such a transaction last paid `address`."""

    def last_spent_at(self, wallet: str, tx: TxId, until: datetime) -> datetime | None:
        """Broadcast time, up to `until`, of the latest transaction in the books by which the wallet spent."""


class Books(Protocol):
    """What wallets hold according to opening balances and blocks."""

    def balance(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId) -> int:
        """Base units the wallet holds now. Raises Unknown."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the answers come from. `reach` outlives a subject, so that the next one reads its payments once."""

    unit: UnitOfWork
    deployment: Deployment
    requests: Requests
    windows: Windows
    receipts: Receipts
    payments: Payments
    recent: RecentTransactions
    books: Books
    reach: LongestWindow


def once(question: Callable[_P, _R]) -> Callable[_P, _R]:
    """Ask the sources once a subject: further rules get the same answer, `Unknown` too. For methods of `StoreFacts`."""
    name = question.__name__

    @wraps(question)
    def ask(*args: _P.args, **named: _P.kwargs) -> _R:
        answers: dict[Any, Any] = args[0].answers  # type: ignore[attr-defined]
        key = (name, *args[1:], *named.items()) if named else (name, *args[1:])
        found = answers.get(key, answers)
        if found is answers:
            try:
                found = question(*args, **named)
            except Unknown as unknown:
                found = unknown
            answers[key] = found
        if type(found) is Unknown:
            raise found
        answer: _R = found
        return answer

    return ask


class StoreFacts:
    """Facts about one subject (an outflow or an event). `transaction` and `payees` are called when a rule asks."""

    def __init__(
        self,
        sources: Sources,
        subject: Outflow | Event,
        transaction: Callable[[], ChainTransaction | None],
        match: MatchResult | Unknown,
        payees: Callable[[], PayeeIndex],
    ) -> None:
        self._sources = sources
        self._unit = sources.unit
        self._deployment = sources.deployment
        self._windows = sources.windows
        self._subject = subject
        self._transaction = transaction
        self._match = match
        self._payees = payees
        self._txid = subject.tx or b""
        self._own = self._txid if isinstance(subject, Outflow) else b""
        self._chain = subject.chain
        self._at = subject.broadcast_at if isinstance(subject, Outflow) else subject.at
        self._receipts: dict[Address, tuple[int, Sequence[PaymentReceived]]] = {}
        self.answers: dict[Any, Any] = {}
        """Answers given before (`once`)."""

    # --- the subject itself -------------------------------------------------------------------------------------------

    def role(self, wallet: str) -> str:
        """The role of an own wallet."""
        if wallet not in self._deployment.roles:
            raise Unknown(f"the role of wallet {wallet} is not known")
        return self._deployment.roles[wallet]

    def transaction(self) -> ChainTransaction | None:
        """The transaction itself."""
        return self._transaction()

    def match(self) -> MatchResult:
        """What the approvals say."""
        if isinstance(self._match, Unknown):
            raise self._match
        return self._match

    def native(self) -> AssetId:
        """The coin in which fees are paid."""
        return self._deployment.chains[self._chain].native.id

    def symbol(self, asset: AssetId) -> tuple[str, int]:
        """Symbol and decimals."""
        known = self._deployment.asset(asset)
        return known.symbol, known.decimals

    @once
    def price(self, asset: AssetId) -> Price:
        """The price in force at broadcast."""
        return self._deployment.prices.price(asset, self._at)

    @once
    def labels(self, address: Address) -> tuple[Label, ...]:
        """Labels valid at broadcast."""
        return self._deployment.labels(self._chain, address, self._at)

    # --- what left in a window ----------------------------------------------------------------------------------------

    def spent(
        self,
        window_secs: int,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: Address | None = None,
        in_usd: bool = False,
    ) -> Spent:
        """The sum of `counted`."""
        if destination is None:
            return self._windows.spent(self._at, window_secs, wallet, asset, usd=in_usd)
        rows = self._counted(window_secs, wallet, asset, destination, None)
        total = sum(self._usd(row) if in_usd else row.amount for row in rows)
        return Spent(total, len(rows))

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
        """Outflows in (t - window, t], newest first."""
        return [
            Counted(
                outflow=row.id,
                tx=row.tx,
                wallet=row.wallet,
                asset=row.asset,
                amount=row.amount,
                at=row.broadcast_at,
                usd_e8=self._usd(row) if in_usd else None,
            )
            for row in self._counted(window_secs, wallet, asset, destination, limit)
        ]

    def _counted(
        self,
        window_secs: int,
        wallet: str | None,
        asset: AssetId | None,
        destination: Address | None,
        limit: int | None,
    ) -> Sequence[PastOutflow]:
        if destination is not None:
            return add_up(self._received(destination, window_secs), wallet, asset)[:limit]
        return self._windows.counted(self._at, window_secs, wallet, asset, limit)

    def _usd(self, row: PastOutflow) -> int:
        return self._deployment.prices.price(row.asset, row.broadcast_at).value_e8(row.amount)

    def _received(self, destination: Address, window_secs: int) -> Sequence[PaymentReceived]:
        """The payments to a destination in a window: read once for the longest window that any rule asks for."""
        reach = self._sources.reach
        reach.secs = max(reach.secs, window_secs)
        known = self._receipts.get(destination)
        if known is None or known[0] < window_secs:
            begin = max(EPOCH, self._at - timedelta(seconds=reach.secs))
            rows = self._sources.receipts(self._chain, destination, begin, self._at, self._own)
            known = self._receipts[destination] = reach.secs, rows
        paid, after = known[1], self._at - timedelta(seconds=window_secs)
        if paid and paid[0].row.broadcast_at > after:
            return paid
        return paid[bisect_right(paid, after, key=lambda r: r.row.broadcast_at) :]

    @once
    def active_periods(
        self, period_secs: int, history_secs: int, *, wallet: str, asset: AssetId | None = None
    ) -> Periods:
        """Whole periods with at least one outflow, oldest first."""
        # The last whole period ends a period before t: a burst must not be part of its own baseline.
        now, rest = divmod(ticks(self._at), 10**6)
        until = (now - period_secs) // period_secs * period_secs
        since = -(-(now - history_secs + (rest > 0)) // period_secs) * period_secs
        if since >= until:
            return Periods()
        return self._windows.periods(self._at, (period_secs, since, until), wallet, asset, history_secs)

    # --- who was paid -------------------------------------------------------------------------------------------------

    @cached_property
    def _ordinal(self) -> int:
        """Of this transaction in the order of judging."""
        return self._unit.history.ordinal_of(self._chain, self._txid)

    def first_paid(self, destination: Address, within_secs: int | None = None) -> bool:
        """True if nobody paid it before."""
        if within_secs is None:
            return self.first_paid_at(destination) is None
        last = self._last_paid_at(destination)
        return last is None or last <= self._at - timedelta(seconds=within_secs)

    @once
    def first_paid_at(self, destination: Address) -> datetime | None:
        """When it was first paid before this transaction."""
        return self._sources.payments.first_paid_at(self._chain, destination, self._at, self._txid, self._ordinal)

    @once
    def _last_paid_at(self, destination: Address) -> datetime | None:
        return self._sources.payments.last_paid_at(self._chain, destination, self._at, self._txid, self._ordinal)

    def payees(self) -> Iterable[Address]:
        """Every destination paid before, and the allowlist."""
        for address, at, tx in self._unit.outflows.payees(self._chain):
            if tx != self._txid and at <= self._at:
                yield address
        yield from self._deployment.allowlisted.get(self._chain, ())

    def payee_index(self) -> PayeeIndex:
        """The index of known payees."""
        return self._payees()

    @once
    def requests_to(self, destination: Address, window_secs: int) -> Sequence[Request]:
        """Valid requests for `destination` made in the window."""
        after = self._at - timedelta(seconds=window_secs)
        found = self._sources.requests(self._chain, destination)
        return [r for r in found if after < r.requested.at <= self._at]

    # --- books --------------------------------------------------------------------------------------------------------

    @once
    def balance_before(self, wallet: str, asset: AssetId) -> int:
        """What the wallet held before this transaction."""
        balance, own = self._book(wallet, asset)
        return balance - own

    @once
    def balance_after(self, wallet: str, asset: AssetId) -> int:
        """What the wallet holds after it."""
        balance, own = self._book(wallet, asset)
        subject = self._subject
        if own or not isinstance(subject, Outflow) or subject.block is not None or wallet != subject.wallet:
            return balance
        # Not in the books yet: what it will do to them.
        return balance - subject.amount * (asset == subject.asset) - subject.fee * (asset == self.native())

    def _book(self, wallet: str, asset: AssetId) -> tuple[int, int]:
        """(what the books say now, what this transaction did to them)."""
        chain = self._deployment.chain_of(wallet) or self._chain
        balance = self._sources.books.balance(self._unit, chain, wallet, asset)
        if isinstance(self._subject, Outflow) and self._subject.block is None:
            return balance, 0  # what waits for a block is in no book
        return balance, self._unit.ledger.net_of(self._chain, self._txid, wallet, asset)

    @once
    def holdings(self) -> Sequence[Holding]:
        """What every own wallet holds of every known asset."""
        found: dict[tuple[str, AssetId], Holding] = {}
        for watched in self._deployment.chains.values():
            wallets = {own.name: own for own in watched.perimeter.wallets.values()}
            for asset in (watched.native, *watched.tokens):
                for name, own in wallets.items():
                    units = self.balance_after(name, asset.id)
                    found[name, asset.id] = Holding(name, own.role, asset.id, units)
        return list(found.values())

    # --- how the wallet behaves ---------------------------------------------------------------------------------------

    @once
    def watched_since(self, wallet: str) -> datetime:
        """The time of the first block judged on the wallet's chain."""
        since = self._unit.chain_state.first_contact(self._deployment.chain_of(wallet) or self._chain)
        if since is None:
            raise Unknown(f"{wallet} is not watched yet")
        return since

    @once
    def last_moved_at(self, wallet: str) -> datetime | None:
        """When it last spent anything."""
        paid = self._last_paying_at(wallet)
        moved = self._sources.payments.last_spent_at(wallet, self._txid, self._at)
        return max((m for m in (paid, moved) if m is not None), default=None)

    def has_moved_since(self, wallet: str, moment: datetime) -> bool:
        """Whether it spent anything from then on: a payment to outside, which is found sooner, says so alone."""
        paid = self._last_paying_at(wallet)
        if paid is not None and paid >= moment:
            return True
        last = self.last_moved_at(wallet)
        return last is not None and last >= moment

    @once
    def _last_paying_at(self, wallet: str) -> datetime | None:
        return self._unit.history.last_paying_at(wallet, self._txid, self._at, self._ordinal)

    @once
    def past(self, wallet: str, limit: int) -> WalletProfile:
        """What its last transactions add up to."""
        but = (str(self._chain), self._txid)
        return self._sources.recent.past(self._unit, wallet, but, self._at, self._ordinal, limit)

    @once
    def frozen_at(self, wallet: str) -> datetime | None:
        """The opening of the earliest critical alert about it that still stood."""
        return self._unit.alerts.frozen_at(wallet, self._at, self._txid)
