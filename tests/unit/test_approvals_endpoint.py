"""The endpoint for approval acts at its edges: what it refuses, and whom it cuts off."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from walletwatch.alerts.webhook import sign_body
from walletwatch.approvals.act_sources import MAX_LINES, MAX_POST
from walletwatch.service.act_endpoint import (
    MAX_CONNECTIONS,
    MAX_HEAD,
    ActEndpoint,
    EndpointError,
    LineRate,
    PostSecret,
    RequestRefused,
    Rules,
)
from walletwatch.watch.feed_reader import LineAnswer

JSON_LINES = {"Content-Type": "application/x-ndjson"}
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


class Kept:
    """What an endpoint handed on."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, body: bytes) -> list[LineAnswer]:
        self.bodies.append(body)
        return [LineAnswer(n, "taken", "approve", f"W-{n}") for n in range(1, body.count(b"\n") + 1)]


@contextmanager
def listening(post: Any, **rules: Any) -> Iterator[tuple[str, int]]:
    chosen = {"secret": PostSecret(b""), "rate": LineRate(6000)} | rules
    endpoint = ActEndpoint("127.0.0.1", 0, Rules(**chosen), post)
    endpoint.start()
    yield endpoint.address
    endpoint.stop()


def ask(
    address: tuple[str, int], body: bytes = b"{}\n", method: str = "POST", path: str = "/approvals", **headers: str
) -> tuple[int, Any, http.client.HTTPResponse]:
    client = http.client.HTTPConnection(*address, timeout=20)
    named = JSON_LINES | {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, path, body, named)
    response = client.getresponse()
    return response.status, json.loads(response.read()), response


