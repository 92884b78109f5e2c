"""What judging remembers from outflow to outflow, so that its cost does not grow with history.

Nothing here is believed longer than the database says it: windows and tails follow the number of each row's last
change, sums of the books stand on the hash of the block they reach up to, and after a failed transaction everything is
read anew. Where several processes write (PostgreSQL) memory lives for one transaction only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from chains.model import AssetId, ChainId
from walletwatch.deployment import DatedPrices, Deployment, PriceBook
from walletwatch.domain.prices import Unknown
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import LongestWindow, Series, Windows
from walletwatch.store import UnitOfWork
from walletwatch.store.history import ChangedOutflow, PastOutflow

_P = ParamSpec("_P")
_R = TypeVar("_R")


def once(question: Callable[_P, _R]) -> Callable[_P, _R]:
    """Ask the store once a subject: further rules get the same answer, `Unknown` too. For methods of `StoreFacts`."""
    name = question.__name__

    @wraps(question)
    def ask(*args: _P.args, **named: _P.kwargs) -> _R:
        kept: dict[Any, Any] = args[0].kept  # type: ignore[attr-defined]
        key = (name, *args[1:], *named.items()) if named else (name, *args[1:])
        found = kept.get(key, kept)
        if found is kept:
            try:
                found = question(*args, **named)
            except Unknown as unknown:
                found = unknown
            kept[key] = found
        if type(found) is Unknown:
            raise found
        answer: _R = found
        return answer

    return ask


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
        """Forget everything; what is asked for is read anew."""
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
    """One a judge; whoever uses it holds the approval service."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._unit: UnitOfWork | None = None
        self._failures = -1
        self._change = -1
        self._latest = 0
        self.windows = LiveWindows(self._past, deployment.prices)
        self.recent = RecentTransactions()
        self._books: dict[tuple[ChainId, str, AssetId, int], tuple[int, bytes, int]] = {}
        self._cursors: dict[ChainId, tuple[tuple[int, int] | None, bytes]] = {}
        """As of this subject."""
        self._chains: dict[str, ChainId] = {}
        self.reach = LongestWindow()

    def _past(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        return [] if self._unit is None else self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset)

    def follow(self, unit: UnitOfWork) -> None:
        """Be as of now, in this transaction: asked before anything else at every subject."""
        self._cursors.clear()
        latest = unit.history.latest_change()
        stale = unit.failures != self._failures or latest < self._change
        if stale or (unit is not self._unit and not unit.alone):
            self.windows.clear()
            self.recent.clear()
            self._books.clear()
            self._latest = unit.history.last_ordinal()
        elif latest > self._change:
            changes = unit.history.changed_after(self._change)
            self.windows.follow(changes)
            self.recent.follow(changes, self._latest)
            self._latest = max((change.row.ordinal for change in changes), default=self._latest)
        self._unit, self._failures, self._change = unit, unit.failures, latest

    def net_since(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId, height: int) -> int:
        """In - out - fees in blocks above `height`: up to the block before the cursor's it was added up before."""
        heights, before = self._where(unit, chain)
        if heights is None:
            return unit.ledger.net_since(wallet, asset, height)
        key = (chain, wallet, asset, height)
        upto, block, net = self._books.get(key, (height, b"", 0))
        # The cursor's own block is still being written; those before it change only by a reorg, and so do their hashes.
        full = heights[0] - 1 if before else min(heights[0] - 1, heights[1])
        if upto > height and (upto, block) != (full, before) and not _stands(unit, chain, upto, block, heights):
            upto, block, net = height, b"", 0
        if full > upto:
            net += unit.ledger.net_since(wallet, asset, upto, full)
            upto = full
            self._books[key] = (upto, before, net)
        return net + unit.ledger.net_since(wallet, asset, upto)

    def _where(self, unit: UnitOfWork, chain: ChainId) -> tuple[tuple[int, int] | None, bytes]:
        """The heights of cursor and finality, and the hash of the block before the cursor's (empty if forgotten)."""
        if chain not in self._cursors:
            heights = unit.chain_state.heights(chain)
            found = None if heights is None else unit.chain_state.ref_at(chain, heights[0] - 1)
            self._cursors[chain] = heights, b"" if found is None else found.hash
        return self._cursors[chain]

    def chain_of(self, wallet: str) -> ChainId | None:
        """The chain of an own wallet; a perimeter may hold a million addresses, so it is looked through once."""
        if wallet not in self._chains:
            for watched in self._deployment.chains.values():
                self._chains.update(dict.fromkeys(watched.perimeter.names(), watched.chain))
        return self._chains.get(wallet)


def _stands(unit: UnitOfWork, chain: ChainId, height: int, block: bytes, heights: tuple[int, int]) -> bool:
    """Whether the block of this height and hash is still in the chain; final ones are, though they are forgotten."""
    if height > heights[0]:
        return False
    found = unit.chain_state.ref_at(chain, height)
    return height <= heights[1] if found is None else found.hash == block
