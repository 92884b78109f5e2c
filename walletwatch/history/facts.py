"""Answers to the questions of rules, from the store, inside the transaction that judges (`walletwatch.rules.facts`)."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from chains.model import Address, AssetId, ChainId, ChainTransaction
from walletwatch.deployment import Deployment
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import MatchResult, Request
from walletwatch.history.history_cache import HistoryCache, once
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import LongestWindow, Windows, add_up
from walletwatch.rules.facts import Counted, Event, Holding, Periods, Spent
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.wallet_profile import WalletProfile
from walletwatch.store import UnitOfWork
from walletwatch.store.history import LAST_ORDINAL, PastOutflow, PaymentReceived

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
"""Times are kept to the microsecond."""

Requests = Callable[[ChainId, Address], Sequence[Request]]


class StoreFacts:
    """Facts about one subject (an outflow or an event). Remembers nothing beyond it but what `cache` does."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything a rule may ask about comes from somewhere
        self,
        unit: UnitOfWork,
        deployment: Deployment,
        subject: Outflow | Event,
        tx: ChainTransaction | None,
        payees: PayeeIndex,
        match: Callable[[], MatchResult],
        requests: Requests,
        windows: Windows | None = None,
        cache: HistoryCache | None = None,
    ) -> None:
        self._unit = unit
        self._deployment = deployment
        self._subject = subject
        self._txid = subject.tx or b""
        self._tx = tx
        self._payees = payees
        self._match = match
        self._requests = requests
        self._cache = cache
        self._windows = windows
        self._own = self._txid if isinstance(subject, Outflow) else b""
        self._reach = LongestWindow() if cache is None else cache.reach
        self._recent = None if cache is None else cache.recent
        self._paid: dict[Address, tuple[int, Sequence[PaymentReceived]]] = {}
        self.kept: dict[Any, Any] = {}
        """Answers given before (`recalls.once`)."""
        self._known_up_to: int | None = None
        """The last place in the order of judging that counts; None for all."""
        self._chain = subject.chain
        self._at = subject.broadcast_at if isinstance(subject, Outflow) else subject.at
        if cache is not None:
            cache.follow(unit)
            self._windows = cache.windows
            if tx is not None and isinstance(subject, Outflow):
                cache.recent.note(str(subject.chain), b"" if subject.block is None else subject.block.hash, tx)

    # --- the subject itself -------------------------------------------------------------------------------------------

    def role(self, wallet: str) -> str:
        """The role of an own wallet."""
        if wallet not in self._deployment.roles:
            raise Unknown(f"the role of wallet {wallet} is not known")
        return self._deployment.roles[wallet]

    def transaction(self) -> ChainTransaction | None:
        """The transaction itself."""
        return self._tx

    def match(self) -> MatchResult:
        """What the approvals say."""
        return self._match()

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
        if self._windows is not None and destination is None:
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
        after = self._at - timedelta(seconds=window_secs)
        if destination is not None:
            return add_up(self._receipts(destination, window_secs, after), wallet, asset)[:limit]
        if self._windows is not None:
            return self._windows.counted(self._at, window_secs, wallet, asset, limit)
        return self._unit.outflows.in_window(
            after, self._at, wallet=wallet, asset=asset, limit=limit, own=self._own, before=self._known_up_to
        )

    def _usd(self, row: PastOutflow) -> int:
        return self._deployment.prices.price(row.asset, row.broadcast_at).value_e8(row.amount)

    def _receipts(self, destination: Address, window_secs: int, after: datetime) -> Sequence[PaymentReceived]:
        """The payments to a destination in a window: read once for the longest window that any rule asks for."""
        self._reach.secs = max(self._reach.secs, window_secs)
        known = self._paid.get(destination)
        if known is None or known[0] < window_secs:
            reach = self._reach.secs
            place = LAST_ORDINAL if self._known_up_to is None else self._known_up_to
            begin = max(_EPOCH, self._at - timedelta(seconds=reach))
            rows = self._unit.history.receipts(self._chain, destination, begin, self._at, self._own, place)
            known = self._paid[destination] = reach, rows
        paid = known[1]
        if paid and paid[0].row.broadcast_at > after:
            return paid
        return paid[bisect_right(paid, after, key=lambda r: r.row.broadcast_at) :]

    @once
    def active_periods(
        self, period_secs: int, history_secs: int, *, wallet: str, asset: AssetId | None = None
    ) -> Periods:
        """Whole periods with at least one outflow, oldest first."""
        # The last whole period ends a period before t: a burst must not be part of its own baseline.
        now, rest = divmod((self._at - _EPOCH) // _TICK, 10**6)
        until = (now - period_secs) // period_secs * period_secs
        since = -(-(now - history_secs + (rest > 0)) // period_secs) * period_secs
        if since >= until:
            return Periods()
        if self._windows is not None:
            return self._windows.periods(self._at, (period_secs, since, until), wallet, asset, history_secs)
        sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        low, high = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        # Periods are half-open to the right, windows to the left: one microsecond turns one into the other.
        for row in self._unit.outflows.in_window(low - _TICK, high - _TICK, wallet=wallet, asset=asset):
            period = sums[int(row.broadcast_at.timestamp()) // period_secs]
            period[0] += row.amount if asset is not None else 0
            period[1] += 1
        return Periods(Spent(total, count) for _, (total, count) in sorted(sums.items()))

    # --- who was paid -------------------------------------------------------------------------------------------------

    @cached_property
    def _place(self) -> int:
        """Where this transaction stands in the order of judging."""
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
        return self._unit.history.first_paid_at(self._chain, destination, self._at, self._txid, self._place)

    @once
    def _last_paid_at(self, destination: Address) -> datetime | None:
        return self._unit.history.last_paid_at(self._chain, destination, self._at, self._txid, self._place)

    def payees(self) -> Iterable[Address]:
        """Every destination paid before, and the allowlist."""
        for address, at, tx in self._unit.outflows.payees(self._chain):
            if tx != self._txid and at <= self._at:
                yield address
        yield from self._deployment.allowlisted.get(self._chain, ())

    def payee_index(self) -> PayeeIndex:
        """The worker's index."""
        return self._payees

    @once
    def requests_to(self, destination: Address, window_secs: int) -> Sequence[Request]:
        """Valid requests for `destination` made in the window."""
        after = self._at - timedelta(seconds=window_secs)
        found = self._requests(self._chain, destination)
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
        chain = self._chain_of(wallet)
        known = self._unit.ledger.latest_balance(chain, wallet, asset)
        if known is None:
            raise Unknown(f"the balance of {wallet} was never read from a node")
        height, amount = known
        if self._cache is None:
            net = self._unit.ledger.net_since(wallet, asset, height)
        else:
            net = self._cache.net_since(self._unit, chain, wallet, asset, height)
        if isinstance(self._subject, Outflow) and self._subject.block is None:
            return amount + net, 0  # what waits for a block is in no book
        return amount + net, self._unit.ledger.net_of(self._chain, self._txid, wallet, asset)

    def _chain_of(self, wallet: str) -> ChainId:
        if self._cache is not None:
            return self._cache.chain_of(wallet) or self._chain
        for watched in self._deployment.chains.values():
            if any(own.name == wallet for own in watched.perimeter.wallets.values()):
                return watched.chain
        return self._chain

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
        since = self._unit.chain_state.first_contact(self._chain_of(wallet))
        if since is None:
            raise Unknown(f"{wallet} is not watched yet")
        return since

    @once
    def last_moved_at(self, wallet: str) -> datetime | None:
        """When it last spent anything."""
        paid, moved = self._last_paying_at(wallet), self._last_spent_at(wallet)
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
        return self._unit.history.last_paying_at(wallet, self._txid, self._at, self._place)

    def _last_spent_at(self, wallet: str) -> datetime | None:
        return self._unit.history.last_spent_at(wallet, self._txid, self._at)

    @once
    def past(self, wallet: str, limit: int) -> WalletProfile:
        """What its last transactions add up to."""
        but = (str(self._chain), self._txid)
        return (self._recent or RecentTransactions()).past(self._unit, wallet, but, self._at, self._place, limit)

    @once
    def frozen_at(self, wallet: str) -> datetime | None:
        """The opening of the earliest critical alert about it that still stood."""
        return self._unit.alerts.frozen_at(wallet, self._at, self._txid)
