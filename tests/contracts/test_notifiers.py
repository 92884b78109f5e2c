"""Slack, webhook and console under one contract, each against its real other end on this machine."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from notifiers import SECRET, NotifierContract, Rig, huge_view

import slack_server
from alerts_samples import make_view
from slack_server import CHANNEL_ID, CHANNEL_NAME, SlackServer, find_pings
from walletwatch.alerts.console import ConsoleNotifier
from walletwatch.alerts.ports import PriorDelivery, Sent, SinkRefused, TryLater
from walletwatch.alerts.slack import SlackNotifier
from walletwatch.alerts.webhook import MAX_BODY_BYTES, WebhookNotifier, verify_signature


def texts_of(value: Any) -> Iterator[str]:
    """Every text a reader of a message sees."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


class SlackRig:
    def __init__(self, server: SlackServer) -> None:
        self.server = server
        self.notifier = SlackNotifier("slack", SECRET, f"#{CHANNEL_NAME}", server.base_url, timeout_secs=5)

    def received(self) -> list[str]:
        return ["\n".join(texts_of(m.arguments)) for m in self.server.top_messages()]

    def break_it(self) -> None:
        self.notifier = SlackNotifier("slack", SECRET, "#x", "http://127.0.0.1:9/api/", timeout_secs=5)


class TestSlack(NotifierContract):
    @pytest.fixture
    def rig(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackRig]:
        monkeypatch.setattr(slack_server, "TOKEN", SECRET)
        with SlackServer() as server:
            yield SlackRig(server)

    def refuse_tricks(self, rig: Rig) -> None:
        assert isinstance(rig, SlackRig)
        (message,) = rig.server.top_messages()
        for text in texts_of(message.arguments):
            assert find_pings(text) == []
        # Somebody else's words stand in plain_text only; mrkdwn has them in code at most, and makes no links of texts.
        for block in message.arguments["blocks"]:
            for part in [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]:
                if part and part["type"] == "mrkdwn":
                    assert part["verbatim"] is True
                    assert "evil.example" not in part["text"]
        assert message.arguments["parse"] == "none"
        assert str(message.arguments["link_names"]).lower() in {"0", "false"}


