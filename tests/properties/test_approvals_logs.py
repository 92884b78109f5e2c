"""Any bytes may stand in a log: nothing raises, nothing is lost, and how they arrived does not matter."""

from __future__ import annotations

import base64
import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chains.registry import parse_address
from unit.approvals_samples import ED, NOW, P256, RING, approve, error_of, read, request
from walletwatch.approvals.act_files import sign_act, write_unsigned
from walletwatch.approvals.acts import MAX_LINE, Malformed
from walletwatch.approvals.feeds import Feed, FeedLimits, read_feed
from walletwatch.approvals.positions import FeedPosition
from walletwatch.domain.withdrawals import Act

REQUEST = sign_act(request(), ED, "ed")
GOOD = [REQUEST, sign_act(approve("compliance-1"), P256, "p256"), write_unsigned(approve())]
AHEAD = sign_act(approve(at=NOW + timedelta(minutes=9)), ED, "ed")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"payload":"","protected":"","signature":""}')
def test_no_bytes_make_the_reader_raise(line: bytes) -> None:
    answer = read(line.replace(b"\n", b" "))
    assert isinstance(answer, Malformed)
    assert answer.error


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(sorted(request())), json_values)
def test_no_member_of_a_payload_makes_the_reader_raise(name: str, value: Any) -> None:
    read(json.dumps(request() | {name: value}).encode(), signatures="none")


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["chain", "asset", "amount", "destination", "wallet", "memo", "expires_at"]), json_values)
def test_no_member_of_an_intent_makes_the_reader_raise(name: str, value: Any) -> None:
    intent = request()["intent"] | {name: value}
    read(json.dumps(request() | {"intent": intent}).encode(), signatures="none")


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 8 * len(REQUEST) - 9))
def test_no_flipped_bit_of_a_signed_line_leaves_an_act_that_counts(bit: int) -> None:
    changed = bytearray(REQUEST)
    changed[bit // 8] ^= 1 << bit % 8
    answer = read(bytes(changed))
    assert isinstance(answer, Malformed) or answer.refused


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80))
def test_no_protected_header_makes_the_reader_raise(header: bytes) -> None:
    line = json.loads(REQUEST) | {"protected": base64.urlsafe_b64encode(header).rstrip(b"=").decode()}
    answer = read(json.dumps(line).encode())
    assert isinstance(answer, Malformed) or answer.refused


def test_errors_stay_short_whatever_the_line_holds() -> None:
    for member in ("act", "type", "at", "request_id"):
        line = json.dumps(request() | {member: "x" * 60_000}).encode()
        assert len(line) < MAX_LINE
        assert len(error_of(line, signatures="none")) < 200


_lines = st.lists(
    st.sampled_from([*GOOD, AHEAD, b"\n", b"nonsense\n", b"{}\r\n", b"y" * (MAX_LINE + 9) + b"\n"]), max_size=8
)


@settings(deadline=None, max_examples=150)
@given(_lines, st.lists(st.integers(0, 200_000), max_size=6), st.integers(1, 3))
def test_how_a_log_arrived_does_not_matter(lines: list[bytes], cuts: list[int], max_lines: int) -> None:
    """Written in pieces and read in pieces, through the store each time, it gives what one look at the whole gives."""
    log = b"".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        feed = Feed("approvals", Path(folder) / "approvals.jsonl", "required", RING, parse_address)
        feed.path.write_bytes(log)
        whole = read_feed(feed, FeedPosition(), NOW)
        feed.path.write_bytes(b"")
        acts: list[Act] = []
        malformed: list[Malformed] = []
        position = FeedPosition()
        for end in [*sorted(min(cut, len(log)) for cut in cuts), len(log)]:
            with feed.path.open("ab") as file:
                file.write(log[file.tell() : end])
            more = True
            while more:
                batch = read_feed(feed, position, NOW, FeedLimits(max_lines=max_lines))
                acts += batch.acts
                malformed += batch.malformed
                position = FeedPosition.from_json(json.loads(json.dumps(batch.position.as_json())))
                more = batch.more
                assert batch.rewritten is None
    assert tuple(acts) == whole.acts
    assert tuple(malformed) == whole.malformed
    assert (position.offset, position.digests, position.tail) == (
        whole.position.offset,
        whole.position.digests,
        whole.position.tail,
    )
