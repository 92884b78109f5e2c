"""Alerts, and the outbox row of each sink that still has to hear of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from chains.model import TxId
from walletwatch.domain.alerts import Alert, AlertChange, AlertState, Decision, Delivery, OutboxRow, Outcome, Silence
from walletwatch.domain.findings import Severity
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.store import tables as t
from walletwatch.store.statements import Filter, Statement, narrow, overwriting, upsert

_OUTCOMES = {
    "due": Outcome.RETRYING,
    "delivered": Outcome.DELIVERED,
    "failed": Outcome.FAILED,
    "muted": Outcome.MUTED,
}


_a, _f = t.alerts.c, t.findings.c
_CRITICAL = Statement(
    lambda _: (
        select(_f.id)
        .where(_f.wallet == bindparam("wallet"), _f.severity == str(Severity.CRITICAL), _f.resolved.is_(None))
        .where(_f.found_at <= bindparam("at"), _f.txid != bindparam("but"))
    )
)
_STANDING = Statement(
    lambda _: (
        select(_a.opened_at, _a.findings)
        .where(_a.severity == str(Severity.CRITICAL), _a.state != str(AlertState.CLOSED))
        .where(_a.opened_at <= bindparam("at"))
    )
)


_SAVE = overwriting(t.alerts, ("id",))
_BY_FINGERPRINT = Statement(lambda _: select(_a.id).where(_a.fingerprint == bindparam("fingerprint")))
_AGAIN_DUE = Statement(
    lambda _: update(t.outbox).where(
        t.outbox.c.alert == bindparam("of_alert"), t.outbox.c.sink == bindparam("at_sink")
    ),
    ("state", "version", "due_at", "attempts", "changed_at"),
)
_FIRST_DUE = Statement(lambda _: insert(t.outbox), [c.name for c in t.outbox.columns if c.name != "id"])


class AlertRepository:
    """Alerts are found by id or fingerprint; there is one outbox row for each alert and sink, for good."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    # --- alerts -------------------------------------------------------------------------------------------------------

    def save(self, alert: Alert) -> None:
        """Insert or overwrite."""
        _SAVE.run(self._c, _row(alert))

    def get(self, alert_id: str) -> Alert | None:
        """The alert with this id, with its deliveries."""
        return self._one(t.alerts.c.id == alert_id)

    def by_fingerprint(self, fingerprint: str) -> Alert | None:
        """The alert that gathers this fingerprint."""
        row = _BY_FINGERPRINT.row(self._c, fingerprint=fingerprint)
        return None if row is None else self.get(row[0])

    def _one(self, condition: Any) -> Alert | None:
        row = self._c.execute(select(t.alerts).where(condition)).one_or_none()
        return None if row is None else _alert(row, self._deliveries([row.id]).get(row.id, ()))

    def find(self, wanted: Filter) -> Iterator[Alert]:
        """Alerts that fit, oldest first."""
        c = t.alerts.c
        query = select(t.alerts).order_by(c.opened_at, c.id)
        rows = self._c.execute(narrow(query, wanted, c, "opened_at", [("severity", "severity"), ("state", "state")]))
        found = rows.all()
        deliveries = self._deliveries([r.id for r in found])
        for row in found:
            yield _alert(row, deliveries.get(row.id, ()))

    def silenced(self) -> list[Alert]:
        """Every silenced alert."""
        return list(self.find(Filter(state=str(AlertState.SILENCED))))

    def count(self, state: AlertState) -> int:
        """How many alerts are in `state`."""
        query = select(func.count()).select_from(t.alerts).where(t.alerts.c.state == str(state))
        return int(self._c.execute(query).scalar_one())

    def frozen_at(self, wallet: str, at: datetime, but: TxId) -> datetime | None:
        """When the earliest critical alert about `wallet` (by another transaction than `but`) opened that is not closed
        and was open at `at`. A finding that was explained later is no alarm, though its alert may stand for another.
        """
        about = {r[0] for r in _CRITICAL.rows(self._c, wallet=wallet, at=at, but=but)}
        opened = (r[0] for r in _STANDING.rows(self._c, at=at) if about.intersection(r[1])) if about else ()
        return min(opened, default=None)

    def _deliveries(self, alert_ids: Sequence[str]) -> dict[str, tuple[Delivery, ...]]:
        c = t.outbox.c
        found: dict[str, tuple[Delivery, ...]] = {}
        for low in range(0, len(alert_ids), 500):
            some = list(alert_ids[low : low + 500])
            for r in self._c.execute(select(t.outbox).where(c.alert.in_(some)).order_by(c.sink)):
                one = Delivery(r.sink, _OUTCOMES[r.state], r.attempts, r.remote_id, r.changed_at)
                found[r.alert] = (*found.get(r.alert, ()), one)
        return found

    # --- outbox -------------------------------------------------------------------------------------------------------

    def enqueue(self, alert: Alert, sinks: Iterable[str], now: datetime) -> None:
        """Make the alert's present version due at every sink, in the transaction that changed the alert."""
        for sink in sinks:
            row = {"alert": alert.id, "sink": sink, "state": "due", "version": alert.version, "due_at": now}
            row |= {"attempts": 0, "changed_at": now}
            if not _AGAIN_DUE.run(self._c, row | {"of_alert": alert.id, "at_sink": sink}):
                new = {"told_version": 0, "leased_until": None, "remote_id": "", "last_error": ""}
                _FIRST_DUE.run(self._c, row | new)

    def has_due(self, sink: str, now: datetime) -> bool:
        """Whether a claim would find anything."""
        c = t.outbox.c
        free = or_(c.leased_until.is_(None), c.leased_until <= now)
        query = select(c.id).where(c.sink == sink, c.state == "due", c.due_at <= now, free).limit(1)
        return self._c.execute(query).first() is not None

    def claim_due(self, sink: str, now: datetime, lease_secs: int, limit: int) -> list[OutboxRow]:
        """Take rows of `sink` that are due and not leased, oldest first; the lease ends by itself if we die."""
        c = t.outbox.c
        query = (
            select(t.outbox)
            .where(c.sink == sink, c.state == "due", c.due_at <= now)
            .where(or_(c.leased_until.is_(None), c.leased_until <= now))
            .order_by(c.due_at, c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._c.execute(query).all()
        if rows:
            until = now + timedelta(seconds=lease_secs)
            self._c.execute(update(t.outbox).where(c.id.in_([r.id for r in rows])).values(leased_until=until))
        return [_outbox_row(r) for r in rows]

    def mark_notified(self, delivery_id: int, version: int, remote_id: str, at: datetime) -> None:
        """Record success, after it. If a newer version came meanwhile the row stays due."""
        values = {"told_version": version, "remote_id": remote_id, "attempts": 0, "last_error": ""}
        self._end(delivery_id, version, "delivered", values, at)

    def muted(self, delivery_id: int, version: int, at: datetime) -> None:
        """This version need not be told."""
        self._end(delivery_id, version, "muted", {"attempts": 0, "last_error": ""}, at)

    def failed(self, delivery_id: int, version: int, error: str, at: datetime) -> None:
        """The sink refused this version for good."""
        self._end(delivery_id, version, "failed", {"last_error": error, "attempts": t.outbox.c.attempts + 1}, at)

    def release(self, sink: str, now: datetime) -> None:
        """End every lease on rows of `sink`: whoever held them is dead. They stay marked as interrupted."""
        c = t.outbox.c
        self._c.execute(update(t.outbox).where(c.sink == sink, c.leased_until > now).values(leased_until=now))

    def revive(self, sink: str, now: datetime) -> int:
        """Make due again what `sink` refused for good: its configuration was mended. How many rows."""
        c = t.outbox.c
        revived = self._c.execute(
            update(t.outbox).where(c.sink == sink, c.state == "failed").values(state="due", due_at=now, attempts=0)
        )
        return int(revived.rowcount)

    def _end(self, delivery_id: int, version: int, state: str, values: dict[str, Any], at: datetime) -> None:
        c = t.outbox.c
        common = {"leased_until": None, "changed_at": at}
        self._c.execute(update(t.outbox).where(c.id == delivery_id).values(values | common))
        self._c.execute(update(t.outbox).where(c.id == delivery_id, c.version <= version).values(state=state))

    def retry(self, delivery_id: int, due_at: datetime, error: str, at: datetime, remote_id: str = "") -> None:
        """Record a failure that may pass; the row is due again at `due_at`."""
        values: dict[str, Any] = {"due_at": due_at, "last_error": error, "leased_until": None, "changed_at": at}
        values["attempts"] = t.outbox.c.attempts + 1
        if remote_id:
            values["remote_id"] = remote_id
        self._c.execute(update(t.outbox).where(t.outbox.c.id == delivery_id).values(values))

    def outbox_counts(self) -> dict[str, int]:
        """Rows by state."""
        query = select(t.outbox.c.state, func.count()).group_by(t.outbox.c.state)
        return {state: int(count) for state, count in self._c.execute(query)}

    def outbox(self) -> list[OutboxRow]:
        """Every row, oldest first."""
        return [_outbox_row(r) for r in self._c.execute(select(t.outbox).order_by(t.outbox.c.id))]

    # --- silences -----------------------------------------------------------------------------------------------------

    def save_silence(self, silence: Silence) -> None:
        """Insert or overwrite (an early end is a new `until`)."""
        matchers = {
            "rule_ids": list(silence.rule_ids),
            "wallets": list(silence.wallets),
            "chains": list(silence.chains),
            "alert_ids": list(silence.alert_ids),
        }
        row = {
            "id": silence.id,
            "by": silence.by,
            "reason": silence.reason,
            "created_at": silence.created_at,
            "until": silence.until,
            "matchers": matchers,
        }
        upsert(self._c, t.silences, row, ("id",))

    def silences(self, active_at: datetime | None = None) -> tuple[Silence, ...]:
        """Silences, all or those in force at a moment."""
        query = select(t.silences).order_by(t.silences.c.created_at, t.silences.c.id)
        if active_at is not None:
            query = query.where(t.silences.c.until > active_at)
        return tuple(
            Silence(
                id=r.id,
                by=r.by,
                reason=r.reason,
                created_at=r.created_at,
                until=r.until,
                **{name: tuple(values) for name, values in r.matchers.items()},
            )
            for r in self._c.execute(query)
        )


def _decision_to_json(decision: Decision | None) -> dict[str, str] | None:
    if decision is None:
        return None
    return {"by": decision.by, "at": format_utc(decision.at), "reason": decision.reason}


def _decision(value: Any) -> Decision | None:
    return None if value is None else Decision(value["by"], parse_utc(value["at"]), value["reason"])


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "severity": str(alert.severity),
        "state": str(alert.state),
        "title": alert.title,
        "findings": list(alert.findings),
        "outflows": list(alert.outflows),
        "opened_at": alert.opened_at,
        "version": alert.version,
        "acknowledged": _decision_to_json(alert.acknowledged),
        "closed": _decision_to_json(alert.closed),
        "changes": [[c.version, format_utc(c.at), c.what, c.notable, c.loud] for c in alert.changes],
    }


def _alert(row: Row[Any], deliveries: tuple[Delivery, ...]) -> Alert:
    return Alert(
        id=row.id,
        fingerprint=row.fingerprint,
        severity=Severity(row.severity),
        state=AlertState(row.state),
        title=row.title,
        findings=tuple(row.findings),
        outflows=tuple(row.outflows),
        opened_at=row.opened_at,
        version=row.version,
        acknowledged=_decision(row.acknowledged),
        closed=_decision(row.closed),
        deliveries=deliveries,
        changes=tuple(AlertChange(v, parse_utc(at), what, notable, loud) for v, at, what, notable, loud in row.changes),
    )


def _outbox_row(r: Row[Any]) -> OutboxRow:
    return OutboxRow(
        id=r.id,
        alert_id=r.alert,
        sink=r.sink,
        version=r.version,
        notified_version=r.told_version,
        attempts=r.attempts,
        due_at=r.due_at,
        remote_id=r.remote_id,
        last_error=r.last_error,
        interrupted=r.leased_until is not None,
    )
