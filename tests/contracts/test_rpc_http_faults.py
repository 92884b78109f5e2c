"""HttpTransport against a server that misbehaves, over real sockets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rpc_servers import RpcServer

from chains.errors import ChainError, LyingNode, PermanentError, RateLimited, RpcError, Unreachable
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import loads_exact
from chains.source import Endpoint


@pytest.fixture
def server() -> Iterator[RpcServer]:
    with RpcServer() as running:
        yield running


def connect(server: RpcServer, **options: Any) -> HttpTransport:
    return HttpTransport(Endpoint("node", server.url), 5.0, **options)


def test_429_carries_what_the_node_asked_for(server: RpcServer) -> None:
    server.answers = [(429, {"retry-after": "7"}, b"slow down")]
    with pytest.raises(RateLimited) as caught:
        connect(server).call("echo")
    assert caught.value.retry_after_secs == 7.0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_unreachable(server: RpcServer, status: int) -> None:
    server.answers = [(status, {}, b"<html>bad gateway</html>")]
    with pytest.raises(Unreachable, match=str(status)):
        connect(server).call("echo")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_permanent_and_say_so(server: RpcServer, status: int) -> None:
    server.answers = [(status, {}, b"")]
    with pytest.raises(PermanentError, match="credentials"):
        connect(server).call("echo")


def test_an_answer_cut_short_is_unreachable(server: RpcServer) -> None:
    server.answers = [(200, {"content-length": "5000"}, b'{"id":1,"result":[1,2')]
    with pytest.raises(Unreachable, match="cut short"):
        connect(server).call("echo")


def test_a_page_instead_of_json_is_unreachable(server: RpcServer) -> None:
    server.answers = [(200, {}, b"<html>please log in</html>")]
    with pytest.raises(Unreachable, match="no JSON"):
        connect(server).call("echo")


def test_an_answer_beyond_the_limit_is_a_lie(server: RpcServer) -> None:
    with pytest.raises(LyingNode, match="more than 1000 bytes"):
        connect(server, max_answer_bytes=1000).call("echo", ["x" * 2000])


def test_a_trickle_ends_at_the_deadline(server: RpcServer) -> None:
    ticks = iter(range(0, 10_000, 60))
    with pytest.raises(Unreachable, match="within 5 s"):
        connect(server, clock=lambda: float(next(ticks))).call("echo", ["x" * 2000])


def test_the_answer_to_another_question_is_a_lie(server: RpcServer) -> None:
    server.transform = lambda answer: {**answer, "id": 99}
    with pytest.raises(LyingNode, match="99"):
        connect(server).call("echo")


def test_the_error_of_another_question_is_a_lie_too(server: RpcServer) -> None:
    """A proxy mixed up two answers: the error of the one was taken for "this transaction is unknown" of the other."""
    server.transform = lambda answer: {**answer, "id": 99}
    with pytest.raises(LyingNode, match="99"):
        connect(server).call("fail", [-5, "No such mempool or blockchain transaction"])


def test_an_error_without_number_is_an_error(server: RpcServer) -> None:
    server.transform = lambda answer: {**answer, "id": None}
    with pytest.raises(RpcError):
        connect(server).call("fail", [-32700, "Parse error"])


def test_a_batch_answered_out_of_order_is_put_in_order(server: RpcServer) -> None:
    server.transform = lambda answers: answers[::-1]
    assert connect(server).batch([("echo", [n]) for n in range(250)]) == [[n] for n in range(250)]
    assert len(server.bodies) == 3  # 100 a batch


def test_a_batch_answer_left_out_stands_as_unreachable(server: RpcServer) -> None:
    server.transform = lambda answers: answers[1:]
    missing, there = connect(server).batch([("echo", [1]), ("echo", [2])])
    assert isinstance(missing, Unreachable)
    assert there == [2]


@pytest.mark.parametrize("twist", ["repeat", "invent"])
def test_a_batch_that_repeats_or_invents_is_a_lie(server: RpcServer, twist: str) -> None:
    extra = {"jsonrpc": "2.0", "id": 77, "result": 1}
    server.transform = lambda answers: [*answers, answers[0] if twist == "repeat" else extra]
    with pytest.raises(LyingNode):
        connect(server).batch([("echo", [1])])


def test_a_batch_refused_whole_raises_what_it_means(server: RpcServer) -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "Too Many Requests"}}
    server.answers = [(200, {}, json.dumps(error).encode())]
    with pytest.raises(RateLimited):
        connect(server).batch([("echo", [1])])


def test_nothing_listening_is_unreachable_and_names_no_url() -> None:
    with RpcServer() as gone:
        url = gone.url
    secret = url.replace("http://", "http://user:hunter2@") + "/v3/apikey77"
    with pytest.raises(Unreachable) as caught:
        HttpTransport(Endpoint("node", secret), 5.0).call("echo")
    shown = repr(caught.value) + repr(caught.value.__cause__) + repr(Endpoint("node", secret))
    assert not [s for s in ("hunter2", "apikey77", "127.0.0.1") if s in shown]


def test_userinfo_of_the_url_becomes_basic_authorization(server: RpcServer) -> None:
    url = server.url.replace("http://", "http://us%40er:pa%3Ass@")
    HttpTransport(Endpoint("node", url), 5.0).call("echo")
    assert server.authorization == ["Basic " + base64.b64encode(b"us@er:pa:ss").decode()]


def test_the_cookie_is_read_again_after_a_restart(server: RpcServer, tmp_path: Path) -> None:
    """bitcoind writes a new cookie at each start; a monitor that read it once was locked out until it was restarted."""
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:old")
    transport = HttpTransport(Endpoint("node", server.url, cookie_file=cookie), 5.0)
    transport.call("echo")
    cookie.write_text("__cookie__:new")
    server.answers = [(401, {}, b"")]
    transport.call("echo")
    old, new = (f"Basic {base64.b64encode(b).decode()}" for b in (b"__cookie__:old", b"__cookie__:new"))
    assert server.authorization == [old, old, new]


def test_a_missing_cookie_means_the_node_is_down(server: RpcServer, tmp_path: Path) -> None:
    transport = HttpTransport(Endpoint("node", server.url, cookie_file=tmp_path / "none"), 5.0)
    with pytest.raises(Unreachable, match="not running"):
        transport.call("echo")


def test_a_redirect_is_not_followed(server: RpcServer) -> None:
    server.answers = [(307, {"location": "http://127.0.0.1:1/"}, b"")]
    with pytest.raises(PermanentError, match="307"):
        connect(server).call("echo")


def test_connections_are_kept_and_counted(server: RpcServer) -> None:
    transport = connect(server)
    transport.call("echo")
    transport.call("echo")
    assert transport.connections == 1
    server.drop_next = 1
    with pytest.raises(Unreachable):
        transport.call("echo")
    transport.call("echo")
    assert transport.connections == 2


def test_amounts_stay_the_text_they_were(server: RpcServer) -> None:
    server.answers = [(200, {}, b'{"id":1,"result":[0.10000001,20999999.97690000]}')]
    assert connect(server, loads=loads_exact).call("x") == ["0.10000001", "20999999.97690000"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"id":1,"result":NaN}', b"1" * 10_000, b'"\xff"'])
@pytest.mark.parametrize("exact", [True, False])
def test_hostile_json_is_refused_in_our_own_words(server: RpcServer, body: bytes, exact: bool) -> None:
    server.answers = [(200, {}, body)]
    with pytest.raises(ChainError):
        connect(server, **({"loads": loads_exact} if exact else {})).call("echo")
