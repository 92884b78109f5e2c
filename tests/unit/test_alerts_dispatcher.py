"""The dispatcher's manners: its pace, its pauses, what it mutes, and what it says of what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from alerts_machines import SINKS, Board, MemoryBooks, Plan
from alerts_samples import T0, make_alert, make_finding
from slack_server import CHANNEL_ID, TOKEN, Fault, SlackServer
from walletwatch.alerts.dispatcher import BURST, Dispatcher, Sink, Summary
from walletwatch.alerts.ports import AlertView, PriorDelivery, SendResult, TryLater
from walletwatch.alerts.slack import SlackNotifier
from walletwatch.domain.alerts import Alert, AlertState
from walletwatch.domain.findings import Severity


@dataclass
class Desk:
    """Books, boards and a clock that stands still until told."""

    now: datetime = T0
    books: MemoryBooks = field(default_factory=MemoryBooks)
    boards: dict[str, Board] = field(default_factory=lambda: {n: Board(n, n == "page", Plan()) for n in SINKS})
    least: Severity = Severity.INFO

    def __post_init__(self) -> None:
        sinks = {name: Sink(board, self.least) for name, board in self.boards.items()}
        self.dispatcher = Dispatcher(self.books, sinks, lambda: self.now, uniform=max)

    def put(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.books.put(alert, self.now)

    def wait(self, secs: float) -> None:
        self.now += timedelta(seconds=secs)

    def due_in(self, alert: Alert, sink: str) -> float:
        return (self.books.rows[alert.id, sink].row.due_at - self.now).total_seconds()


def alerts(count: int, severity: Severity = Severity.CRITICAL) -> list[Alert]:
    return [make_alert(make_finding(severity=severity, tx=bytes([n]) * 32)) for n in range(count)]


def test_a_paced_sink_gets_a_short_burst_then_one_message_a_second_and_holds_up_nobody() -> None:
    desk = Desk()
    desk.boards["page"].min_interval_secs = 1.0
    desk.put(*alerts(BURST + 3))
    assert desk.dispatcher.run_once().delivered == BURST + BURST + 3
    assert (len(desk.boards["page"].seen), len(desk.boards["hook"].seen)) == (BURST, BURST + 3)
    assert desk.dispatcher.run_once().delivered == 0
    for told in range(BURST + 1, BURST + 4):
        desk.wait(1)
        assert desk.dispatcher.run_once().delivered == 1
        assert len(desk.boards["page"].seen) == told
    assert desk.books.due() == 0


def test_what_the_pace_forbids_is_not_even_claimed() -> None:
    desk = Desk()
    desk.boards["page"].min_interval_secs = 1.0
    desk.put(*alerts(BURST + 2))
    desk.dispatcher.run_sink("page")
    assert sum(r.leased_until is not None for r in desk.books.rows.values()) == 0


def test_a_sink_that_is_down_is_asked_once_a_pause_and_not_once_an_alert() -> None:
    """Ten alerts that each wait for a time-out would keep the eleventh from ever being tried."""
    desk = Desk()
    desk.put(*alerts(10))
    desk.boards["page"].mood = "later"
    summary = desk.dispatcher.run_once()
    assert (summary.retried, summary.delivered) == (1, 10)
    desk.wait(2)
    assert desk.dispatcher.run_once().delivered == 10


def test_pauses_double_up_to_five_minutes_and_what_the_sink_asks_for_counts() -> None:
    desk = Desk()
    (alert,) = alerts(1)
    desk.put(alert)
    pauses = []
    for _ in range(12):
        desk.boards["page"].mood = "later"
        desk.dispatcher.run_sink("page")
        pauses.append(desk.due_in(alert, "page"))
        desk.wait(301)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    desk.boards["page"].mood = "asked"
    desk.dispatcher.run_sink("page")
    assert desk.due_in(alert, "page") == 31


def test_a_restart_forgets_no_pause() -> None:
    desk = Desk()
    (alert,) = alerts(1)
    desk.put(alert)
    desk.boards["page"].mood = "asked"
    desk.dispatcher.run_sink("page")
    again = Desk(books=desk.books, boards=desk.boards)
    assert again.dispatcher.run_sink("page").delivered == 0
    again.wait(31)
    assert again.dispatcher.run_sink("page").delivered == 1


def test_an_alert_below_the_sink_s_severity_is_muted_until_it_gets_louder() -> None:
    desk = Desk(least=Severity.HIGH)
    (quiet,) = alerts(1, Severity.MEDIUM)
    desk.put(quiet)
    assert desk.dispatcher.run_once().muted == 2
    desk.put(replace(quiet, severity=Severity.HIGH, version=2))
    assert desk.dispatcher.run_once().delivered == 2


def test_a_silenced_alert_is_kept_and_not_told_and_an_old_message_is_brought_up_to_date_quietly() -> None:
    desk = Desk()
    told, fresh = alerts(2)
    desk.put(told)
    desk.dispatcher.run_once()
    desk.put(replace(told, state=AlertState.SILENCED, version=2), replace(fresh, state=AlertState.SILENCED))
    summary = desk.dispatcher.run_once()
    assert (summary.delivered, summary.muted) == (1, 3)
    assert desk.boards["page"].seen == {told.id: 2}
    assert desk.boards["hook"].seen == {told.id: 1}
    desk.put(replace(fresh, version=2))
    assert desk.dispatcher.run_once().delivered == 2


def test_a_refusal_is_recorded_and_reported_and_the_next_version_is_tried_again() -> None:
    desk = Desk()
    (alert,) = alerts(1)
    desk.put(alert)
    desk.boards["page"].mood = "refuse"
    ((row, reason),) = desk.dispatcher.run_once().refused
    assert (row.alert_id, row.sink, reason) == (alert.id, "page", "no such channel")
    desk.wait(10_000)
    assert desk.dispatcher.run_once().delivered == 0
    desk.put(replace(alert, version=2))
    assert desk.dispatcher.run_once().delivered == 2


def test_an_alert_that_is_gone_is_given_up_and_said() -> None:
    desk = Desk()
    (alert,) = alerts(1)
    desk.put(alert)
    desk.books.alerts.clear()
    assert all("not in the store" in reason for _, reason in desk.dispatcher.run_once().refused)


def test_a_notifier_that_raises_stops_nobody_and_its_words_are_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """An exception's text may hold a URL with its secret."""
    desk = Desk()
    desk.put(*alerts(2))

    class Faulty(Board):
        def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
            raise RuntimeError("https://hooks.example/T0P-S3CRET")

    desk.dispatcher.sinks["page"] = Sink(Faulty("page", True, Plan()))  # type: ignore[index]
    summary = desk.dispatcher.run_once()
    assert (summary.retried, summary.delivered) == (2, 2)
    assert "RuntimeError" in caplog.text
    assert "S3CRET" not in caplog.text
    assert all("S3CRET" not in r.row.last_error for r in desk.books.rows.values())


