"""A dispatcher under every kind of bad luck: crashes at each step, sinks that fail, lie or lose their answer, alerts
that change while they are being told, a second worker at the same moment.

What must hold at the end: each alert's last version reached each sink that did not refuse it, and a sink that can
change messages holds exactly one message an alert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerts_samples import T0, make_alert, make_finding
from walletwatch.alerts.dispatcher import Dispatcher, Sink
from walletwatch.alerts.ports import (
    AlertView,
    Outbox,
    PriorDelivery,
    SendResult,
    Sent,
    SinkRefused,
    TryLater,
)
from walletwatch.domain.alerts import Alert, OutboxRow

SINKS = ("page", "hook")
LEASE_SECS = 180
STEPS = ("claim_due", "load", "send", "delivered", "retry", "failed")


class Crash(BaseException):
    """The process died here."""


@dataclass
class Plan:
    """Where to die next: before or after the named step."""

    step: str = ""
    after: bool = False

    def meet(self, step: str, *, after: bool) -> None:
        if (self.step, self.after) == (step, after):
            self.step = ""
            raise Crash


class Books(Protocol):
    """Where alerts and outbox rows are kept."""

    outbox: Outbox

    def put(self, alert: Alert, now: datetime) -> None:
        """Save the alert and make it due at every sink, as the pipeline does in one transaction."""

    def due(self) -> int:
        """Rows that are still to be told."""

    def refused(self, alert_id: str, sink: str) -> bool:
        """Whether the row ended as refused."""

    def close(self) -> None:
        """Let go of files."""


@dataclass
class _Row:
    row: OutboxRow
    state: str = "due"
    leased_until: datetime | None = None


@dataclass
class MemoryBooks:
    """The port's words as plain Python: what any other implementation is held to."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    rows: dict[tuple[str, str], _Row] = field(default_factory=dict)

    @property
    def outbox(self) -> Outbox:
        return self

    def put(self, alert: Alert, now: datetime) -> None:
        self.alerts[alert.id] = alert
        for sink in SINKS:
            known = self.rows.get((alert.id, sink))
            if known is None:
                self.rows[alert.id, sink] = _Row(OutboxRow(len(self.rows), alert.id, sink, alert.version, now))
            else:
                known.row = replace(known.row, version=alert.version, due_at=now, attempts=0)
                known.state = "due"

    def due(self) -> int:
        return sum(r.state == "due" for r in self.rows.values())

    def refused(self, alert_id: str, sink: str) -> bool:
        return self.rows[alert_id, sink].state == "failed"

    def close(self) -> None:
        pass

    def claim_due(self, sink: str, now: datetime, lease_secs: int, limit: int) -> Sequence[OutboxRow]:
        free = [
            r
            for r in self.rows.values()
            if r.state == "due"
            and r.row.sink == sink
            and r.row.due_at <= now
            and (r.leased_until is None or r.leased_until <= now)
        ]
        taken = sorted(free, key=lambda r: (r.row.due_at, r.row.id))[:limit]
        claimed = [replace(r.row, interrupted=r.leased_until is not None) for r in taken]
        for r in taken:
            r.leased_until = now + timedelta(seconds=lease_secs)
        return claimed

    def load(self, alert_id: str) -> AlertView | None:
        alert = self.alerts.get(alert_id)
        return None if alert is None else AlertView(alert)

    def delivered(self, row: OutboxRow, notified_version: int, remote_id: str, at: datetime) -> None:
        self._end(row, "delivered", notified_version)
        kept = self.rows[row.alert_id, row.sink]
        kept.row = replace(kept.row, notified_version=notified_version, remote_id=remote_id, attempts=0, last_error="")

    def retry(self, row: OutboxRow, due_at: datetime, error: str, at: datetime, remote_id: str = "") -> None:
        kept = self.rows[row.alert_id, row.sink]
        remote_id = remote_id or kept.row.remote_id
        attempts = kept.row.attempts + 1
        kept.row = replace(kept.row, due_at=due_at, last_error=error, remote_id=remote_id, attempts=attempts)
        kept.leased_until = None

    def failed(self, row: OutboxRow, error: str, at: datetime) -> None:
        self._end(row, "failed", row.version)
        kept = self.rows[row.alert_id, row.sink]
        kept.row = replace(kept.row, last_error=error)

    def muted(self, row: OutboxRow, notified_version: int, at: datetime) -> None:
        self._end(row, "muted", notified_version)

    def _end(self, row: OutboxRow, state: str, version: int) -> None:
        kept = self.rows[row.alert_id, row.sink]
        kept.leased_until = None
        if kept.row.version <= version:
            kept.state = state


