"""Feeds read as if an attacker wrote them: each line and record is an act, or told, or nothing."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chains.registry import parse_address
from unit.approvals_samples import ED, NOW, RING, approve, request
from unit.vendors_samples import (
    FIRST,
    PAYEE,
    SECOND,
    TERMS,
    Export,
    authorised,
    bitgo,
    fireblocks,
    resolver,
)
from walletwatch.approvals.act_files import sign_act
from walletwatch.approvals.act_sources import FeedUnreadable, PostedFeed
from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.vendors.exports import ExportFeed
from walletwatch.domain.withdrawals import Act
from walletwatch.service.act_endpoint import ActEndpoint, LineRate, PostSecret, Rules
from walletwatch.watch.feed_reader import LineAnswer

OWNER = "0x464e926AfB9E8c5D7F18B92C7dBA01399aa0d265"
MULTISIG = {
    "safe": "0xAedF684C1c41B51CbD228116e11484425d2FACB9",
    "to": PAYEE,
    "value": "1000",
    "data": None,
    "operation": 0,
    "gasToken": "0x" + "00" * 20,
    "safeTxGas": 0,
    "baseGas": 0,
    "gasPrice": "0",
    "refundReceiver": "0x" + "00" * 20,
    "nonce": 5,
    "safeTxHash": "0x" + "ab" * 32,
    "submissionDate": "2026-11-22T01:00:00Z",
    "proposer": OWNER,
    "isExecuted": True,
    "executionDate": "2026-11-22T01:30:00Z",
    "transactionHash": "0x" + "cd" * 32,
    "executor": OWNER,
    "confirmations": [{"owner": OWNER, "submissionDate": "2026-11-22T01:00:00Z", "signature": "0x" + "11" * 65}],
}
RECORDS: dict[str, dict[str, Any]] = {
    "fireblocks": fireblocks(
        status="COMPLETED",
        txHash="0x" + "cd" * 32,
        authorizationInfo=authorised((FIRST, "APPROVED"), (SECOND, "REJECTED")),
        destinations=[{"destinationAddress": PAYEE, "amount": "1"}],
    ),
    "bitgo": bitgo(state="rejected", resolvers=[resolver(FIRST, "01:10:00")]),
    "safe": MULTISIG,
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["", "0x", "0x00", "9" * 400, "\ud800", "1e400", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00+14:00"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a record."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The record with `new` at `path`."""
    copy: Any = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


def export(vendor: str, folder: Path) -> Export:
    made = Export(folder, vendor)
    made.feed = ExportFeed("export", made.path, vendor, TERMS, made.feed.ring, parse_address)
    return made


@pytest.mark.parametrize("vendor", list(RECORDS))
@settings(max_examples=200)
@given(data=st.data())
def test_a_record_with_anything_anywhere_is_acts_or_told_or_nothing(vendor: str, data: st.DataObject) -> None:
    record = RECORDS[vendor]
    for _ in range(data.draw(st.integers(1, 3))):
        record = put(record, data.draw(st.sampled_from(sorted(places(record), key=str))), data.draw(VALUES))
        if not list(places(record)):
            break
    with tempfile.TemporaryDirectory() as folder:
        made = export(vendor, Path(folder))
        made.write(record)
        taken = made.look()
    assert taken is not None
    assert len(taken.malformed) <= 1
    assert not (taken.malformed and taken.acts)
    assert all(act.vouched is not None for act in taken.acts)
    assert all(not (act.signed and act.kid == "") for act in taken.acts)


@settings(max_examples=100)
@given(content=st.binary(max_size=300) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_a_file_of_anything_is_read_or_unreadable(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = export("fireblocks", Path(folder))
        made.path.write_bytes(content)
        said = ""
        try:
            taken = made.look()
        except FeedUnreadable as error:
            taken, said = None, str(error)
        assert (taken is None) == (str(made.path) in said)


GOOD = (sign_act(request(), ED, "ed"), sign_act(approve(), ED, "ed"))
POSTED = PostedFeed("posts", "here", RING, parse_address)


@given(st.lists(st.sampled_from(GOOD) | st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" ") + b"\n")))
def test_every_line_of_a_body_is_answered_once_in_its_place(lines: list[bytes]) -> None:
    post = POSTED.read_post(b"".join(lines), NOW)
    assert [answer.line for answer in post.answers] == list(range(1, len(lines) + 1))
    for line, answer in zip(lines, post.answers, strict=True):
        assert isinstance(answer, Act if line in GOOD else Malformed)
    placed = POSTED.take_post(post, {}, lambda _: False)
    assert len(placed.acts) + len(placed.malformed) == len(lines)
    assert placed.position["lines"] == len(lines)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    def keep(body: bytes) -> list[LineAnswer]:
        return [LineAnswer(1, "taken")] if body else []

    endpoint = ActEndpoint("127.0.0.1", 0, Rules(PostSecret(b""), LineRate(1_000_000), timeout_secs=0.3), keep)
    endpoint.start()
    yield endpoint.address
    endpoint.stop()


HEAD = b"POST /approvals HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.tuples(st.integers(0, len(HEAD) - 1), st.binary(max_size=3)).map(
        lambda change: HEAD[: change[0]] + change[1] + HEAD[change[0] + 1 :]
    )
)
def test_whatever_bytes_come_the_next_request_is_served(address: tuple[str, int], raw: bytes) -> None:
    for sent in (raw, HEAD):
        with socket.create_connection(address, timeout=20) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := client.recv(65_536):
                answer += chunk
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert answer.startswith(b"HTTP/1.1 200")
