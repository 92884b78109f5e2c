"""What judging remembers from outflow to outflow, so that its cost does not grow with history.

Nothing here is believed longer than the database says it: windows follow the number of each row's last change, sums of
the books reach up to what is final, and after a failed transaction everything is read anew. Where several processes
write (PostgreSQL) windows live for one transaction only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from chains.model import AssetId, ChainId, ChainTransaction
from walletwatch.domain.prices import Unknown
from walletwatch.pipeline.deployments import Deployment, PriceBook
from walletwatch.pipeline.windows import Series, Windows
from walletwatch.rules.facts import Spent
from walletwatch.store import UnitOfWork
from walletwatch.store.ledgers import Decoded
from walletwatch.store.outflows import PastOutflow

_MOST_DECODED = 20_000

_P = ParamSpec("_P")
_R = TypeVar("_R")


def once(question: Callable[_P, _R]) -> Callable[_P, _R]:
    """Ask the store once a subject: further rules get the same answer, `Unknown` too. For methods of `StoreFacts`."""

    @wraps(question)
    def ask(*args: _P.args, **named: _P.kwargs) -> _R:
        kept: dict[Any, Any] = args[0].kept  # type: ignore[attr-defined]
        key = (question.__name__, args[1:], tuple(sorted(named.items())))
        if key not in kept:
            try:
                kept[key] = question(*args, **named)
            except Unknown as unknown:
                kept[key] = unknown
        found = kept[key]
        if isinstance(found, Unknown):
            raise found
        answer: _R = found
        return answer

    return ask


class LiveWindows(Windows):
    """Windows beside a database that changes. Prices are asked for anew, because a price file may be corrected."""

    def __init__(self, past: Callable[..., Sequence[PastOutflow]], prices: PriceBook) -> None:
        super().__init__(past, lambda _asset, _units, _at: 0)
        self._prices = prices
        self._held: dict[str, PastOutflow] = {}

    def follow(self, changes: Iterable[tuple[PastOutflow, bool]]) -> None:
        """Take in rows that changed, each with whether it counts now."""
        for row, counts in changes:
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

    def spent(self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None, *, usd: bool) -> Spent:
        """The sum of a window (at - window, at]. Raises Unknown where a price is missing."""
        if not usd:
            return super().spent(at, window_secs, wallet, asset, usd=False)
        rows = list(self.counted(at, window_secs, wallet, asset, None))
        total = sum(self._prices.price(r.asset, r.broadcast_at).value_e8(r.amount) for r in rows)
        return Spent(total, len(rows))


class Recall:
    """One a judge; whoever uses it holds the approval desk."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._unit: UnitOfWork | None = None
        self._failures = -1
        self._change = -1
        self._windows = LiveWindows(self._past, deployment.prices)
        self._books: dict[tuple[ChainId, str, AssetId, int], tuple[int, int]] = {}
        self._chains: dict[str, ChainId] = {}
        self.decoded: dict[Decoded, ChainTransaction] = {}

    def _past(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        return [] if self._unit is None else self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset)

    def windows(self, unit: UnitOfWork) -> Windows:
        """Windows as of now, in this transaction."""
        latest = unit.outflows.latest_change()
        stale = unit.failures != self._failures or latest < self._change
        if stale or (unit is not self._unit and not unit.alone):
            self._windows.clear()
            self._books.clear()
            self.decoded.clear()
        elif latest > self._change:
            self._windows.follow(unit.outflows.changed_after(self._change))
        if len(self.decoded) > _MOST_DECODED:
            self.decoded.clear()
        self._unit, self._failures, self._change = unit, unit.failures, latest
        return self._windows

    def net_since(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId, height: int) -> int:
        """In - out - fees in blocks above `height`: what is final was added up before, the rest is read."""
        cursor = unit.places.cursor(chain)
        final = height if cursor is None else max(height, cursor.final_height)
        key = (chain, wallet, asset, height)
        upto, net = self._books.get(key, (height, 0))
        if upto > final:
            upto, net = height, 0
        if final > upto:
            net += unit.ledger.net_since(wallet, asset, upto, final)
        self._books[key] = (final, net)
        return net + unit.ledger.net_since(wallet, asset, final)

    def chain_of(self, wallet: str) -> ChainId | None:
        """The chain of an own wallet; a perimeter may hold a million addresses, so it is looked through once."""
        if wallet not in self._chains:
            for watched in self._deployment.chains.values():
                self._chains.update(dict.fromkeys(watched.perimeter.names(), watched.chain))
        return self._chains.get(wallet)