class CrashingOutbox:
    """An outbox whose process may die before or after each of its transactions."""

    def __init__(self, inner: Outbox, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    def __getattr__(self, step: str) -> Callable[..., object]:
        def call(*args: object) -> object:
            self._plan.meet(step, after=False)
            result = getattr(self._inner, step)(*args)
            self._plan.meet(step, after=True)
            return result

        return call


@dataclass
class Board:
    """A sink as people see it: messages by remote id. `page` changes them in place and can be searched, like Slack."""

    name: str
    can_edit: bool
    plan: Plan
    min_interval_secs: float = 0.0
    mood: str = ""
    messages: dict[str, tuple[str, int]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    refused_versions: set[tuple[str, int]] = field(default_factory=set)
    while_sending: Callable[[], None] | None = None

    def check(self) -> SendResult:
        return Sent()

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        self.plan.meet("send", after=False)
        hook, self.while_sending = self.while_sending, None
        if hook is not None:
            hook()
        mood, self.mood = self.mood, ""
        if mood == "later":
            return TryLater("the sink is down")
        if mood == "asked":
            return TryLater("slow down", 30.0)
        if mood == "raise":
            raise RuntimeError("a bug in rendering")
        if mood == "refuse":
            self.refused_versions.add((view.alert.id, view.alert.version))
            return SinkRefused("no such channel")
        remote_id = self._accept(view.alert, told)
        self.plan.meet("send", after=True)
        return TryLater("the answer was lost") if mood == "lost" else Sent(remote_id)

    def _accept(self, alert: Alert, told: PriorDelivery) -> str:
        remote_id = told.remote_id
        if not remote_id and told.uncertain and self.can_edit:
            remote_id = next((r for r, (of, _) in self.messages.items() if of == alert.id), "")
        if not remote_id or not self.can_edit:
            remote_id = f"{self.name}-{len(self.messages)}"
        self.messages[remote_id] = (alert.id, alert.version)
        self.seen[alert.id] = alert.version
        return remote_id


class DispatcherMachine(RuleBasedStateMachine):
    """Subclasses choose the books and, to see the machine bite, another dispatcher."""

    dispatcher_type: type[Dispatcher] = Dispatcher

    def make_books(self) -> Books:
        return MemoryBooks()

    @initialize()
    def start(self) -> None:
        self.now = T0
        self.plan = Plan()
        self.books = self.make_books()
        self.alerts: dict[str, Alert] = {}
        self.boards = {name: Board(name, name == "page", self.plan) for name in SINKS}
        self.restart()

    def make_dispatcher(self) -> Dispatcher:
        sinks = {name: Sink(board) for name, board in self.boards.items()}
        outbox = CrashingOutbox(self.books.outbox, self.plan)
        return self.dispatcher_type(outbox, sinks, lambda: self.now, LEASE_SECS, max)

    @rule()
    def restart(self) -> None:
        self.dispatcher = self.make_dispatcher()

    @rule(n=st.integers(0, 3))
    def open_alert(self, n: int) -> None:
        alert = make_alert(make_finding(tx=bytes([n]) * 32))
        if alert.id not in self.alerts:
            self.alerts[alert.id] = alert
            self.books.put(alert, self.now)

    def change(self, alert_id: str) -> None:
        alert = self.alerts[alert_id]
        self.alerts[alert_id] = replace(alert, version=alert.version + 1)
        self.books.put(self.alerts[alert_id], self.now)

    @precondition(lambda self: self.alerts)
    @rule(data=st.data())
    def change_alert(self, data: st.DataObject) -> None:
        self.change(data.draw(st.sampled_from(sorted(self.alerts))))

    @precondition(lambda self: self.alerts)
    @rule(sink=st.sampled_from(SINKS), data=st.data())
    def change_alert_while_it_is_sent(self, sink: str, data: st.DataObject) -> None:
        alert_id = data.draw(st.sampled_from(sorted(self.alerts)))
        self.boards[sink].while_sending = lambda: self.change(alert_id)

    @rule(sink=st.sampled_from(SINKS))
    def second_worker_at_the_same_moment(self, sink: str) -> None:
        other = self.make_dispatcher()
        self.boards[sink].while_sending = lambda: self.work(other, sink)

    @rule(sink=st.sampled_from(SINKS), mood=st.sampled_from(["later", "asked", "raise", "refuse", "lost"]))
    def upset_sink(self, sink: str, mood: str) -> None:
        self.boards[sink].mood = mood

    @rule(secs=st.sampled_from([1, 2, 30, 181, 400]))
    def wait(self, secs: int) -> None:
        self.now += timedelta(seconds=secs)

    @rule(sink=st.sampled_from(SINKS))
    def run(self, sink: str) -> None:
        self.work(self.dispatcher, sink)

    @rule(sink=st.sampled_from(SINKS), step=st.sampled_from(STEPS), after=st.booleans())
    def run_and_perhaps_die(self, sink: str, step: str, after: bool) -> None:
        self.plan.step, self.plan.after = step, after
        try:
            self.work(self.dispatcher, sink)
        except Crash:
            self.restart()
        self.plan.step = ""

    def work(self, dispatcher: Dispatcher, sink: str) -> None:
        dispatcher.run_sink(sink)

    @invariant()
    def one_message_an_alert_where_messages_can_be_changed(self) -> None:
        of = [alert for alert, _ in self.boards["page"].messages.values()] if hasattr(self, "boards") else []
        assert len(of) == len(set(of)), "an alert has two messages"

    @invariant()
    def nothing_is_due_no_more_that_was_not_told(self) -> None:
        if hasattr(self, "boards") and self.books.due() == 0:
            self._everything_was_told()

    def teardown(self) -> None:
        if not hasattr(self, "boards"):
            return
        self.plan.step = ""
        for board in self.boards.values():
            board.mood, board.while_sending = "", None
        for _ in range(20):
            self.now += timedelta(seconds=600)
            for sink in SINKS:
                self.dispatcher.run_sink(sink)
        try:
            assert self.books.due() == 0, "rows are due for ever"
            self._everything_was_told()
        finally:
            self.books.close()

    def _everything_was_told(self) -> None:
        for alert in self.alerts.values():
            for name, board in self.boards.items():
                told = board.seen.get(alert.id) == alert.version
                refused = (alert.id, alert.version) in board.refused_versions and self.books.refused(alert.id, name)
                assert told or refused, f"{name} has version {board.seen.get(alert.id)} of {alert.version}"
