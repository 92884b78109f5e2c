"""The Slack notifier by the official client against a local workspace: each fault Slack knows, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from alerts_samples import LOOKALIKE, NAMES, T0, make_alert, make_finding, make_outflow, make_view
from slack_server import CHANNEL_ID, CHANNEL_NAME, TOKEN, Fault, SlackServer
from walletwatch.alerts.lifecycle import acknowledge, close, fold
from walletwatch.alerts.ports import AlertView, PriorDelivery, Sent, SinkRefused, TryLater
from walletwatch.alerts.slack import SlackNotifier
from walletwatch.domain.findings import Severity
from walletwatch.domain.outflows import OutflowState

LATER = T0 + timedelta(minutes=1)


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


def notifier(slack: SlackServer, channel: str = f"#{CHANNEL_NAME}", token: str = TOKEN) -> SlackNotifier:
    return SlackNotifier("slack", token, channel, slack.base_url, timeout_secs=5)


def methods(slack: SlackServer) -> list[str]:
    return [method for method, _ in slack.calls]


def louder() -> tuple[AlertView, AlertView]:
    quiet = make_alert(LOOKALIKE)
    loud = fold(quiet, quiet.fingerprint, (LOOKALIKE, make_finding()), (make_outflow(),), NAMES, LATER)
    return make_view(quiet), make_view(loud)


def test_a_fresh_alert_is_one_call_with_its_id_in_metadata_and_text(slack: SlackServer) -> None:
    view = make_view()
    assert notifier(slack).send(view, PriorDelivery()) == Sent(f"{CHANNEL_ID}/1790000001.000100")
    assert methods(slack) == ["chat.postMessage"]
    arguments = slack.calls[0][1]
    assert arguments["metadata"]["event_payload"] == {"alert_id": view.alert.id, "version": 1}
    assert arguments["text"].startswith(
        "CRITICAL · unapproved outflow · 4,502.9 BTC left hot wallet dmm-hot (open since"
    )
    assert view.alert.id in arguments["text"]


def test_a_quiet_change_only_updates_the_message(slack: SlackServer) -> None:
    alert = make_alert()
    sink = notifier(slack)
    sent = sink.send(make_view(alert), PriorDelivery())
    assert isinstance(sent, Sent)
    final = make_outflow(OutflowState.FINAL)
    moved = fold(
        alert, alert.fingerprint, (make_finding(),), (final,), NAMES, LATER, before={final.id: OutflowState.SEEN}
    )
    assert sink.send(make_view(moved, outflows=(final,)), PriorDelivery(1, sent.remote_id)) == sent
    assert methods(slack) == ["chat.postMessage", "chat.update"]
    (message,) = slack.messages.values()
    assert "final in block 845829" in str(message.arguments["blocks"])


def test_a_louder_finding_is_answered_in_the_thread_and_shown_to_the_channel(slack: SlackServer) -> None:
    quiet, loud = louder()
    sink = notifier(slack)
    sent = sink.send(quiet, PriorDelivery())
    assert isinstance(sent, Sent)
    assert sink.send(loud, PriorDelivery(1, sent.remote_id)) == sent
    (message,) = slack.top_messages()
    assert "CRITICAL" in message.texts[-1]
    (reply,) = slack.replies(message.ts)
    assert reply.texts[0].startswith("now critical, new: unapproved outflow")
    assert str(reply.arguments["reply_broadcast"]).lower() in {"1", "true"}


def test_changes_the_sink_knows_are_not_answered_again(slack: SlackServer) -> None:
    alert = acknowledge(make_alert(), "treasury-1", "looking", LATER)
    sink = notifier(slack)
    sent = sink.send(make_view(alert), PriorDelivery())
    assert isinstance(sent, Sent)
    closed = close(alert, "treasury-1", "ours", LATER)
    sink.send(make_view(closed), PriorDelivery(2, sent.remote_id))
    (reply,) = slack.replies(slack.top_messages()[0].ts)
    assert reply.texts[0].startswith("closed by treasury-1: ours")
    assert str(reply.arguments["reply_broadcast"]).lower() in {"0", "false"}


def test_an_answer_that_was_lost_does_not_make_a_second_message(slack: SlackServer) -> None:
    """Slack took the message and the connection broke before its answer: posting blindly pages people twice."""
    slack.faults = [Fault("drop", "chat.postMessage")]
    first = notifier(slack).send(make_view(), PriorDelivery())
    assert isinstance(first, TryLater)
    again = notifier(slack).send(make_view(), PriorDelivery(uncertain=True))  # a new process: nothing remembered
    assert again == Sent(f"{CHANNEL_ID}/{slack.top_messages()[0].ts}")
    assert len(slack.top_messages()) == 1
    assert methods(slack) == ["chat.postMessage", "conversations.list", "conversations.history", "chat.update"]


def test_an_attempt_that_never_arrived_is_posted_after_the_search(slack: SlackServer) -> None:
    slack.faults = [Fault("reset", "chat.postMessage")]
    assert isinstance(notifier(slack, CHANNEL_ID).send(make_view(), PriorDelivery()), TryLater)
    assert isinstance(notifier(slack, CHANNEL_ID).send(make_view(), PriorDelivery(uncertain=True)), Sent)
    assert methods(slack) == ["conversations.history", "chat.postMessage"]
    assert len(slack.top_messages()) == 1


def test_the_search_reads_on_through_a_busy_channel(slack: SlackServer) -> None:
    sink = notifier(slack)
    sink.send(make_view(), PriorDelivery())
    for n in range(450):
        slack.answer("chat.postMessage", TOKEN, {"channel": CHANNEL_ID, "text": f"chatter {n}"})
    slack.calls.clear()
    assert isinstance(sink.send(make_view(), PriorDelivery(uncertain=True)), Sent)
    assert methods(slack) == ["conversations.history"] * 3 + ["chat.update"]


def test_a_bot_that_may_not_read_its_channel_posts_again_rather_than_not_at_all() -> None:
    with SlackServer(scopes=frozenset({"chat:write"})) as slack:
        sink = notifier(slack)
        sink.send(make_view(), PriorDelivery())
        assert isinstance(notifier(slack).send(make_view(), PriorDelivery(uncertain=True)), Sent)
        assert [m.alert_id for m in slack.top_messages()] == [make_alert().id] * 2


def test_a_message_somebody_deleted_is_posted_anew(slack: SlackServer) -> None:
    sink = notifier(slack)
    sent = sink.send(make_view(), PriorDelivery())
    assert isinstance(sent, Sent)
    slack.messages.clear()
    again = sink.send(make_view(), PriorDelivery(1, sent.remote_id))
    assert isinstance(again, Sent)
    assert again != sent
    assert len(slack.messages) == 1


def test_blocks_slack_refuses_still_leave_the_words(slack: SlackServer) -> None:
    slack.faults = [Fault("error", "chat.postMessage", error="invalid_blocks")]
    assert isinstance(notifier(slack).send(make_view(), PriorDelivery()), Sent)
    (message,) = slack.top_messages()
    assert "blocks" not in message.arguments
    assert "4,502.9 BTC" in message.texts[0]


@pytest.mark.parametrize(
    ("fault", "reason", "after"),
    [
        (Fault("status", status=429, retry_after="7"), "slow down", 7.0),
        (Fault("status", status=429, retry_after="junk"), "slow down", 30.0),
        (Fault("status", status=429, retry_after="99999999"), "slow down", 3600.0),
        (Fault("status", status=500, body=b"<html>"), "answered 500", None),
        (Fault("status", status=503, body=b"\xff\xfe"), "cannot be reached", None),
        (Fault("error", error="ratelimited"), "slow down", 30.0),
        (Fault("error", error="internal_error"), "internal_error", None),
        (Fault("error", error="a_code_of_next_year"), "a_code_of_next_year", None),
        (Fault("reset"), "cannot be reached", None),
        (Fault("junk", body=b"not json"), "no error code", None),
        (Fault("junk", body=b"[1,2]"), "cannot be reached", None),
        (Fault("junk", body=b'{"ok":true}'), "cannot be reached", None),
        (Fault("junk", body=b'{"ok":true,"channel":"C0TREASURY1","ts":"../../etc"}'), "cannot be reached", None),
        (Fault("junk", body=b'{"ok":false,"error":["x"]}'), "no error code", None),
    ],
)
def test_what_may_pass_is_tried_later(slack: SlackServer, fault: Fault, reason: str, after: float | None) -> None:
    slack.faults = [fault]
    result = notifier(slack).send(make_view(), PriorDelivery())
    assert isinstance(result, TryLater)
    assert (result.after_secs, result.of_sink) == (after, True)
    assert reason in result.reason


@pytest.mark.parametrize(
    "code", ["invalid_auth", "channel_not_found", "not_in_channel", "is_archived", "missing_scope"]
)
def test_what_will_not_pass_is_refused_with_slack_s_own_reason(slack: SlackServer, code: str) -> None:
    slack.faults = [Fault("error", error=code)]
    assert notifier(slack).send(make_view(), PriorDelivery()) == SinkRefused(f"Slack refused: {code}")


def test_a_wrong_token_is_told_by_check_and_never_shown(slack: SlackServer) -> None:
    sink = notifier(slack, token="xoxb-wrong-9999")
    assert sink.check() == SinkRefused("Slack refused: invalid_auth")
    assert "9999" not in repr(sink)
    assert notifier(slack).check() == Sent("U0WALLETW")


def test_a_reply_that_fails_keeps_the_message_s_id_and_is_made_up_for(slack: SlackServer) -> None:
    quiet, loud = louder()
    sink = notifier(slack)
    sent = sink.send(quiet, PriorDelivery())
    assert isinstance(sent, Sent)
    slack.faults = [Fault("status", "chat.postMessage", status=429, retry_after="3")]
    result = sink.send(loud, PriorDelivery(1, sent.remote_id))
    assert result == TryLater("Slack asked to slow down", 3.0, remote_id=sent.remote_id)
    assert isinstance(sink.send(loud, PriorDelivery(1, sent.remote_id)), Sent)
    assert len(slack.replies(slack.top_messages()[0].ts)) == 1


def test_a_proxy_in_the_environment_is_not_used_for_loopback(
    slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert isinstance(notifier(slack).send(make_view(), PriorDelivery()), Sent)


def test_severity_is_seen_at_a_glance(slack: SlackServer) -> None:
    sink = notifier(slack)
    for severity in Severity:
        alert = make_alert(make_finding(severity=severity))
        sink.send(make_view(alert), PriorDelivery())
    headers = [m.arguments["blocks"][0]["text"]["text"][0] for m in slack.top_messages()]
    assert headers == ["🟥", "🟧", "🟨", "🟦", "⬜"]
