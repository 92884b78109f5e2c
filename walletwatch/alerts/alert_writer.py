"""From findings to an alert and its outbox rows, in the transaction that made the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from walletwatch.alerts.lifecycle import changed, fold, resolve, wake
from walletwatch.alerts.ports import AlertNames
from walletwatch.domain.alerts import Alert, AlertState
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.store import UnitOfWork


class AlertWriter:
    """Folds what is new into the alert of its fingerprint, and makes every change due at every sink."""

    def __init__(self, sinks: Sequence[str], names: AlertNames) -> None:
        self._sinks = tuple(sinks)
        self._names = names

    def raise_alert(
        self,
        unit: UnitOfWork,
        fingerprint: str,
        findings: Iterable[Finding],
        outflows: Iterable[Outflow],
        before: Mapping[str, OutflowState] | None = None,
    ) -> None:
        """Gather `findings` in this fingerprint's alert, renewed by the present `outflows`."""
        alert = unit.alerts.by_fingerprint(fingerprint)
        new = list(findings)
        if alert is None and not new:
            return
        known = () if alert is None else unit.findings.by_ids(alert.findings)
        every = {f.id: f for f in (*known, *new)}
        lost = {o.id: o for o in (*_known_outflows(unit, alert), *outflows)}
        folded = fold(
            _without(alert, new),
            fingerprint,
            list(every.values()),
            list(lost.values()),
            self._names,
            unit.now,
            silences=unit.alerts.silences(unit.now),
            before=before,
        )
        if folded is not None and folded != alert:
            self.save(unit, folded, notify=alert is None or folded.version != alert.version)

    def record_change(self, unit: UnitOfWork, fingerprint: str, what: str, *, notable: bool) -> None:
        """Record in the alert, if there is one, another change; `notable` where people are to be notified."""
        alert = unit.alerts.by_fingerprint(fingerprint)
        if alert is None:
            return
        awake = alert.state in {AlertState.OPEN, AlertState.ACKNOWLEDGED}
        self.save(unit, changed(alert, unit.now, what, notable=notable and awake))

    def close_explained(self, unit: UnitOfWork, fingerprint: str, request_ids: Sequence[str], late_secs: int) -> None:
        """Close the alert as `system`: every finding in it is explained."""
        alert = unit.alerts.by_fingerprint(fingerprint)
        if alert is None:
            return
        closed = resolve(alert, sorted(set(request_ids)), late_secs, unit.now)
        if closed != alert:
            self.save(unit, closed)

    def save(self, unit: UnitOfWork, alert: Alert, *, notify: bool = True) -> None:
        """Keep the alert as it is now and make it due at every sink, on record."""
        unit.alerts.save(alert)
        if not notify:
            return
        unit.alerts.enqueue(alert, self._sinks, unit.now)
        payload = {
            "alert": alert.id,
            "state": str(alert.state),
            "severity": str(alert.severity),
            "version": alert.version,
            "title": alert.title,
            "findings": list(alert.findings),
            "change": alert.changes[-1].what if alert.changes else "opened",
        }
        unit.audit.append("walletwatch", "alert.changed" if alert.changes else "alert.opened", alert.id, payload)

    def wake_silenced(self, unit: UnitOfWork) -> int:
        """Let alerts speak again whose silence is over; how many did."""
        silences = unit.alerts.silences(unit.now)
        count = 0
        for alert in unit.alerts.silenced():
            woken = wake(alert, unit.findings.by_ids(alert.findings), silences, unit.now)
            if woken != alert:
                self.save(unit, woken)
                count += 1
        return count


def _known_outflows(unit: UnitOfWork, alert: Alert | None) -> list[Outflow]:
    ids = () if alert is None else alert.outflows
    return [o for o in (unit.outflows.get(i) for i in ids) if o is not None]


def _without(alert: Alert | None, new: Sequence[Finding]) -> Alert | None:
    """The alert as it was before `new`: a finding that returned, or became another verdict, is news once more."""
    ids = {f.id for f in new}
    if alert is None or ids.isdisjoint(alert.findings):
        return alert
    return replace(alert, findings=tuple(known for known in alert.findings if known not in ids))
