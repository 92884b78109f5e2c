"""One transaction with every repository in it: effects, audit entries and cursor become true together or not at all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from walletwatch.store.alerts import AlertRepository
from walletwatch.store.approvals import ApprovalRepository
from walletwatch.store.audits import AuditRepository
from walletwatch.store.cases import CaseRepository
from walletwatch.store.findings import FindingRepository
from walletwatch.store.histories import HistoryRepository
from walletwatch.store.labels import LabelRepository
from walletwatch.store.ledgers import LedgerRepository
from walletwatch.store.outflows import OutflowRepository
from walletwatch.store.places import PlaceRepository


class UnitOfWork:
    """`now` is the one time at which everything in this transaction happens.

    `failures` counts the transactions of this process that were undone before; `alone` tells that nobody else can write
    meanwhile (SQLite).
    """

    def __init__(self, connection: Connection, now: datetime, failures: int = 0) -> None:
        self.now = now
        self.failures = failures
        self.alone = connection.dialect.name == "sqlite"
        self.places = PlaceRepository(connection)
        self.ledger = LedgerRepository(connection)
        self.outflows = OutflowRepository(connection)
        self.history = HistoryRepository(connection)
        self.approvals = ApprovalRepository(connection)
        self.findings = FindingRepository(connection)
        self.alerts = AlertRepository(connection)
        self.labels = LabelRepository(connection)
        self.cases = CaseRepository(connection)
        self.audit = AuditRepository(connection, now)
