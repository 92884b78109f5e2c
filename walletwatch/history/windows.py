"""Sums over windows of time, and what one destination was paid."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chains.model import AssetId, TxId
from walletwatch.domain.prices import Unknown
from walletwatch.rules.facts import Periods, Spent
from walletwatch.store.history import PastOutflow, PaymentReceived


@dataclass(slots=True)
class LongestWindow:
    """The longest window over the payments to a destination that any rule needed, in seconds: the next subject's
    payments are read once for all rules.
    """

    secs: int = 0


def add_up(receipts: Sequence[PaymentReceived], wallet: str | None, asset: AssetId | None) -> list[PastOutflow]:
    """The outflows of a wallet and asset (None: any) that paid, newest first, each with what it paid: a payment that
    several wallets made counts on the first judged.
    """
    if len(receipts) == 1:
        row, _, paid = receipts[0]
        fits = wallet in (None, row.wallet) and asset in (None, row.asset)
        return [row if paid == row.amount else row._replace(amount=paid)] if fits else []
    found: dict[str, PastOutflow] = {}
    counted: set[tuple[TxId, AssetId, int]] = set()
    for row, payment, paid in receipts:
        if wallet not in (None, row.wallet) or asset not in (None, row.asset):
            continue
        name = (row.tx, row.asset, payment)
        if name not in counted:
            counted.add(name)
            known = found.get(row.id)
            found[row.id] = row._replace(amount=paid if known is None else known.amount + paid)
    return list(reversed(found.values()))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_DAY, _SECOND = 86_400 * 10**6, 10**6
_NEAR = 4_096

Value = Callable[[AssetId, int, datetime], int]
"""1e-8 USD of base units of an asset at a time. Raises Unknown."""
Past = Callable[[datetime, datetime, str | None, AssetId | None], Sequence[PastOutflow]]
"""Outflows of a wallet and asset (None: any) in (after, until] that count and were judged by now, newest first."""
Scope = tuple[str | None, AssetId | None]


def ticks(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    past = moment - EPOCH
    return past.days * _DAY + past.seconds * _SECOND + past.microseconds


@dataclass(slots=True)
class Worth:
    """Running sums of a series in 1e-8 USD, and of the rows without a price, by the prices of one `edition`."""

    edition: object
    usd: list[int] = field(default_factory=lambda: [0])
    unpriced: list[int] = field(default_factory=lambda: [0])

    def add(self, usd: int | None) -> None:
        """One row more."""
        self.usd.append(self.usd[-1] + (usd or 0))
        self.unpriced.append(self.unpriced[-1] + (usd is None))


@dataclass(slots=True)
class Series:
    """The outflows of one scope in order of (time, judging), with running sums: in base units, and in USD on demand."""

    since: int
    """Nothing at or before this time is held."""
    times: list[int] = field(default_factory=list)
    rows: list[PastOutflow] = field(default_factory=list)
    units: list[int] = field(default_factory=lambda: [0])
    worth: Worth | None = None
    disturbed: int = 0
    """Grows whenever the past changed and was not only continued."""
    summed: int = 0
    """Up to where periods were summed up."""

    def add(self, at: int, row: PastOutflow, value: Callable[[PastOutflow], int | None]) -> None:
        """Insert a row of time `at`; nearly always at the end."""
        if at <= self.since:
            return
        if self.times and self.times[-1] >= at:
            index = bisect_right(self.times, at)
            while index and self.times[index - 1] == at and self.rows[index - 1].ordinal > row.ordinal:
                index -= 1
            if index < len(self.rows):
                self._insert(index, at, row)
                return
        self.disturbed += at < self.summed
        self.times.append(at)
        self.rows.append(row)
        self.units.append(self.units[-1] + row.amount)
        if self.worth is not None:
            self.worth.add(value(row))

    def _insert(self, index: int, at: int, row: PastOutflow) -> None:
        self.disturbed += 1
        self.worth = None
        self.times.insert(index, at)
        self.rows.insert(index, row)
        self.units.insert(index, self.units[index])
        self.units[index + 1 :] = [total + row.amount for total in self.units[index + 1 :]]

    def value(self, edition: object, value: Callable[[PastOutflow], int | None]) -> Worth:
        """The sums in USD by the prices of `edition`."""
        if self.worth is None or self.worth.edition != edition:
            self.worth = Worth(edition)
            for row in self.rows:
                self.worth.add(value(row))
        return self.worth

    def span(self, after: int, until: int) -> tuple[int, int]:
        """The range of rows in (after, until]: first index, and one past the last."""
        times = self.times
        high = len(times) if not times or times[-1] <= until else bisect_right(times, until)
        # Windows lie at the end: halving a year of times touches memory that nothing else has touched for a while.
        low = max(0, high - _NEAR)
        if low and times[low] > after:
            low = 0
        return bisect_right(times, after, low, high), high

    def forget(self, before: int) -> None:
        """Drop rows at or before a time, when they are most of what is held: each is moved once on average."""
        if len(self.times) < 10_000:
            return
        gone = bisect_right(self.times, before)
        if gone < 10_000 or gone * 2 < len(self.times):
            return
        self.since = before
        for held in (self.times, self.rows, self.units):
            del held[:gone]
        if self.worth is not None:
            del self.worth.usd[:gone]
            del self.worth.unpriced[:gone]


class Windows:
    """Every scope that a rule has needed. Sums in USD are kept as long as `edition` gives the same; while it gives
    None each row is valued anew.
    """

    def __init__(self, past: Past, value: Value, edition: Callable[[], object] = lambda: "pinned") -> None:
        self._past = past
        self._value = value
        self._edition = edition
        self._asked: tuple[datetime, int] = (EPOCH, 0)
        self._series: dict[Scope, Series] = {}
        self._reach: dict[Scope, int] = {}
        self._periods: dict[tuple[object, ...], _Summed] = {}

    def add(self, row: PastOutflow) -> None:
        """An outflow was judged."""
        at = ticks(row.broadcast_at)
        for scope in ((row.wallet, row.asset), (row.wallet, None), (None, row.asset), (None, None)):
            series = self._series.get(scope)
            if series is not None:
                series.add(at, row, self._usd)
                series.forget(at - 2 * self._reach[scope])

    def _usd(self, row: PastOutflow) -> int | None:
        try:
            return self._value(row.asset, row.amount, row.broadcast_at)
        except Unknown:
            return None

    def series(self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None) -> Series:
        """The series of a scope, reaching back at least `window_secs` before `at`."""
        scope, reach = (wallet, asset), window_secs * _SECOND
        known = self._series.get(scope)
        if known is None or self._ticks(at) - reach < known.since:
            self._reach[scope] = max(reach, self._reach.get(scope, 0))
            known = self._load(at, timedelta(microseconds=2 * self._reach[scope]), wallet, asset)
            self._series[scope] = known
            self._periods.clear()
        return known

    def _ticks(self, at: datetime) -> int:
        """Many rules ask about one moment."""
        if at is not self._asked[0]:
            self._asked = (at, ticks(at))
        return self._asked[1]

    def _load(self, at: datetime, back: timedelta, wallet: str | None, asset: AssetId | None) -> Series:
        after = max(at - back, EPOCH)
        series = Series(ticks(after))
        for row in reversed(self._past(after, NEVER, wallet, asset)):
            series.add(ticks(row.broadcast_at), row, self._usd)
        return series

    def spent(self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None, *, usd: bool) -> Spent:
        """The sum of a window (at - window, at]. Raises Unknown where a price is missing."""
        now = self._ticks(at)
        after = now - window_secs * _SECOND
        known = self._series.get((wallet, asset))
        series = self.series(at, window_secs, wallet, asset) if known is None or after < known.since else known
        low, high = series.span(after, now)
        if not usd:
            return Spent(series.units[high] - series.units[low], high - low)
        edition = self._edition()
        if edition is None:
            return Spent(self._value_each(series, low, high), high - low)
        worth = series.value(edition, self._usd)
        if worth.unpriced[high] > worth.unpriced[low]:
            self._value_each(series, low, high)
        return Spent(worth.usd[high] - worth.usd[low], high - low)

    def _value_each(self, series: Series, low: int, high: int) -> int:
        return sum(self._value(row.asset, row.amount, row.broadcast_at) for row in series.rows[low:high])

    def counted(
        self, at: datetime, window_secs: int, wallet: str | None, asset: AssetId | None, limit: int | None
    ) -> Sequence[PastOutflow]:
        """The rows of a window, newest first; at most `limit`."""
        series = self.series(at, window_secs, wallet, asset)
        now = self._ticks(at)
        low, high = series.span(now - window_secs * _SECOND, now)
        if limit is not None:
            low = max(low, high - limit)
        return series.rows[low:high][::-1]

    def periods(
        self,
        at: datetime,
        bounds: tuple[int, int, int],
        wallet: str | None,
        asset: AssetId | None,
        history_secs: int = 0,
    ) -> Periods:
        """Sums of whole periods: `bounds` are the seconds of a period, of the first one's begin and the last one's end.

        Kept and moved along with time: every outflow needs it with the same `history_secs`.
        """
        period, since, until = bounds
        series = self.series(at, int(at.timestamp()) - since + 1, wallet, asset)
        key = (period, wallet, asset, history_secs)
        kept = self._periods.get(key)
        if kept is None or kept.disturbed != series.disturbed or since < kept.since or until < kept.until:
            if len(self._periods) > 1_000:
                self._periods.clear()
            kept = self._periods[key] = _Summed(series.disturbed, since, since)
        if (since, until) != (kept.since, kept.until):
            kept.move(series, period, since, until, counts_only=asset is None)
            series.summed = max(series.summed, until * _SECOND)
        return kept.found


@dataclass(slots=True)
class _Summed:
    """Sums of whole periods from `since` to `until`, and the number of each: its begin divided by its length."""

    disturbed: int
    since: int
    until: int
    numbers: list[int] = field(default_factory=list)
    found: Periods = field(default_factory=Periods)

    def move(self, series: Series, period: int, since: int, until: int, *, counts_only: bool) -> None:
        """Up to a later range: the periods between are summed up, those before it are forgotten."""
        new = _sums(series, period, max(since, self.until), until, counts_only=counts_only)
        gone = bisect_left(self.numbers, since // period)
        self.numbers = [*self.numbers[gone:], *(number for number, _ in new)]
        self.found = self.found.moved(gone, (spent for _, spent in new))
        self.since, self.until = since, until


def _sums(series: Series, period: int, since: int, until: int, *, counts_only: bool) -> list[tuple[int, Spent]]:
    found, index = [], bisect_left(series.times, since * _SECOND)
    end = bisect_left(series.times, until * _SECOND)
    while index < end:
        # From each outflow to the end of its period: empty periods cost nothing.
        number = series.times[index] // _SECOND // period
        after = bisect_left(series.times, (number + 1) * period * _SECOND, index, end)
        total = 0 if counts_only else series.units[after] - series.units[index]
        found.append((number, Spent(total, after - index)))
        index = after
    return found
