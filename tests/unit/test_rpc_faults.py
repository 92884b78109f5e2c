"""Providers' own words, each as it was met, and what it means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chains.errors import (
    BlockGone,
    ChainError,
    NotReady,
    PermanentError,
    RateLimited,
    RpcError,
    Unreachable,
    Unsupported,
)
from chains.rpc.jsonrpc import from_rpc, from_status, retry_after_secs

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-28, "Loading block index…", NotReady),
        (-28, "Verifying blocks…", NotReady),
        (-10, "Bitcoin Core is downloading blocks...", NotReady),
        (-1, "Block not available (not fully downloaded)", NotReady),
        (-8, "Block height out of range", BlockGone),
        (-5, "Block not found", BlockGone),
        (-1, "Block not available (pruned data)", Unsupported),
        (-32601, "Method not found", Unsupported),
        (-5, "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.", RpcError),
        (-32000, "header not found", BlockGone),
        (-32000, "missing trie node 3f2a (path ) state 0x11 is not available", Unsupported),
        (-32601, "the method trace_block does not exist/is not available", Unsupported),
        (-32005, "daily request count exceeded, request rate limited", RateLimited),
        (429, "Your app has exceeded its compute units per second capacity.", RateLimited),
        (-32007, "50/second request limit reached - reduce calls per second or upgrade", RateLimited),
        (-32005, "query returned more than 10000 results", RpcError),
        (-32602, "Log response size exceeded.", RpcError),
        (3, "execution reverted", RpcError),
    ],
)
def test_an_error_answer_means(code: int, message: str, kind: type[ChainError]) -> None:
    error = from_rpc({"code": code, "message": message}, "node")
    assert type(error) is kind
    assert error.endpoint == "node"
    assert message in str(error)


@pytest.mark.parametrize("junk", ["text", 7, [], {"code": "x"}, {"message": {"deep": 1}}, {"message": None}])
def test_a_malformed_error_is_still_an_error(junk: object) -> None:
    assert isinstance(from_rpc(junk, "node"), RpcError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, PermanentError),
        (403, PermanentError),
        (404, Unsupported),
        (405, Unsupported),
        (408, Unreachable),
        (413, PermanentError),
        (429, RateLimited),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
def test_a_status_means(status: int, kind: type[ChainError]) -> None:
    assert type(from_status(status, {}, "node")) is kind


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("99999999999", 3600.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2036 11:00:00 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value: str | None, secs: float | None) -> None:
    assert retry_after_secs(value, NOW) == secs