def raw(address: tuple[str, int], sent: bytes) -> bytes:
    """Everything that is answered to these very bytes until the connection is closed."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(sent)
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
    return answer


def test_a_batch_is_handed_on_whole_and_answered_line_by_line() -> None:
    kept = Kept()
    with listening(kept) as address:
        status, answer, response = ask(address, b"first\nsecond\n")
    assert (status, kept.bodies) == (200, [b"first\nsecond\n"])
    assert (answer["taken"], answer["duplicate"], answer["malformed"]) == (2, 0, 0)
    assert answer["lines"][1] == {"line": 2, "result": "taken", "act": "approve", "request_id": "W-2"}
    assert response.getheader("Connection") == "close"


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"path": "/"}, 404, "acts are taken at /approvals"),
        ({"path": "/approvals/../approvals"}, 404, "acts are taken at"),
        ({"method": "GET"}, 405, "brought by POST"),
        ({"method": "PUT"}, 405, "brought by POST"),
        ({"Content_Type": "text/plain"}, 415, "content-type must be"),
        ({"Content_Type": "multipart/form-data"}, 415, "content-type must be"),
        ({"body": b""}, 400, "the body is empty"),
        ({"body": b"x\n" * (MAX_LINES + 1)}, 413, f"{MAX_LINES + 1} lines"),
        ({"body": b"x" * (MAX_POST + 1)}, 413, f"more than {MAX_POST} bytes"),
    ],
)
def test_what_is_no_batch_is_refused_and_not_handed_on(asked: dict[str, Any], status: int, words: str) -> None:
    kept = Kept()
    with listening(kept) as address:
        answered, answer, _ = ask(address, **asked)
    assert (answered, kept.bodies) == (status, [])
    assert words in answer["error"]


HEAD = b"POST /approvals HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HEAD + b"Content-Length: +3\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        HEAD + b"X: " + b"y" * (MAX_HEAD + 1) + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_proxies_and_servers_may_read_differently_is_refused(sent: bytes) -> None:
    """Two lengths, odd lengths and broken chunks are how one request is smuggled inside another."""
    kept = Kept()
    with listening(kept) as address:
        answer = raw(address, sent)
    assert answer.startswith(b"HTTP/1.1 4")
    assert kept.bodies == []


def test_a_chunked_body_counts_as_what_it_is() -> None:
    kept = Kept()
    head = (
        b"POST /approvals HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    big = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with listening(kept) as address:
        assert raw(address, head + b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert raw(address, head + big + big + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert kept.bodies == [b"one\ntwo\n"]


def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    kept = Kept()
    head = b"POST /approvals HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
    with listening(kept) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"one\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert kept.bodies == [b"one\n"]


@pytest.mark.parametrize("sent", [b"", b"POST /appro", b"POST /approvals HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_does_not_finish_is_cut_off(sent: bytes) -> None:
    kept = Kept()
    with listening(kept, timeout_secs=0.2) as address:
        assert raw(address, sent) == b""
    assert kept.bodies == []


def test_dripping_does_not_prolong_the_deadline() -> None:
    """Slowloris: a byte now and then resets a timeout of single reads, and not a deadline of the whole request."""
    kept, cut = Kept(), threading.Event()
    with listening(kept, timeout_secs=0.5) as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(b"POST /approvals HTTP/1.1\r\n")
        try:
            for n in range(1_000):
                client.sendall(f"X-{n}: y\r\n".encode())
                cut.wait(0.02)
        except OSError:
            cut.set()
    assert cut.is_set()
    assert kept.bodies == []


def test_clients_that_hold_every_place_keep_others_out_for_the_deadline_only() -> None:
    kept = Kept()
    with listening(kept, timeout_secs=0.5) as address:
        idle = [socket.create_connection(address, timeout=20) for _ in range(MAX_CONNECTIONS)]
        assert [client.recv(1) for client in idle] == [b""] * MAX_CONNECTIONS
        assert ask(address)[0] == 200
        for client in idle:
            client.close()


def test_the_secret_is_asked_for_before_the_body_is_read() -> None:
    kept = Kept()
    with listening(kept, secret=PostSecret(b"open sesame", lambda: NOW)) as address:
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "Basic open sesame"}):
            status, _, response = ask(address, **headers)
            assert (status, response.getheader("WWW-Authenticate")) == (401, "Bearer")
        head = b"POST /approvals HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
        assert raw(address, head).startswith(b"HTTP/1.1 401")
        assert ask(address, Authorization="Bearer open sesame")[0] == 200
    assert kept.bodies == [b"{}\n"]


def test_a_body_signed_as_our_webhooks_are_is_taken_while_it_is_fresh() -> None:
    kept, secret = Kept(), b"open sesame"
    with listening(kept, secret=PostSecret(secret, lambda: NOW)) as address:
        good = sign_body(secret, b"{}\n", NOW)
        assert ask(address, Walletwatch_Signature=good)[0] == 200
        for bad in (
            sign_body(b"other", b"{}\n", NOW),
            sign_body(secret, b"[]\n", NOW),
            sign_body(secret, b"{}\n", NOW - timedelta(minutes=6)),
            "t=1,v1=x",
        ):
            assert ask(address, Walletwatch_Signature=bad)[0] == 401
    assert kept.bodies == [b"{}\n"]


def test_more_lines_than_the_rate_are_told_to_come_later() -> None:
    kept = Kept()
    with listening(kept, rate=LineRate(3)) as address:
        assert ask(address, b"1\n2\n3\n4\n")[0] == 200
        status, answer, response = ask(address, b"5\n")
    assert (status, len(kept.bodies)) == (429, 1)
    assert "3 lines a minute" in answer["error"]
    assert int(response.getheader("Retry-After") or 0) > 0


def test_a_long_line_counts_as_several() -> None:
    with listening(Kept(), rate=LineRate(50)) as address:
        assert ask(address, b"x" * 60_000)[0] == 200
        assert ask(address, b"short\n")[0] == 429


def test_the_rate_recovers_with_time() -> None:
    now = [0.0]
    rate = LineRate(60, lambda: now[0])
    rate.take(90)
    with pytest.raises(RequestRefused) as refused:
        rate.take(1)
    assert refused.value.headers == {"Retry-After": "31"}
    now[0] = 31.0
    rate.take(1)
    with pytest.raises(RequestRefused):
        rate.take(1)


def test_a_database_that_fails_is_told_and_nothing_is_shown_of_it() -> None:
    def broken(_: bytes) -> list[LineAnswer]:
        raise OSError("postgresql://user:password@host is away")

    with listening(broken) as address:
        status, answer, response = ask(address)
    assert (status, response.getheader("Retry-After")) == (503, "5")
    assert answer == {"error": "nothing of this was kept; try again"}


def test_two_endpoints_at_one_address_are_an_error_that_says_so() -> None:
    with listening(Kept()) as (host, port):
        second = ActEndpoint(host, port, Rules(PostSecret(b""), LineRate(1)), Kept())
        with pytest.raises(EndpointError, match=f"cannot listen on 127.0.0.1 port {port}"):
            second.start()
        second.stop()


def test_over_tls_a_client_that_speaks_plainly_gets_nothing(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*made, *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    kept = Kept()
    with listening(kept, tls=context, timeout_secs=2) as address:
        trusting = ssl.create_default_context(cafile=str(cert))
        client = http.client.HTTPSConnection(*address, timeout=20, context=trusting)
        client.request("POST", "/approvals", b"one\n", JSON_LINES)
        assert client.getresponse().status == 200
        client.close()
        with socket.create_connection(address, timeout=20) as plain:
            plain.sendall(b"POST /approvals HTTP/1.1\r\nHost: x\r\n\r\n")
            with suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"HTTP")
    assert kept.bodies == [b"one\n"]


def test_the_secret_does_not_show() -> None:
    assert "sesame" not in repr(PostSecret(b"open sesame"))
