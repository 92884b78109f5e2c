"""Sliding windows over past outflows, kept in memory and moved along: a sum costs two bisections, not a query."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chains.model import AssetId
from walletwatch.domain.prices import Unknown
from walletwatch.rules.facts import Spent
from walletwatch.store.outflows import PastOutflow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)

Value = Callable[[AssetId, int, datetime], int]
"""1e-8 USD of base units of an asset at a time. Raises Unknown."""
Past = Callable[[datetime, datetime, str | None, AssetId | None], Sequence[PastOutflow]]
"""Outflows of a wallet and asset (None: any) in (after, until] that count and were judged by now, newest first."""


def ticks(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // _TICK


@dataclass(slots=True)
class Series:
    """The outflows of one scope in order of (time, judging), with running sums in base units and in USD."""

    since: int
    """Nothing at or before this time is held."""
    times: list[int] = field(default_factory=list)
    rows: list[PastOutflow] = field(default_factory=list)
    units: list[int] = field(default_factory=lambda: [0])
    usd: list[int] = field(default_factory=lambda: [0])
    unpriced: list[int] = field(default_factory=lambda: [0])
    disturbed: int = 0
    """Grows whenever the past changed and was not only continued."""
    asked: int = 0
    """Up to where periods were summed up."""

    def add(self, row: PastOutflow, usd: int | None) -> None:
        """Put a row in its place; nearly always the last."""
        at = ticks(row.broadcast_at)
        if at <= self.since:
            return
        place = bisect_right(self.times, at)
        while place and self.times[place - 1] == at and self.rows[place - 1].ordinal > row.ordinal:
            place -= 1
        if place < len(self.rows):
            self._insert(place, at, row, usd)
            return
        self.disturbed += at < self.asked
        self.times.append(at)
        self.rows.append(row)
        self.units.append(self.units[-1] + row.amount)
        self.usd.append(self.usd[-1] + (usd or 0))
        self.unpriced.append(self.unpriced[-1] + (usd is None))

    def _insert(self, place: int, at: int, row: PastOutflow, usd: int | None) -> None:
        self.disturbed += 1
        self.times.insert(place, at)
        self.rows.insert(place, row)
        for sums, more in ((self.units, row.amount), (self.usd, usd or 0), (self.unpriced, int(usd is None))):
            sums.insert(place, sums[place])
            sums[place + 1 :] = [total + more for total in sums[place + 1 :]]

    def span(self, after: int, until: int) -> tuple[int, int]:
        """The places of rows in (after, until]."""
        return bisect_right(self.times, after), bisect_right(self.times, until)

    def forget(self, before: int) -> None:
        """Drop rows at or before a time, when they are most of what is held: each is moved once on average."""
        gone = bisect_right(self.times, before)
        if gone < 10_000 or gone * 2 < len(self.times):
            return
        self.since = before
        del self.times[:gone]
        del self.rows[:gone]
        for sums in (self.units, self.usd, self.unpriced):
            del sums[:gone]


class Windows:
    """Every scope that was ever asked for. `value` pins prices: each outflow is valued once."""

    def __init__(self, past: Past, value: Value) -> None:
        self._past = past
        self._value = value
        self._series: dict[tuple[str | None, AssetId | None], Series] = {}
        self._reach: dict[tuple[str | None, AssetId | None], int] = {}
        self._periods: dict[tuple[object, ...], tuple[int, list[Spent]]] = {}

    def add(self, row: PastOutflow) -> None:
        """An outflow was judged."""
        for (wallet, asset), series in self._series.items():
            if wallet in (None, row.wallet) and asset in (None, row.asset):
                series.add(row, self._usd(row))
                series.forget(ticks(row.broadcast_at) - 2 * self._reach[wallet, asset])

    def _usd(self, row: PastOutflow) -> int | None:
        try:
            return self._value(row.asset, row.amount, row.broadcast_at)
        except Unknown:
            return None

    def series(self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None) -> Series:
        """The series of a scope, reaching back at least `window_secs` before `at`."""
        scope, reach = (wallet, asset), window_secs * 10**6
        known = self._series.get(scope)
        if known is None or ticks(at) - reach < known.since:
            self._reach[scope] = max(reach, self._reach.get(scope, 0))
            known = self._load(at, timedelta(microseconds=2 * self._reach[scope]), wallet, asset)
            self._series[scope] = known
            self._periods.clear()
        return known

    def _load(self, at: datetime, back: timedelta, wallet: str | None, asset: AssetId | None) -> Series:
        after = max(at - back, _EPOCH)
        series = Series(ticks(after))
        for row in reversed(self._past(after, _NEVER, wallet, asset)):
            series.add(row, self._usd(row))
        return series

    def spent(self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None, *, usd: bool) -> Spent:
        """The sum of a window (at - window, at]. Raises Unknown where a price is missing."""
        series = self.series(at, window_secs, wallet, asset)
        now = ticks(at)
        low, high = series.span(now - window_secs * 10**6, now)
        if usd:
            self._require_prices(series, low, high)
        sums = series.usd if usd else series.units
        return Spent(sums[high] - sums[low], high - low)

    def counted(
        self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None, limit: int | None
    ) -> Iterable[PastOutflow]:
        """The rows of a window, newest first."""
        series = self.series(at, window_secs, wallet, asset)
        now = ticks(at)
        low, high = series.span(now - window_secs * 10**6, now)
        return series.rows[low:high][::-1][:limit]

    def _require_prices(self, series: Series, low: int, high: int) -> None:
        if series.unpriced[high] > series.unpriced[low]:
            for row in series.rows[low:high]:
                self._value(row.asset, row.amount, row.broadcast_at)

    def periods(
        self, at: datetime, bounds: tuple[int, int, int], wallet: str | None, asset: AssetId | None
    ) -> Sequence[Spent]:
        """Sums of whole periods: `bounds` are the seconds of a period, of the first one's begin and the last one's end.

        Kept until the past changes, because it is asked for again at every outflow.
        """
        period, since, until = bounds
        series = self.series(at, int(at.timestamp()) - since + 1, wallet, asset)
        key = (bounds, wallet, asset)
        kept = self._periods.get(key)
        if kept is not None and kept[0] == series.disturbed:
            return kept[1]
        series.asked = max(series.asked, until * 10**6)
        found, place = [], bisect_left(series.times, since * 10**6)
        end = bisect_left(series.times, until * 10**6)
        while place < end:
            # From each outflow to the end of its period: empty periods cost nothing.
            edge = (series.times[place] // 10**6 // period + 1) * period * 10**6
            after = bisect_left(series.times, edge)
            total = series.units[after] - series.units[place] if asset is not None else 0
            found.append(Spent(total, after - place))
            place = after
        if len(self._periods) > 1_000:
            self._periods.clear()
        self._periods[key] = (series.disturbed, found)
        return found
