"""JSON-RPC over HTTP(S) to one endpoint, and plain GETs below it."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

import orjson
import urllib3
from urllib3 import exceptions as http_errors

from chains.errors import ChainError, LyingNode, PermanentError, Unreachable
from chains.rpc.jsonrpc import (
    Call,
    Json,
    Loads,
    clean_message,
    from_status,
    loads_fast,
    parse_body,
    question,
    result_of,
    results_of,
)
from chains.source import Endpoint

MAX_ANSWER_BYTES: Final = 256 << 20
"""getblock 3 of a full block is about 30 MB; nothing honest comes near this."""
MAX_BATCH: Final = 100
_MAX_COOKIE_BYTES = 4096
PATIENCE_SECS: Final[dict[tuple[str, object], float]] = {("scantxoutset", "start"): 1800.0}
"""Methods, with their first parameter, that work for minutes: bitcoind walks 180 million unspent outputs."""
_CONNECT_SECS = 5.0
_CHUNK = 1 << 20


class HttpTransport:
    """One endpoint. Keeps connections alive; urllib3 sets TCP_NODELAY, without which head and body sent apart cost
    40 ms. Safe to use from several threads.

    Credentials come from the URL's userinfo or from bitcoind's cookie file, which is read again after a 401 because
    bitcoind writes a new one at each start. No redirect is followed: it could carry the credentials elsewhere.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timeout_secs: float = 20.0,
        loads: Loads = loads_fast,
        *,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"endpoint {endpoint.name}: not an http(s) URL")
        self.name = endpoint.name
        self._endpoint = endpoint
        self._loads = loads
        self._limit = max_answer_bytes
        self._timeout_secs = timeout_secs
        self._clock = clock
        self._path = parts.path or "/"
        self._query = f"?{parts.query}" if parts.query else ""
        self._basic = _userinfo(parts.username, parts.password)
        self._cookie = b""
        self._numbers = itertools.count(1)
        self._pool = urllib3.connectionpool.connection_from_url(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            maxsize=4,
            block=False,
            retries=False,
        )

    @property
    def connections(self) -> int:
        """How many connections were ever opened: when it grows, whoever answers may be another node."""
        return self._pool.num_connections

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """The `result` of one call. Raises the errors of `chains.errors`."""
        number = next(self._numbers)
        patience = max(self._timeout_secs, PATIENCE_SECS.get((method, params[0] if params else None), 0.0))
        answer = self._post(orjson.dumps(question((method, params), number)), patience)
        return result_of(answer, number, self.name)

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """Results in the order of `calls`, asked in batches of 100; an error stands in its place."""
        return self.fetch(calls).answers()

    def fetch(self, calls: Sequence[Call]) -> FetchedBodies:
        """The same, not decoded yet: a node's answers can be fetched by one thread and read by another."""
        parts: list[tuple[list[int], bytes]] = []
        for start in range(0, len(calls), MAX_BATCH):
            part = calls[start : start + MAX_BATCH]
            numbers = [next(self._numbers) for _ in part]
            body = orjson.dumps([question(call, number) for call, number in zip(part, numbers, strict=True)])
            parts.append((numbers, self._body(body)))
        return FetchedBodies(self.name, self._loads, parts)

    def raw(self, path: str) -> bytes:
        """The body of `GET path` below the endpoint. Raises Unsupported where there is no such resource.

        The node's words stand in the error: bitcoind tells in them why it has no such block.
        """
        base = self._path.rstrip("/")
        status, headers, body = self._request("GET", f"{base}/{path.lstrip('/')}", None)
        if status != HTTPStatus.OK:
            raise from_status(status, headers, self.name, words=clean_message(body[:1000].decode(errors="replace")))
        return body

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _post(self, body: bytes, timeout_secs: float | None = None) -> Json:
        return parse_body(self._body(body, timeout_secs), self._loads, self.name)

    def _body(self, body: bytes, timeout_secs: float | None = None) -> bytes:
        status, headers, answer = self._request("POST", self._path + self._query, body, timeout_secs)
        if status != HTTPStatus.OK and not _may_be_rpc(status, answer):
            raise from_status(status, headers, self.name)
        return answer

    def _request(
        self, verb: str, path: str, body: bytes | None, timeout_secs: float | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        timeout_secs = timeout_secs or self._timeout_secs
        answer = self._send(verb, path, body, self._authorization(), timeout_secs)
        if answer[0] == HTTPStatus.UNAUTHORIZED and self._endpoint.cookie_file is not None:
            self._cookie = b""
            answer = self._send(verb, path, body, self._authorization(), timeout_secs)
        return answer

    def _send(
        self, verb: str, path: str, body: bytes | None, headers: dict[str, str], timeout_secs: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        deadline = self._clock() + timeout_secs
        timeout = urllib3.Timeout(connect=min(_CONNECT_SECS, timeout_secs), read=timeout_secs)
        try:
            response = self._pool.urlopen(
                verb,
                path,
                body=body,
                headers=headers,
                redirect=False,
                preload_content=False,
                retries=False,
                timeout=timeout,
            )
            try:
                return response.status, response.headers, self._read(response, deadline, timeout_secs)
            finally:
                response.release_conn()
        except (http_errors.HTTPError, OSError) as error:
            raise Unreachable(_describe(error), endpoint=self.name) from None

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float, timeout_secs: float) -> bytes:
        """The whole body, within the size limit and the deadline: a node may also trickle."""
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limit:
                response.close()
                raise LyingNode(f"an answer of more than {self._limit} bytes", endpoint=self.name)
            if self._clock() > deadline:
                response.close()
                raise Unreachable(f"no whole answer within {timeout_secs:g} s", endpoint=self.name)
        return b"".join(chunks)

    def _authorization(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "walletwatch"}
        secret = self._basic or self._cookie or self._read_cookie()
        if secret:
            headers["authorization"] = "Basic " + base64.b64encode(secret).decode()
        return headers

    def _read_cookie(self) -> bytes:
        path = self._endpoint.cookie_file
        if path is None:
            return b""
        try:
            with path.open("rb") as file:
                self._cookie = file.read(_MAX_COOKIE_BYTES).strip()
        except FileNotFoundError:
            raise Unreachable("the cookie file is missing: the node is not running", endpoint=self.name) from None
        except OSError as error:
            raise PermanentError(f"the cookie file cannot be read: {error.strerror}", endpoint=self.name) from None
        return self._cookie


class FetchedBodies:
    """The answers to one batch as bytes, with the numbers of their questions."""

    def __init__(self, endpoint: str, loads: Loads, parts: Sequence[tuple[list[int], bytes]]) -> None:
        self._endpoint = endpoint
        self._loads = loads
        self._parts = parts
        self.size = sum(len(body) for _, body in parts)

    def answers(self) -> list[Json | ChainError]:
        """In the order of the questions; an error stands in its place. Raises as `HttpTransport.batch`."""
        results: list[Json | ChainError] = []
        for numbers, body in self._parts:
            results += results_of(parse_body(body, self._loads, self._endpoint), numbers, self._endpoint)
        return results


def _userinfo(username: str | None, password: str | None) -> bytes:
    if username is None:
        return b""
    return f"{unquote(username)}:{unquote(password or '')}".encode()


def _may_be_rpc(status: int, body: bytes) -> bool:
    """Whether the body tells more than the status: bitcoind sends its errors as JSON under HTTP 500, 404 or 400,
    QuickNode "eth_getLogs is limited to a 10,000 range" under 413.
    """
    return status in (400, 404, 413, 500) and body.lstrip()[:1] in (b"{", b"[")


def _describe(error: Exception) -> str:
    """What went wrong, in our own words: the library's would name the URL, and a URL may hold a key."""
    cause = error.__cause__ or error.__context__ or error
    for kind, words in _DESCRIPTIONS:
        if isinstance(error, kind) or isinstance(cause, kind):
            return words
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return f"connection failed: {reason}"


_DESCRIPTIONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (http_errors.ConnectTimeoutError, "no connection in time"),
    (http_errors.ReadTimeoutError, "no answer in time"),
    (http_errors.NameResolutionError, "the host's name is not known"),
    (http_errors.NewConnectionError, "connection refused"),
    (http_errors.SSLError, "the TLS certificate or handshake failed"),
    (http_errors.IncompleteRead, "the answer was cut short"),
    (http_errors.ProtocolError, "the connection broke"),
    (TimeoutError, "no answer in time"),
)
