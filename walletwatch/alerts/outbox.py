"""The outbox as the dispatcher sees it: every step one transaction of the store, with its audit entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from chains.model import Address, ChainId, MempoolOutlook, PoolOutlook
from walletwatch.alerts.ports import AlertNames, AlertView
from walletwatch.domain.alerts import OutboxRow
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
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
