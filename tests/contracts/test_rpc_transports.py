"""What every Transport must do: held to a real HTTP server, to a capture of it, and to pools over both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rpc_servers import RpcServer

from chains.errors import BlockGone, NotReady, RpcError, Unsupported
from chains.rpc.endpoints import EndpointPool
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Transport
from chains.rpc.recorded import CaptureWriter, RecordedTransport, RecordingTransport
from chains.source import Endpoint


def exercise(transport: Transport) -> None:
    """Every question of the contract, so that a capture of it can answer the contract."""
    transport.call("echo", [1, "a", None])
    transport.batch([("echo", [1]), ("nothing", []), ("echo", [3])])
    transport.raw("rest/thing.bin")
    for call in (("fail", [-28, "Loading wallet"]), ("fail", [-8, "Block height out of range"]), ("fail", [-5, "no"])):
        transport.batch([call])
        with pytest.raises(Exception, match=r"."):
            transport.call(*call)
    with pytest.raises(Unsupported):
        transport.call("nothing")
    with pytest.raises(Unsupported):
        transport.raw("rest/nothing")


@pytest.fixture(params=["http", "recorded", "recorded-gz", "pool-http", "pool-recorded"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    kind: str = request.param
    with RpcServer() as server:
        http = HttpTransport(Endpoint("node", server.url), 5.0)
        if kind.endswith("http"):
            made: Transport = http
        else:
            path = tmp_path / ("capture.jsonl.gz" if kind.endswith("gz") else "capture.jsonl")
            recording = RecordingTransport(http, CaptureWriter(path))
            exercise(recording)
            recording.close()
            made = RecordedTransport(path)
        if kind.startswith("pool"):
            made = EndpointPool([made], identify=lambda _transport: None)
            made.retry = made.retry.__class__(attempts=1)
        yield made
        made.close()


class TestTransportContract:
    def test_a_call_gives_its_result(self, transport: Transport) -> None:
        assert transport.call("echo", [1, "a", None]) == [1, "a", None]

    def test_a_batch_gives_results_and_errors_in_the_order_of_its_calls(self, transport: Transport) -> None:
        first, second, third = transport.batch([("echo", [1]), ("nothing", []), ("echo", [3])])
        assert (first, third) == ([1], [3])
        assert isinstance(second, Unsupported)

    def test_an_empty_batch_asks_nothing(self, transport: Transport) -> None:
        assert transport.batch([]) == []

    def test_raw_gives_the_bytes(self, transport: Transport) -> None:
        assert transport.raw("rest/thing.bin") == b"\x00\xffraw"

    def test_raw_of_nothing_is_unsupported(self, transport: Transport) -> None:
        with pytest.raises(Unsupported):
            transport.raw("rest/nothing")

    def test_an_unknown_method_is_unsupported(self, transport: Transport) -> None:
        with pytest.raises(Unsupported):
            transport.call("nothing")

    def test_warming_up_is_not_ready(self, transport: Transport) -> None:
        with pytest.raises(NotReady, match="Loading wallet"):
            transport.call("fail", [-28, "Loading wallet"])

    def test_a_height_above_the_tip_is_gone(self, transport: Transport) -> None:
        with pytest.raises(BlockGone):
            transport.call("fail", [-8, "Block height out of range"])

    def test_any_other_error_keeps_its_code(self, transport: Transport) -> None:
        with pytest.raises(RpcError) as caught:
            transport.call("fail", [-5, "no"])
        assert caught.value.code == -5
        (in_batch,) = transport.batch([("fail", [-5, "no"])])
        assert isinstance(in_batch, RpcError)
        assert in_batch.code == -5

    def test_it_has_a_public_name(self, transport: Transport) -> None:
        assert transport.name
        assert "127.0.0.1" not in transport.name
