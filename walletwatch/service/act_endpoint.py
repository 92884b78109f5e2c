"""The endpoint that takes approval acts by POST. HTTP is read by h11, which refuses what proxies and servers read
differently; one thread and one request a connection, all of it under one deadline, so that a slow client holds one of a
few places for seconds and nothing else.
"""

from __future__ import annotations

import hmac
import json
import logging
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import h11

from walletwatch.alerts.webhook import verify_signature
from walletwatch.approvals.act_sources import MAX_LINES, MAX_POST
from walletwatch.domain.times import Clock, utc_now
from walletwatch.watch.feed_reader import LineAnswer

_log = logging.getLogger(__name__)

PATH = "/approvals"
CONTENT_TYPES = frozenset({"application/x-ndjson", "application/jose+json", "application/json"})
"""None of these can be sent by a page of another site without asking first (a CORS preflight), which is refused."""
MAX_HEAD = 16_384
"""Bytes of request line and headers."""
MAX_CONNECTIONS = 32
_DRAIN_SECS = 2.0
_LINE_BYTES = 1024
"""So much of a body counts as one line at least: the rate bounds what is stored."""

Poster = Callable[[bytes], list[LineAnswer]]
"""Keeps the lines of a body; returns when they are on disk."""


class EndpointError(Exception):
    """The endpoint cannot listen; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an endpoint asks of its clients. A request that is not whole after `timeout_secs` is cut off."""

    secret: PostSecret
    rate: LineRate
    timeout_secs: float = 10.0
    tls: ssl.SSLContext | None = None