def test_slack_s_own_pause_is_kept_and_the_message_stays_one() -> None:
    """429 in the middle of a burst, then an answer that is lost: each alert is one message at the end."""
    with SlackServer() as slack:
        desk = Desk()
        notifier = SlackNotifier("slack", TOKEN, CHANNEL_ID, slack.base_url)
        desk.dispatcher.sinks["page"] = Sink(notifier)  # type: ignore[index]
        slack.faults = [
            Fault("status", "chat.postMessage", status=429, retry_after="9"),
            Fault("drop", "chat.postMessage"),
        ]
        found = alerts(4)
        desk.put(*found)
        assert desk.dispatcher.run_sink("page").retried == 1
        assert desk.dispatcher.run_sink("page") == Summary()
        for _ in range(12):
            desk.wait(11)
            desk.dispatcher.run_sink("page")
        assert sorted(m.alert_id for m in slack.top_messages()) == sorted(a.id for a in found)
        assert all(r.state == "delivered" for (_, sink), r in desk.books.rows.items() if sink == "page")


def test_trouble_of_one_message_does_not_pause_the_sink() -> None:
    desk = Desk()
    desk.put(*alerts(3))

    class Picky(Board):
        def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
            if view.alert.id == alerts(1)[0].id:
                return TryLater("this one only", of_sink=False)
            return super().send(view, told)

    desk.dispatcher.sinks["page"] = Sink(Picky("page", True, Plan()))  # type: ignore[index]
    summary = desk.dispatcher.run_sink("page")
    assert (summary.retried, summary.delivered) == (1, 2)
