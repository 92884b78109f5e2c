"""What judging remembers from outflow to outflow, so that its cost does not grow with history.

Nothing here is used after the database has changed it: windows and recent transactions follow the number of each
row's last change, sums of the books hold for the hash of the block they reach up to, and after a failed transaction
everything is read anew. Where several processes write (PostgreSQL) memory lives for one transaction only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from chains.model import AssetId, ChainId, ChainTransaction
from walletwatch.deployment import DatedPrices, Deployment, PriceBook
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.history.facts import Requests, Sources
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import LongestWindow, Series, Windows
from walletwatch.rules.facts import Event
from walletwatch.store import UnitOfWork
from walletwatch.store.history import ChangedOutflow, PastOutflow


class LiveWindows(Windows):
    """Windows beside a database that changes."""

    def __init__(self, past: Callable[..., Sequence[PastOutflow]], prices: PriceBook) -> None:
        edition = prices.edition if isinstance(prices, DatedPrices) else _never_kept
        super().__init__(past, lambda asset, units, at: prices.price(asset, at).value_e8(units), edition)
        self._held: dict[str, PastOutflow] = {}

    def follow(self, changes: Iterable[ChangedOutflow]) -> None:
        """Take in rows that changed."""
        for row, counts, _, _ in changes:
            held = self._held.get(row.id)
            if held is None and counts:
                self._held[row.id] = row
                self.add(row)
            elif held is not None and (held != row or not counts):
                self.clear()
        if len(self._held) > 10_000 + 2 * sum(len(series.rows) for series in self._series.values()):
            self._held = {row.id: row for series in self._series.values() for row in series.rows}

    def clear(self) -> None:
        """Forget everything; it is read again when needed."""
        self._series.clear()
        self._periods.clear()
        self._held.clear()

    def _load(self, at: datetime, back: Any, wallet: str | None, asset: AssetId | None) -> Series:
        series = super()._load(at, back, wallet, asset)
        self._held.update((row.id, row) for row in series.rows)
        return series


def _never_kept() -> None:
    """Of prices that do not say when they change."""


class HistoryCache:
    """The parts of `Sources` that outlive a transaction; one for each judge. Not thread-safe: its user holds a lock."""

    def __init__(self, deployment: Deployment, requests: Requests) -> None:
        self._deployment = deployment
        self._requests = requests
        self._sources: Sources | None = None
        self._failures = -1
        self._change = -1
        self._latest = 0
        self._windows = LiveWindows(self._rows_before, deployment.prices)
        self._recent = RecentTransactions()
        self._books = LedgerBooks()
        self._reach = LongestWindow()

    def _rows_before(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        if self._sources is None:
            return []
        return self._sources.unit.outflows.in_window(after, until, wallet=wallet, asset=asset)

    def sources(self, unit: UnitOfWork, subject: Outflow | Event, tx: ChainTransaction | None) -> Sources:
        """The sources as of now, for a subject and its transaction if that is known."""
        self._follow(unit)
        if self._sources is None or self._sources.unit is not unit:
            self._sources = Sources(
                unit=unit,
                deployment=self._deployment,
                requests=self._requests,
                windows=self._windows,
                receipts=unit.history.receipts,
                payments=unit.history,
                recent=self._recent,
                books=self._books,
                reach=self._reach,
            )
        if tx is not None and isinstance(subject, Outflow):
            self._recent.remember(str(subject.chain), b"" if subject.block is None else subject.block.hash, tx)
        return self._sources

    def _follow(self, unit: UnitOfWork) -> None:
        self._books.forget_cursors()
        latest = unit.history.latest_change()
        is_other = self._sources is None or self._sources.unit is not unit
        if unit.failures != self._failures or latest < self._change or (is_other and not unit.alone):
            self._windows.clear()
            self._recent.clear()
            self._books.clear()
            self._latest = unit.history.last_ordinal()
        elif latest > self._change:
            changes = unit.history.changed_after(self._change)
            self._windows.follow(changes)
            self._recent.follow(changes, self._latest)
            self._latest = max((change.row.ordinal for change in changes), default=self._latest)
        self._failures, self._change = unit.failures, latest


class LedgerBooks:
    """Balances of the ledger: what a node said at one height, and the sum of the blocks since, added up once."""

    def __init__(self) -> None:
        self._sums: dict[tuple[ChainId, str, AssetId, int], tuple[int, bytes, int]] = {}
        self._cursors: dict[ChainId, tuple[tuple[int, int] | None, bytes]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._sums.clear()
        self._cursors.clear()

    def forget_cursors(self) -> None:
        """The cursors may have moved: they are read again."""
        self._cursors.clear()

    def balance(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId) -> int:
        """Base units the wallet holds now. Raises Unknown without an opening balance."""
        known = unit.ledger.latest_balance(chain, wallet, asset)
        if known is None:
            raise Unknown(f"the balance of {wallet} was never read from a node")
        height, amount = known
        return amount + self._net_since(unit, chain, wallet, asset, height)

    def _net_since(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId, height: int) -> int:
        """In - out - fees in blocks above `height`: up to the block before the cursor's it was added up before."""
        heights, before = self._cursor(unit, chain)
        if heights is None:
            return unit.ledger.net_since(wallet, asset, height)
        key = (chain, wallet, asset, height)
        upto, block, net = self._sums.get(key, (height, b"", 0))
        # The cursor's own block is still being written; those before it change only by a reorg, and so do their hashes.
        full = heights[0] - 1 if before else min(heights[0] - 1, heights[1])
        if upto > height and (upto, block) != (full, before) and not _stands(unit, chain, upto, block, heights):
            upto, block, net = height, b"", 0
        if full > upto:
            net += unit.ledger.net_since(wallet, asset, upto, full)
            upto = full
            self._sums[key] = (upto, before, net)
        return net + unit.ledger.net_since(wallet, asset, upto)

    def _cursor(self, unit: UnitOfWork, chain: ChainId) -> tuple[tuple[int, int] | None, bytes]:
        """The heights of cursor and finality, and the hash of the block before the cursor's (empty if forgotten)."""
        if chain not in self._cursors:
            heights = unit.chain_state.heights(chain)
            found = None if heights is None else unit.chain_state.ref_at(chain, heights[0] - 1)
            self._cursors[chain] = heights, b"" if found is None else found.hash
        return self._cursors[chain]


def _stands(unit: UnitOfWork, chain: ChainId, height: int, block: bytes, heights: tuple[int, int]) -> bool:
    """Whether the block of this height and hash is still in the chain; final ones are, though they are forgotten."""
    if height > heights[0]:
        return False
    found = unit.chain_state.ref_at(chain, height)
    return height <= heights[1] if found is None else found.hash == block
