"""What bitcoind's REST interface says when it gives no block, in its own words over a real connection."""

from __future__ import annotations

import pytest
from rpc_servers import Answer, RpcServer

from chains.bitcoin.client import RETRY_SECS, RestTransport
from chains.errors import NotReady, Unreachable
from chains.rpc.http import HttpTransport
from chains.source import Endpoint

BLOCK = ("getblock", ["aa" * 32, 0])
HEXADECIMAL: Answer = (200, {}, b'{"jsonrpc":"2.0","id":1,"result":"c0de"}')


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_node_that_starts_is_not_ready() -> None:
    """bitcoind 29: 503 with these words until its block index is loaded. RPC says -28 then; asking it is no use."""
    words = "Service temporarily unavailable: Loading block index…\r\n".encode()
    with RpcServer(gets=[(503, {}, words)]) as server:
        rest = RestTransport(HttpTransport(Endpoint("node", server.url)))
        with pytest.raises(NotReady, match="Loading block index"):
            rest.call(*BLOCK)
        assert (rest.note, server.bodies) == ("", [])


def test_a_proxy_that_fails_is_no_word_of_the_node() -> None:
    with RpcServer(gets=[(503, {}, b"<html>upstream</html>")]) as server:
        rest = RestTransport(HttpTransport(Endpoint("node", server.url)))
        with pytest.raises(Unreachable):
            rest.call(*BLOCK)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((404, {}, b""), "HTTP 404: no such resource"),
        ((404, {}, b"aa not available (pruned data)\r\n"), "HTTP 404: aa not available"),
        ((403, {}, b""), "HTTP 403"),
        ((400, {}, b"Invalid hash: aa\r\n"), "HTTP 400"),
    ],
)
def test_what_rest_refuses_comes_by_rpc_and_rest_is_left_alone_for_a_while(refusal: Answer, said: str) -> None:
    clock = Clock()
    with RpcServer(gets=[refusal, (200, {}, b"\x01\x02")], answers=[HEXADECIMAL]) as server:
        rest = RestTransport(HttpTransport(Endpoint("node", server.url)), clock)
        assert rest.call(*BLOCK) == "c0de"
        assert said in rest.note
        server.answers.append((200, {}, HEXADECIMAL[2].replace(b'"id":1', b'"id":2')))
        clock.now = RETRY_SECS - 1
        assert rest.call(*BLOCK) == "c0de"
        clock.now = RETRY_SECS
        assert rest.call(*BLOCK) == b"\x01\x02"
        assert rest.note == ""