class Hook(BaseHTTPRequestHandler):
    """A receiver as its author would write it: checks the signature before it reads."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    rig: WebhookRig

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class named it
        pass

    def do_HEAD(self) -> None:
        self._answer(405)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.rig.requests.append((dict(self.headers), body))
        self._answer(self.rig.status)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        for name, value in self.rig.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


class WebhookRig:
    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        handler = type("BoundHook", (Hook,), {"rig": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.notifier = self._open(self.http.server_address[1])

    def _open(self, port: int) -> WebhookNotifier:
        url = f"http://127.0.0.1:{port}/{SECRET}"
        return WebhookNotifier("hook", url, SECRET.encode(), timeout_secs=5)

    def received(self) -> list[str]:
        return [json.dumps(json.loads(body), ensure_ascii=False) for _, body in self.requests]

    def break_it(self) -> None:
        self.notifier = self._open(9)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class TestWebhook(NotifierContract):
    @pytest.fixture
    def rig(self) -> Iterator[WebhookRig]:
        rig = WebhookRig()
        yield rig
        rig.close()

    def test_the_signature_covers_time_and_body(self, rig: WebhookRig) -> None:
        rig.notifier.send(make_view(), PriorDelivery())
        headers, body = rig.requests[0]
        stamp, digest = headers["Walletwatch-Signature"].removeprefix("t=").split(",v1=")
        assert hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == digest
        now = datetime.fromtimestamp(int(stamp), UTC)
        check = headers["Walletwatch-Signature"], body
        assert verify_signature(SECRET.encode(), *check, now)
        assert not verify_signature(b"other", *check, now)
        assert not verify_signature(SECRET.encode(), check[0], body + b" ", now)
        assert not verify_signature(SECRET.encode(), *check, now + timedelta(seconds=302))
        assert not verify_signature(SECRET.encode(), "t=1,v1=" + "0" * 63, body, now)
        assert headers["Idempotency-Key"] == f"{make_view().alert.id}:1"

    def test_the_body_is_contract_s_alert_with_what_its_ids_name(self, rig: WebhookRig) -> None:
        view = make_view()
        rig.notifier.send(view, PriorDelivery())
        body = json.loads(rig.requests[0][1])
        members = "id fingerprint severity state title findings outflows opened_at deliveries"
        assert set(members.split()) <= set(body)
        assert body["opened_at"] == "2024-05-31T04:26:08.000000Z"
        (outflow,) = body["details"]["outflows"]
        assert (outflow["amount"], outflow["symbol"], outflow["decimals"]) == ("450290000000", "BTC", 8)
        assert {f["id"] for f in body["details"]["findings"]} == set(body["findings"])
        assert outflow["destinations"][0]["label"] == "DMM thief"

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_not_followed(self, rig: WebhookRig, status: int) -> None:
        """A redirect would carry the signed alert to whoever controls the answer."""
        rig.status, rig.headers = status, {"Location": f"http://127.0.0.1:{rig.http.server_address[1]}/elsewhere"}
        result = rig.notifier.send(make_view(), PriorDelivery())
        assert isinstance(result, SinkRefused)
        assert "redirect" in result.reason
        assert len(rig.requests) == 1

    @pytest.mark.parametrize(
        ("status", "headers", "expected"),
        [
            (200, {}, Sent(f"{make_view().alert.id}:1")),
            (429, {"Retry-After": "7"}, TryLater("127.0.0.1 answered 429", 7.0)),
            (503, {"Retry-After": "99999999999999"}, TryLater("127.0.0.1 answered 503")),
            (500, {"Retry-After": "soon"}, TryLater("127.0.0.1 answered 500")),
            (401, {}, SinkRefused("127.0.0.1 answered 401")),
            (404, {}, SinkRefused("127.0.0.1 answered 404")),
        ],
    )
    def test_each_answer_has_its_meaning(
        self, rig: WebhookRig, status: int, headers: dict[str, str], expected: object
    ) -> None:
        rig.status, rig.headers = status, headers
        assert rig.notifier.send(make_view(), PriorDelivery()) == expected

    def test_a_body_stays_below_the_limit(self, rig: WebhookRig) -> None:
        rig.notifier.send(huge_view(), PriorDelivery())
        assert len(rig.requests[0][1]) <= MAX_BODY_BYTES


class ConsoleRig:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.notifier = ConsoleNotifier("console", self.stream)

    def received(self) -> list[str]:
        return [page for page in self.stream.getvalue().split("\n\n") if page.strip()]

    def break_it(self) -> None:
        self.stream.close()


class TestConsole(NotifierContract):
    @pytest.fixture
    def rig(self) -> ConsoleRig:
        return ConsoleRig()

    def refuse_tricks(self, rig: Rig) -> None:
        (text,) = rig.received()
        assert "[bold red]x[/]" in text  # as letters, not as rich's markup
        assert "\u202e" not in text

    def test_the_page_reads_as_a_treasurer_would_want_it(self, rig: ConsoleRig) -> None:
        view = make_view()
        rig.notifier.send(view, PriorDelivery())
        assert rig.stream.getvalue() == GOLDEN.replace("ALERT", view.alert.id)


GOLDEN = """\
CRITICAL · unapproved outflow · 4,502.9 BTC left hot wallet dmm-hot
open since 2024-05-31T04:26:08Z
  Chain:        bitcoin
  Transaction:  975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7
  Life:         included in block 845829, 2 confirmations
  Network fee:  0.1 BTC
  First seen:   2024-05-31T04:26:08.000000Z
  to:           4,502.9 BTC → 1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P (DMM thief [theft])
  why:          CRITICAL unapproved outflow: no request explains 4,502.9 BTC to 1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P
  why:          HIGH lookalike destination: 1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P resembles the payee \
1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P of W-1042
  do:           walletwatch alerts show ALERT
  do:           walletwatch alerts ack ALERT --by YOU --reason '…'
  do:           walletwatch audit why 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7
  alert:        ALERT (version 1)

"""


def test_the_channel_is_learned_from_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_server, "TOKEN", SECRET)
    with SlackServer() as server:
        sent = SlackRig(server).notifier.send(make_view(), PriorDelivery())
        assert isinstance(sent, Sent)
        assert sent.remote_id.startswith(f"{CHANNEL_ID}/")
