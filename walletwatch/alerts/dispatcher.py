"""From due outbox rows to sinks: claimed under a lease, sent, and recorded after success."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chains.model import Address, ChainId, MempoolOutlook, PoolOutlook
from walletwatch.alerts.ports import AlertNames, AlertView, Notifier, Outbox, PriorDelivery, Sent, SinkRefused, TryLater
from walletwatch.domain.alerts import AlertState, OutboxRow
from walletwatch.domain.findings import Severity
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.times import Clock, utc_now
from walletwatch.store import Store, UnitOfWork

Labels = Callable[[ChainId, Address, datetime], tuple[Label, ...]]


class StoreOutbox:
    """`walletwatch.alerts.ports.Outbox` on the store."""

    def __init__(self, store: Store, names: AlertNames, labels: Labels) -> None:
        self._store = store
        self._names = names
        self._labels = labels

    def claim_due(self, sink: str, now: datetime, lease_secs: int, limit: int) -> Sequence[OutboxRow]:
        """Rows that are due, under a lease; looks before it locks, because most of the time there are none."""
        with self._store.reading() as unit:
            if not unit.alerts.has_due(sink, now):
                return ()
        with self._store.transaction() as unit:
            return unit.alerts.claim_due(sink, now, lease_secs, limit)

    def load(self, alert_id: str) -> AlertView | None:
        """The alert with all that a person should see of it."""
        with self._store.reading() as unit:
            return view_alert(unit, alert_id, self._names, self._labels)

    def delivered(self, row: OutboxRow, notified_version: int, remote_id: str, at: datetime) -> None:
        """It was told."""
        with self._store.transaction() as unit:
            unit.alerts.mark_notified(row.id, notified_version, remote_id, at)
            _record(unit, "alert.delivered", row, notified_version, remote_id=remote_id)

    def retry(self, row: OutboxRow, due_at: datetime, error: str, at: datetime, remote_id: str = "") -> None:
        """It was not told, and will be tried again."""
        with self._store.transaction() as unit:
            unit.alerts.retry(row.id, due_at, error, at, remote_id)

    def failed(self, row: OutboxRow, error: str, at: datetime) -> None:
        """The sink refused it for good."""
        with self._store.transaction() as unit:
            unit.alerts.failed(row.id, row.version, error, at)
            _record(unit, "alert.refused", row, row.version, error=error)

    def muted(self, row: OutboxRow, notified_version: int, at: datetime) -> None:
        """It need not be told."""
        with self._store.transaction() as unit:
            unit.alerts.muted(row.id, notified_version, at)


def _record(unit: UnitOfWork, action: str, row: OutboxRow, version: int, **more: str) -> None:
    payload = {"sink": row.sink, "version": version, "attempts": row.attempts + 1, **more}
    unit.audit.append("walletwatch", action, row.alert_id, payload)


def view_alert(unit: UnitOfWork, alert_id: str, names: AlertNames, labels: Labels) -> AlertView | None:
    """The alert as it stands, with findings, outflows, labels of destinations, requests and confirmations."""
    alert = unit.alerts.get(alert_id)
    if alert is None:
        return None
    outflows = tuple(o for o in (unit.outflows.get(i) for i in alert.outflows) if o is not None)
    chains = {o.chain for o in outflows}
    cursors = {chain: unit.chain_state.cursor(chain) for chain in chains}
    return AlertView(
        alert=alert,
        findings=unit.findings.by_ids(alert.findings),
        outflows=outflows,
        names=names,
        labels={p.address.text: labels(o.chain, p.address, o.broadcast_at) for o in outflows for p in o.payments},
        requests={o.id: _requests_of(unit, o) for o in outflows},
        tips={str(chain): cursor.ref.height for chain, cursor in cursors.items() if cursor is not None},
        outlooks={o.tx: seen for o in outflows if (seen := _outlook_of(unit, o)) is not None},
    )


def _outlook_of(unit: UnitOfWork, outflow: Outflow) -> MempoolOutlook | PoolOutlook | None:
    if outflow.state is not OutflowState.SEEN:
        return None
    stored = unit.ledger.transaction(outflow.chain, outflow.tx)
    return None if stored is None else stored.tx.outlook


def _requests_of(unit: UnitOfWork, outflow: Outflow) -> tuple[str, ...]:
    rows = unit.approvals.allocations_of(outflow.chain, outflow.tx)
    return tuple(dict.fromkeys(a.request_id for a in rows if a.asset == outflow.asset))


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