class ActEndpoint:
    """Listens from `start` until `stop`. `port` 0 takes a free one, `address` is where."""

    def __init__(self, host: str, port: int, rules: Rules, post: Poster) -> None:
        self._where = (host, port)
        self._rules = rules
        self._post = post
        self._server: _Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        bound = self._server.server_address if self._server is not None else self._where
        return str(bound[0]), int(bound[1])

    def start(self) -> None:
        """Begin to listen, in a thread of its own. Raises EndpointError."""
        host, port = self._where
        try:
            self._server = _Server(host, port, self._rules, self._post)
        except OSError as error:
            raise EndpointError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="approvals", daemon=True).start()

    def stop(self) -> None:
        """Take no more; what is being kept is finished first."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, rules: Rules, post: Poster) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.rules, self.post = rules, post
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _Conversation)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the library's own signature
        """Whether there is a place for one more; it is given back when its thread ends."""
        return self._places.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started: the connection is closed, its place is free
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's own signature
        _log.exception("the approval endpoint failed at a request")


class _Conversation(socketserver.BaseRequestHandler):
    """One connection: one request, one answer."""

    server: _Server

    def handle(self) -> None:
        rules = self.server.rules
        self.deadline = time.monotonic() + rules.timeout_secs
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            if rules.tls is not None:
                self.request.settimeout(self._left())
                self.request = rules.tls.wrap_socket(self.request, server_side=True)
            self._answer(*self._serve())
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError):
            # Gone, too slow, or nothing to be answered in HTTP. What was kept is kept: posted again, it is a duplicate.
            return
        finally:
            self.request.close()

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _serve(self) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        try:
            body = self._read()
        except RequestRefused as refused:
            return refused.status, refused.headers, {"error": str(refused)}
        except h11.RemoteProtocolError as error:
            return error.error_status_hint, {}, {"error": "this is not the HTTP that is spoken here"}
        try:
            return 200, {}, _answer_object(self.server.post(body))
        except Exception:  # noqa: BLE001 - logged whole; the client learns that nothing was kept, and tries again
            _log.exception("posted approvals could not be kept")
            return 503, {"Retry-After": "5"}, {"error": "nothing of this was kept; try again"}

    def _read(self) -> bytes:
        """The body of a request that may be taken. Raises RequestRefused, OSError, h11.RemoteProtocolError."""
        headers: dict[str, str] = {}
        body = bytearray()
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self._receive()
            elif isinstance(event, h11.Request):
                headers = _headers_of(event)
                self._check_head(event, headers)
            elif isinstance(event, h11.Data):
                body += event.data
                _check_size(len(body))
            elif isinstance(event, h11.EndOfMessage):
                self._check_body(headers, bytes(body))
                return bytes(body)
            else:
                raise ConnectionError

    def _receive(self) -> None:
        self.request.settimeout(self._left())
        if self.http.they_are_waiting_for_100_continue:
            self.request.sendall(self.http.send(h11.InformationalResponse(status_code=100, headers=[])))
        self.http.receive_data(self.request.recv(65_536))

    def _check_head(self, request: h11.Request, headers: Mapping[str, str]) -> None:
        if request.target.partition(b"?")[0] != PATH.encode():
            raise RequestRefused(404, f"acts are taken at {PATH}")
        if request.method != b"POST":
            raise RequestRefused(405, "acts are brought by POST", Allow="POST")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in CONTENT_TYPES:
            raise RequestRefused(415, f"content-type must be one of {', '.join(sorted(CONTENT_TYPES))}")
        self.server.rules.secret.check_head(headers)
        _check_size(int(headers.get("content-length", "0")))

    def _check_body(self, headers: Mapping[str, str], body: bytes) -> None:
        self.server.rules.secret.check_body(headers, body)
        lines = body.removesuffix(b"\n").count(b"\n") + 1
        if not body:
            raise RequestRefused(400, "the body is empty")
        if lines > MAX_LINES:
            raise RequestRefused(413, f"{lines} lines; at most {MAX_LINES} at once")
        self.server.rules.rate.take(max(lines, len(body) // _LINE_BYTES))

    def _answer(self, status: int, headers: Mapping[str, str], content: dict[str, Any]) -> None:
        raw = json.dumps(content, ensure_ascii=True).encode()
        own = {"Content-Type": "application/json", "Content-Length": str(len(raw)), "Connection": "close"}
        response = h11.Response(status_code=status, headers=list((own | dict(headers)).items()))
        # One write: header and body apart cost 40 ms (Nagle). The end is no data, and closes the connection.
        self.request.settimeout(self.server.rules.timeout_secs)
        self.request.sendall(b"".join(self.http.send(e) or b"" for e in (response, h11.Data(data=raw))))
        if self.http.their_state is not h11.DONE:
            self._drain()

    def _drain(self) -> None:
        """Read what is still being sent, for a moment: closing at once would reset the answer away."""
        self.request.shutdown(socket.SHUT_WR)
        until = time.monotonic() + min(_DRAIN_SECS, self.server.rules.timeout_secs)
        while (left := until - time.monotonic()) > 0:
            self.request.settimeout(left)
            if not self.request.recv(65_536):
                return


def _headers_of(request: h11.Request) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}


def _check_size(size: int) -> None:
    if size > MAX_POST:
        raise RequestRefused(413, f"more than {MAX_POST} bytes at once")


def _answer_object(answers: list[LineAnswer]) -> dict[str, Any]:
    counts = {word: sum(a.result == word for a in answers) for word in ("taken", "duplicate", "malformed")}
    lines = [{key: value for key, value in asdict(a).items() if value != ""} for a in answers]
    return {**counts, "lines": lines}


# --- who may post, and how much -----------------------------------------------------------------------------------

SIGNATURE_HEADER = "walletwatch-signature"


class RequestRefused(Exception):
    """The request is refused with the HTTP `status` and this message; nothing of it is kept."""

    def __init__(self, status: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class PostSecret:
    """The secret of a client: a bearer token, or the key of an HMAC-SHA256 over `TIME.BODY` in the form of our own
    webhooks, at most five minutes old. Empty: anybody may post, and only the acts' own signatures are checked.
    """

    key: bytes = field(repr=False)
    clock: Clock = utc_now

    def check_head(self, headers: Mapping[str, str]) -> None:
        """Before the body is read: a credential must be present, and a token must match. Raises RequestRefused."""
        if not self.key or SIGNATURE_HEADER in headers:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self.key):
            raise _unknown()

    def check_body(self, headers: Mapping[str, str], body: bytes) -> None:
        """After the body is read: a signature over it must match and be fresh. Raises RequestRefused."""
        if not self.key or SIGNATURE_HEADER not in headers:
            return
        if not verify_signature(self.key, headers[SIGNATURE_HEADER], body, self.clock()):
            raise _unknown()


def _unknown() -> RequestRefused:
    return RequestRefused(401, "the secret is missing or wrong", **{"WWW-Authenticate": "Bearer"})


class LineRate:
    """At most `per_minute` lines a minute, in bursts of one minute's lines. A batch that begins within the rate is
    taken whole; the next one waits.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._left = float(per_minute)
        self._since = clock()

    def take(self, lines: int) -> None:
        """Count `lines`. Raises RequestRefused (429) with the seconds to wait."""
        with self._lock:
            now = self._clock()
            grown = (now - self._since) * self._per_minute / 60
            self._left, self._since = min(float(self._per_minute), self._left + grown), now
            if self._left <= 0:
                wait = int(-self._left * 60 / self._per_minute) + 1
                raise RequestRefused(429, f"more than {self._per_minute} lines a minute", **{"Retry-After": str(wait)})
            self._left -= max(1, lines)
