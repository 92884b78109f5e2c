"""Captures: what a file of answers must hold, and how damage in one is said."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from chains.errors import ChainError, PermanentError, RateLimited, RpcError, Unsupported
from chains.model import ChainId
from chains.rpc.endpoints import open_transport
from chains.rpc.jsonrpc import Call, Json, Transport, loads_exact
from chains.rpc.recorded import CaptureWriter, RecordedTransport, RecordingTransport
from chains.source import Endpoint, SourceSpec


class Counting:
    """Answers with how often it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self.count = 0
        self.closed = False

    def call(self, method: str, _params: Sequence[Json] = ()) -> Json:
        self.count += 1
        if method == "slow":
            raise RateLimited("slow down", retry_after_secs=2.5)
        if method == "bad":
            raise RpcError("no", code=-5)
        return {"n": self.count, "value": "0.10000000"}

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        return [self.call(*call) for call in calls]

    def raw(self, _path: str) -> bytes:
        return b"\x00\x01"

    def close(self) -> None:
        self.closed = True


@pytest.fixture(params=["c.jsonl", "c.jsonl.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name: str = request.param
    return tmp_path / name


def test_repeated_questions_get_their_answers_in_order_and_the_last_for_ever(path: Path) -> None:
    recording = RecordingTransport(Counting(), path)
    for _ in range(3):
        recording.call("tip")
    recording.close()
    recorded = RecordedTransport(path)
    assert [recorded.call("tip")["n"] for _ in range(5)] == [1, 2, 3, 3, 3]


def test_parameters_tell_questions_apart(path: Path) -> None:
    recording = RecordingTransport(Counting(), path)
    recording.call("block", ["aa", 0])
    recording.call("block", ["aa", 3])
    recording.close()
    recorded = RecordedTransport(path)
    assert recorded.call("block", ["aa", 3])["n"] == 2
    assert recorded.call("block", ("aa", 0))["n"] == 1


def test_errors_come_back_whole(path: Path) -> None:
    recording = RecordingTransport(Counting(), path)
    for method in ("slow", "bad"):
        with pytest.raises(ChainError):
            recording.call(method)
    recording.close()
    recorded = RecordedTransport(path)
    with pytest.raises(RateLimited) as limited:
        recorded.call("slow")
    with pytest.raises(RpcError) as refused:
        recorded.call("bad")
    assert (limited.value.retry_after_secs, refused.value.code) == (2.5, -5)


def test_an_unknown_question_names_itself(path: Path) -> None:
    RecordingTransport(Counting(), path).close()
    with pytest.raises(Unsupported, match=r'getblock\("aa",3\)'):
        RecordedTransport(path).call("getblock", ["aa", 3])
    with pytest.raises(Unsupported, match="GET rest/x"):
        RecordedTransport(path).raw("rest/x")


def test_a_capture_is_appended_to_not_overwritten(path: Path) -> None:
    for _ in range(2):
        recording = RecordingTransport(Counting(), path)
        recording.call("tip")
        recording.close()
    recorded = RecordedTransport(path)
    assert [recorded.call("tip")["n"] for _ in range(2)] == [1, 1]
    packed = path.suffix == ".gz"
    text = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    assert text.count(b"walletwatch.capture/v1") == 2


def test_amounts_written_as_numbers_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "hand.jsonl"
    path.write_text('{"method":"m","params":[],"result":{"value":4502.90000001}}\n')
    assert RecordedTransport(path, loads_exact).call("m") == {"value": "4502.90000001"}


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"method":"m","result":1}', '{"params":[],"result":1}', '{"path":"p"}', "7", '"x"']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_text('{"format":"walletwatch.capture/v1"}\n' + line + "\n")
    with pytest.raises(PermanentError, match="line 2"):
        RecordedTransport(path)


def test_a_packed_capture_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    recording = RecordingTransport(Counting(), path)
    recording.call("tip")
    recording.close()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PermanentError, match="cannot be read"):
        RecordedTransport(path)


def test_missing_and_unwritable_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be read"):
        RecordedTransport(tmp_path / "none.jsonl")
    with pytest.raises(PermanentError, match="cannot be written"):
        CaptureWriter(tmp_path / "no" / "such" / "folder.jsonl")


def test_an_error_of_unknown_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"method":"m","params":[],"error":{"type":"SystemExit","message":"x"}}\n')
    with pytest.raises(PermanentError, match="unknown type"):
        RecordedTransport(path).call("m")


def test_a_source_is_opened_on_a_capture_and_recorded_again(tmp_path: Path) -> None:
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl.gz"
    recording = RecordingTransport(Counting(), first)
    recording.call("tip")
    recording.close()
    spec = SourceSpec("btc", ChainId("bip122", "0" * 32), (Endpoint("file", f"recorded:{first}"),), record_to=again)

    def identify(transport: Transport) -> None:
        assert transport.name == "file"

    pool = open_transport(spec, identify)
    assert pool.call("tip")["n"] == 1
    pool.close()
    assert RecordedTransport(again).call("tip")["n"] == 1


def test_a_url_of_neither_kind_is_refused_without_showing_it() -> None:
    spec = SourceSpec("btc", ChainId("bip122", "0" * 32), (Endpoint("odd", "ftp://user:hunter2@host/"),))
    with pytest.raises(ValueError, match="odd") as caught:
        open_transport(spec, lambda _transport: None)
    assert "hunter2" not in str(caught.value)
