"""The dispatcher loses nothing, whatever happens; and the machine that says so notices when one does."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from alerts_machines import SINKS, Books, DispatcherMachine
from alerts_samples import NAMES
from walletwatch.alerts.dispatcher import Dispatcher, StoreOutbox, Summary
from walletwatch.alerts.ports import AlertView, Notifier, Outbox, SendResult, SinkRefused, TryLater
from walletwatch.domain.alerts import Alert, OutboxRow, Outcome
from walletwatch.store.stores import open_store

SOUND = settings(max_examples=300, stateful_step_count=40, deadline=None)
HUNT = settings(
    max_examples=2_000, stateful_step_count=30, deadline=None, database=None, phases=[Phase.generate], derandomize=True
)


def test_every_alert_reaches_every_sink() -> None:
    run_state_machine_as_test(DispatcherMachine, settings=SOUND)


class StoreBooks:
    """The real store on SQLite."""

    def __init__(self, template: Path) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(template, self.folder / "store.db")
        self.store = open_store(f"sqlite:///{self.folder / 'store.db'}")
        self.outbox: Outbox = StoreOutbox(self.store, NAMES, lambda *_: ())

    def put(self, alert: Alert, now: datetime) -> None:
        with self.store.transaction() as unit:
            unit.alerts.save(alert)
            unit.alerts.enqueue(alert, SINKS, now)

    def due(self) -> int:
        with self.store.reading() as unit:
            return unit.alerts.outbox_counts().get("due", 0)

    def refused(self, alert_id: str, sink: str) -> bool:
        with self.store.reading() as unit:
            alert = unit.alerts.get(alert_id)
            assert alert is not None
            return any(d.sink == sink and d.outcome is Outcome.FAILED for d in alert.deliveries)

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


def test_every_alert_reaches_every_sink_out_of_the_real_store(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    store = open_store(f"sqlite:///{template}")
    store.upgrade()
    store.close()  # the last connection folds the write-ahead log into the file

    class OnTheStore(DispatcherMachine):
        def make_books(self) -> Books:
            return StoreBooks(template)

    calm = settings(
        max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(OnTheStore, settings=calm)


class MarksBeforeSending(Dispatcher):
    """Delivered first, sent second: a crash between loses the alert."""

    def _send(self, view: AlertView, row: OutboxRow, notifier: Notifier) -> SendResult:
        self.outbox.delivered(row, view.alert.version, row.remote_id, self.clock())
        return super()._send(view, row, notifier)


class ForgetsThatItTried(Dispatcher):
    """Never uncertain: an answer that was lost becomes a second message."""

    def _send(self, view: AlertView, row: OutboxRow, notifier: Notifier) -> SendResult:
        known = replace(row, attempts=0, last_error="", interrupted=False)
        return super()._send(view, known, notifier)


class RecordsTheNewest(Dispatcher):
    """Says it told the newest version there is, not the one it sent: a change meanwhile is lost."""

    def _send(self, view: AlertView, row: OutboxRow, notifier: Notifier) -> SendResult:
        result = super()._send(view, row, notifier)
        newest = self.outbox.load(row.alert_id)
        assert newest is not None
        object.__setattr__(view, "alert", newest.alert)
        return result


class GivesUpOnFailure(Dispatcher):
    """A failure that may pass is taken as one for good."""

    def _send(self, view: AlertView, row: OutboxRow, notifier: Notifier) -> SendResult:
        result = super()._send(view, row, notifier)
        return SinkRefused(result.reason) if isinstance(result, TryLater) else result


class WorksWithoutLease(Dispatcher):
    """Two workers take the same row."""

    def run_sink(self, name: str, limit: int = 100) -> Summary:
        self.lease_secs = 0
        return super().run_sink(name, limit)


@pytest.mark.parametrize(
    ("mutant", "symptom"),
    [
        (MarksBeforeSending, "has version"),
        (ForgetsThatItTried, "two messages"),
        (RecordsTheNewest, "has version"),
        (GivesUpOnFailure, "has version"),
        (WorksWithoutLease, "two messages"),
    ],
)
def test_the_machine_kills(mutant: type[Dispatcher], symptom: str) -> None:
    class Sick(DispatcherMachine):
        dispatcher_type = mutant

    with pytest.raises(AssertionError, match=symptom):
        run_state_machine_as_test(Sick, settings=HUNT)
