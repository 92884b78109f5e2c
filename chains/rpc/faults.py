"""What a node's refusal means: HTTP statuses, JSON-RPC codes and providers' own words, as errors of `chains.errors`.

The lists are closed. A text that is not in them is an `RpcError`, which nobody retries, until somebody has seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from chains.errors import (
    BlockGone,
    ChainError,
    NotReady,
    PermanentError,
    RateLimited,
    RpcError,
    TransientError,
    Unreachable,
    Unsupported,
)
from chains.rpc.transport import Json

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
