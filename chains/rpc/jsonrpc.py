"""JSON-RPC 2.0: the port of a transport, requests and responses, and what an error answer means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol

import orjson

from chains.errors import (
    BlockGone,
    ChainError,
    LyingNode,
    NotReady,
    PermanentError,
    RateLimited,
    RpcError,
    TransientError,
    Unreachable,
    Unsupported,
)

Json = Any
"""A decoded JSON value. Whoever receives one checks its shape: nodes are not trusted."""

Call = tuple[str, Sequence[Json]]
"""A method and its positional parameters."""


class Transport(Protocol):
    """Asks one node (or one pool of them)."""

    name: str
    """Public name, safe in logs."""

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """The `result`. Raises the errors of `chains.errors`."""

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """Results in the order of `calls`, whatever order the node answered in; an error stands in its place."""

    def raw(self, path: str) -> bytes:
        """The body of a plain GET below the endpoint (bitcoind REST). Raises Unsupported where there is none."""

    def close(self) -> None:
        """Close connections."""


Loads = Callable[[bytes], Json]
"""Decodes JSON; raises ValueError for what is none."""


def loads_fast(body: bytes) -> Json:
    """orjson: for nodes that write amounts as text or hexadecimal. Numbers with a point become floats."""
    return orjson.loads(body)


def loads_exact(body: bytes) -> Json:
    """For nodes that write amounts as decimal numbers (bitcoind): a number with a point stays the text it was.

    A body without any point (the hexadecimal of a raw block) takes the fast way: 0.6 ms a megabyte instead of 2.
    """
    if b"." not in body:
        return orjson.loads(body)
    # orjson refuses what nests deeper than 1,024; json itself crashes the process on 200,000 brackets once a library
    # has raised Python's recursion limit (py_ecc does, when web3 imports it).
    orjson.loads(body)
    return json.loads(body, parse_float=str, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def question(call: Call, number: int) -> dict[str, Json]:
    """One call as a JSON-RPC request object."""
    method, params = call
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def parse_body(body: bytes, loads: Loads, endpoint: str) -> Json:
    """The decoded body. Raises Unreachable if it is no JSON (cut short, or a proxy's page)."""
    try:
        return loads(body)
    except ValueError as error:
        raise Unreachable(f"the answer is no JSON ({len(body)} bytes)", endpoint=endpoint) from error


def result_of(answer: Json, number: int, endpoint: str) -> Json:
    """The `result` of one answer object. Raises what its error means, or LyingNode if it answers another question; an
    error without number is the node's refusal to read the question.
    """
    if not isinstance(answer, dict) or not ("result" in answer or answer.get("error")):
        raise Unreachable("the answer is no JSON-RPC", endpoint=endpoint)
    refused = answer.get("error")
    if answer.get("id") != number and not (refused and answer.get("id") is None):
        raise LyingNode(f"answer to question {answer.get('id')!r:.40} instead of {number}", endpoint=endpoint)
    if refused:
        raise from_rpc(refused, endpoint)
    return answer["result"]


def results_of(answer: Json, numbers: Sequence[int], endpoint: str) -> list[Json | ChainError]:
    """The results of a batch in the order of `numbers`; an error stands in its place.

    Raises what a single error object means (the node refused the whole batch).
    """
    if not isinstance(answer, list):
        result_of(answer, numbers[0], endpoint)
        raise Unreachable("a batch was answered by a single result", endpoint=endpoint)
    by_number = {a.get("id"): a for a in answer if isinstance(a, dict) and isinstance(a.get("id"), int)}
    if len(by_number) != len(answer) or not by_number.keys() <= set(numbers):
        raise LyingNode("a batch answer repeats or invents questions", endpoint=endpoint)
    return [_result_or_error(by_number.get(number), number, endpoint) for number in numbers]


def _result_or_error(answer: Json, number: int, endpoint: str) -> Json | ChainError:
    if answer is None:
        return Unreachable("the node left out one answer of a batch", endpoint=endpoint)
    try:
        return result_of(answer, number, endpoint)
    except ChainError as error:
        return error


MAX_RETRY_AFTER_SECS = 3600.0
_MAX_MESSAGE = 300

_NOT_READY_CODES = frozenset({-28, -9, -10})
"""bitcoind: RPC_IN_WARMUP, RPC_CLIENT_NOT_CONNECTED, RPC_CLIENT_IN_INITIAL_DOWNLOAD."""
_UNSUPPORTED_CODES = frozenset({-32601, -32004})
"""JSON-RPC 2.0 "method not found"; EIP-1474 "method not supported"."""
_RATE_CODES = frozenset({429, -32007, -32029})
"""Alchemy; QuickNode ("50/second request limit reached"); OnFinality and Polygon gateways."""

_RATE_TEXTS = (
    "too many requests",
    "rate limit",
    "request rate exceeded",
    "compute units per second",
    "requests per second",
    "calls per second",
    "request count exceeded",
    "work queue depth exceeded",
)
_NOT_READY_TEXTS = ("not fully downloaded", "loading block index", "verifying blocks", "node is syncing")
_REST_WARM_UP = "service temporarily unavailable: "
"""bitcoind's REST while it starts: "Service temporarily unavailable: Loading block index…"."""
_UNSUPPORTED_TEXTS = (
    "pruned data",
    "has been pruned",
    "block not available",  # bitcoind's getrawtransaction of a block that was pruned
    "missing trie node",
    "historical state",
    "state is not available",
    "state not available",
    "method not found",
    "does not exist/is not available",
    "is not whitelisted",
    "archive node",
)
_BLOCK_GONE_TEXTS = (
    "block height out of range",
    "block not found",
    "header not found",
    "unknown block",
    "block is not canonical",
    "block out of range",
    "requested was",  # anvil: "BlockOutOfRangeError: block height is 5 but requested was 9"
)


def clean_message(text: object) -> str:
    """A node's words made fit for a log line: printable, on one line, at most 300 characters."""
    line = " ".join(str(text)[: 4 * _MAX_MESSAGE].split())
    return "".join(c for c in line if c.isprintable())[:_MAX_MESSAGE]


def from_rpc(error: Json, endpoint: str) -> ChainError:
    """The meaning of the `error` member of a JSON-RPC answer (text, or object with `code` and `message`)."""
    fields: Mapping[str, Json] = error if isinstance(error, dict) else {}
    code = fields.get("code")
    code = code if isinstance(code, int) else 0
    message = clean_message(fields.get("message") or error)
    kind = _kind(code, message.lower())
    if kind is None:
        return RpcError(message, code=code, endpoint=endpoint)
    return kind(f"{message} (code {code})", endpoint=endpoint)


def _kind(code: int, text: str) -> type[TransientError | Unsupported] | None:
    if code in _NOT_READY_CODES or _any_in(_NOT_READY_TEXTS, text):
        return NotReady
    if code in _RATE_CODES or _any_in(_RATE_TEXTS, text):
        return RateLimited
    if code in _UNSUPPORTED_CODES or _any_in(_UNSUPPORTED_TEXTS, text):
        return Unsupported
    return BlockGone if _any_in(_BLOCK_GONE_TEXTS, text) else None


def _any_in(fragments: tuple[str, ...], text: str) -> bool:
    return any(fragment in text for fragment in fragments)


def from_status(
    status: int, headers: Mapping[str, str], endpoint: str, now: datetime | None = None, *, words: str = ""
) -> ChainError:
    """The meaning of an HTTP status other than 200 whose body is no JSON-RPC answer; `words` are those of the body."""
    if status == 429:
        wait = retry_after_secs(headers.get("retry-after"), now or datetime.now(UTC))
        return RateLimited("HTTP 429: the node asks us to slow down", endpoint=endpoint, retry_after_secs=wait)
    if status in (401, 403):
        return PermanentError(f"HTTP {status}: the node refuses our credentials or address", endpoint=endpoint)
    if status == 503 and words.lower().startswith(_REST_WARM_UP):
        return NotReady(words, endpoint=endpoint)
    if status >= 500 or status == 408:
        return Unreachable(f"HTTP {status}", endpoint=endpoint)
    if status in (404, 405):
        return Unsupported(f"HTTP {status}: {words or 'no such resource at this endpoint'}", endpoint=endpoint)
    return PermanentError(f"HTTP {status}", endpoint=endpoint)


def retry_after_secs(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110 §10.2.3: seconds or a date); None if absent or unreadable.

    Bounded by an hour: a header is input.
    """
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_SECS)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), MAX_RETRY_AFTER_SECS)
