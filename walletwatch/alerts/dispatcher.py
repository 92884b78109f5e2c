"""From the outbox to people: at least once, one sink never holding up another, and never lost.

A row is claimed under a lease, the alert loaded as it stands, sent, and the success recorded *after* it. Whoever dies
between leaves a lease that runs out, and the row is sent again under the same alert id. A failure writes the time of
the next try into the row (exponential, full jitter), so that a restart forgets nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from walletwatch.alerts.ports import AlertView, Notifier, Outbox, PriorDelivery, Sent, SinkRefused, TryLater
from walletwatch.domain.alerts import AlertState, OutboxRow
from walletwatch.domain.findings import Severity
from walletwatch.domain.times import Clock, utc_now

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 1.0
LONGEST_PAUSE_SECS = 300.0
BURST = 3


@dataclass(frozen=True, slots=True)
class Sink:
    """A notifier and the least severity it is told of."""

    notifier: Notifier
    min_severity: Severity = Severity.INFO


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass did. `refused` are the rows given up for good with the sink's reason: worth a finding each."""

    delivered: int = 0
    retried: int = 0
    muted: int = 0
    refused: tuple[tuple[OutboxRow, str], ...] = ()

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.delivered + other.delivered,
            self.retried + other.retried,
            self.muted + other.muted,
            self.refused + other.refused,
        )


@dataclass(slots=True)
class _Pace:
    """When a sink may be spoken to again; memory only, because the rows carry what must survive."""

    not_before: datetime | None = None
    troubles: int = 0
    spent_until: datetime | None = None
    """Up to when the sink's pace is used up by what was sent (the generic cell rate algorithm)."""

    def after_sending(self, now: datetime, interval_secs: float) -> None:
        """Count one message. Up to BURST may follow one another at once, then each waits for its interval: Slack takes
        short bursts above its one message a second, and a second theft must not wait for the first.
        """
        interval = timedelta(seconds=interval_secs)
        self.spent_until = max(self.spent_until or now, now) + interval
        self.not_before = max(now, self.spent_until - interval * (BURST - 1))
        self.troubles = 0


@dataclass(slots=True)
class Dispatcher:
    """Sends what is due. Give each sink a thread of its own by calling `run_sink` where one may be slow; a `Dispatcher`
    never sleeps. `lease_secs` must exceed the longest a notifier takes for one message.
    """

    outbox: Outbox
    sinks: Mapping[str, Sink]
    clock: Clock = utc_now
    lease_secs: int = 180
    uniform: Callable[[float, float], float] = random.uniform
    _paces: dict[str, _Pace] = field(default_factory=dict, repr=False)

    def run_once(self, limit: int = 100) -> Summary:
        """One pass over every sink, at most `limit` messages each."""
        return sum((self.run_sink(name, limit) for name in self.sinks), Summary())

    def run_sink(self, name: str, limit: int = 100) -> Summary:
        """One pass over one sink: as many messages as its pace allows now."""
        summary, pace = Summary(), self._paces.setdefault(name, _Pace())
        for _ in range(limit):
            now = self.clock()
            if pace.not_before is not None and now < pace.not_before:
                break
            rows = self.outbox.claim_due(name, now, self.lease_secs, 1)
            if not rows:
                break
            summary += self._handle(rows[0], self.sinks[name], pace)
        return summary

    def _handle(self, row: OutboxRow, sink: Sink, pace: _Pace) -> Summary:
        view = self.outbox.load(row.alert_id)
        if view is None:
            return self._give_up(row, f"alert {row.alert_id} is not in the store")
        if _is_muted(view, row, sink):
            self.outbox.muted(row, view.alert.version, self.clock())
            return Summary(muted=1)
        result = self._send(view, row, sink.notifier)
        now = self.clock()
        if isinstance(result, Sent):
            self.outbox.delivered(row, view.alert.version, result.remote_id or row.remote_id, now)
            pace.after_sending(now, sink.notifier.min_interval_secs)
            return Summary(delivered=1)
        if isinstance(result, SinkRefused):
            return self._give_up(row, result.reason)
        self._put_off(row, result, pace, now)
        return Summary(retried=1)

    def _send(self, view: AlertView, row: OutboxRow, notifier: Notifier) -> Sent | SinkRefused | TryLater:
        told = PriorDelivery(row.notified_version, row.remote_id, row.may_have_arrived)
        try:
            return notifier.send(view, told)
        except Exception as error:  # noqa: BLE001 - a fault in one message must not stop the others; it is kept and retried
            # The type alone: a message may hold a URL with its secret.
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else "?"
            _log.error("sink %s raised %s at %s for alert %s", notifier.name, type(error).__name__, place, row.alert_id)
            return TryLater(f"the notifier raised {type(error).__name__}", of_sink=False)

    def _give_up(self, row: OutboxRow, reason: str) -> Summary:
        self.outbox.failed(row, reason, self.clock())
        _log.error("alert %s was refused by sink %s: %s", row.alert_id, row.sink, reason)
        return Summary(refused=((replace(row, last_error=reason), reason),))

    def _put_off(self, row: OutboxRow, result: TryLater, pace: _Pace, now: datetime) -> None:
        pause = timedelta(seconds=self._pause(row.attempts, result.after_secs))
        self.outbox.retry(row, now + pause, result.reason, now, result.remote_id)
        if result.of_sink:
            # The next alert would meet the same trouble: ten alerts must not wait for ten time-outs.
            pace.troubles += 1
            pace.not_before = now + timedelta(seconds=self._pause(pace.troubles - 1, result.after_secs))

    def _pause(self, attempts: int, asked_secs: float | None) -> float:
        """Seconds until the next try: what the sink asked for, else up to 1, 2, 4 … 300 at random (full jitter)."""
        top = min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2 ** min(attempts, 20))
        jitter = self.uniform(0.0, top)
        return jitter if asked_secs is None else asked_secs + min(jitter, FIRST_PAUSE_SECS)


def _is_muted(view: AlertView, row: OutboxRow, sink: Sink) -> bool:
    """Below the sink's severity, or silenced; a message that stands is still brought up to date where that is quiet."""
    if view.alert.severity.rank > sink.min_severity.rank:
        return True
    quiet_edit = sink.notifier.can_edit and bool(row.remote_id)
    return view.alert.state is AlertState.SILENCED and not quiet_edit
