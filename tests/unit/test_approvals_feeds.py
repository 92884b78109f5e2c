"""An approval log that is written, cut, rewritten and rotated while it is read."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chains.registry import parse_address
from unit.approvals_samples import AT, ED, INTENT, NOW, P256, RING, STRANGER, approve, request
from walletwatch.approvals import positions
from walletwatch.approvals.act_files import make_payload, sign_act, verify_file, write_unsigned
from walletwatch.approvals.act_sources import FeedUnreadable
from walletwatch.approvals.acts import MAX_LINE, hash_intent
from walletwatch.approvals.feeds import Feed, FeedBatch, FeedLimits, read_feed
from walletwatch.approvals.positions import FeedPosition

REQUEST = sign_act(request(), ED, "ed")
APPROVAL = sign_act(approve("compliance-1"), P256, "p256")
SMALL = FeedLimits(max_bytes=3_000, max_lines=2, max_proof=1)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    (tmp_path / "approvals.jsonl").write_bytes(b"")
    return Feed("approvals", tmp_path / "approvals.jsonl", "required", RING, parse_address)


def append(feed: Feed, data: bytes) -> None:
    with feed.path.open("ab") as file:
        file.write(data)


def look(feed: Feed, position: FeedPosition, minutes: float = 0, limits: FeedLimits | None = None) -> FeedBatch:
    """One look, from a place that has been through the store."""
    stored = FeedPosition.from_json(json.loads(json.dumps(position.as_json())))
    assert stored == position
    return read_feed(feed, stored, NOW + timedelta(minutes=minutes), limits)


def kinds(batch: FeedBatch) -> list[tuple[int, str]]:
    return [(act.line, act.kind.value) for act in batch.acts]


def test_each_line_is_read_once_as_it_is_written(feed: Feed) -> None:
    append(feed, REQUEST)
    first = look(feed, FeedPosition())
    append(feed, APPROVAL)
    second = look(feed, first.position)
    assert kinds(first) == [(1, "request")]
    assert kinds(second) == [(2, "approve")]
    assert (second.from_byte, second.position.offset) == (len(REQUEST), len(REQUEST) + len(APPROVAL))
    assert kinds(look(feed, second.position)) == []
    assert first.digest == hashlib.sha256(REQUEST).hexdigest()


def test_an_empty_place_in_the_store_is_the_beginning() -> None:
    assert FeedPosition.from_json({}) == FeedPosition()


def test_a_partial_last_line_is_waited_for_and_then_told_once(feed: Feed) -> None:
    append(feed, REQUEST + APPROVAL[:100])
    batch = look(feed, FeedPosition())
    assert kinds(batch) == [(1, "request")]
    assert batch.waiting is not None
    assert batch.waiting.offset == len(REQUEST)
    early = look(feed, batch.position, minutes=0.99)
    assert early.malformed == ()
    late = look(feed, early.position, minutes=1)
    assert [(m.line, m.raw) for m in late.malformed] == [(2, APPROVAL[:100])]
    assert "no newline for 60 s" in late.malformed[0].error
    again = look(feed, late.position, minutes=5)
    assert again.malformed == ()
    append(feed, APPROVAL[100:])
    assert kinds(look(feed, again.position, minutes=6)) == [(2, "approve")]


def test_the_wait_begins_anew_with_the_next_partial_line(feed: Feed) -> None:
    append(feed, REQUEST[:10])
    first = look(feed, FeedPosition())
    append(feed, REQUEST[10:] + APPROVAL[:10])
    second = look(feed, first.position, minutes=2)
    assert (kinds(second), second.malformed) == ([(1, "request")], ())


def test_malformed_lines_stop_nothing_and_are_kept(feed: Feed) -> None:
    append(feed, b"nonsense\n\n" + REQUEST + b'{"a":1,"a":2}\n' + APPROVAL)
    batch = look(feed, FeedPosition())
    assert kinds(batch) == [(3, "request"), (5, "approve")]
    assert [(m.line, m.raw) for m in batch.malformed] == [(1, b"nonsense"), (2, b""), (4, b'{"a":1,"a":2}')]


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, 5 * MAX_LINE])
def test_a_huge_line_is_one_malformed_line(feed: Feed, size: int) -> None:
    append(feed, REQUEST + b"x" * size)
    first = look(feed, FeedPosition())
    append(feed, b"x\n" + APPROVAL)
    second = look(feed, first.position)
    malformed = [*first.malformed, *second.malformed]
    assert [m.line for m in malformed] == [2]
    assert len(malformed[0].raw) == MAX_LINE
    assert "line longer than 65536 bytes" in malformed[0].error or "line of 65537 bytes" in malformed[0].error
    assert kinds(second) == [(3, "approve")]


def test_the_longest_line_allowed_is_read(feed: Feed) -> None:
    line = REQUEST[:-1].ljust(MAX_LINE) + b"\n"
    append(feed, line)
    assert kinds(look(feed, FeedPosition())) == [(1, "request")]


def test_an_act_of_the_future_is_malformed_until_then(feed: Feed) -> None:
    ahead = sign_act(approve(at=NOW + timedelta(minutes=30)), ED, "ed")
    append(feed, ahead + REQUEST)
    batch = look(feed, FeedPosition())
    assert kinds(batch) == [(2, "request")]
    assert "more than 5 minutes in the future" in batch.malformed[0].error
    early = look(feed, batch.position, minutes=24.9)
    assert (early.acts, early.malformed) == ((), ())
    due = look(feed, early.position, minutes=25)
    assert kinds(due) == [(1, "approve")]
    assert look(feed, due.position, minutes=26).acts == ()


def test_a_huge_file_is_read_in_pieces(feed: Feed) -> None:
    lines = [sign_act(approve(at=AT + timedelta(seconds=n)), ED, "ed") for n in range(7)]
    append(feed, b"".join(lines))
    position, found = FeedPosition(), []
    for _ in range(9):
        batch = look(feed, position, limits=SMALL)
        assert len(batch.acts) <= 2
        found += batch.acts
        position = batch.position
        if not batch.more:
            break
    assert [act.line for act in found] == list(range(1, 8))
    assert position == replace(look(feed, FeedPosition()).position, round=position.round)


def test_a_file_that_shrinks_is_rewritten_and_read_again(feed: Feed) -> None:
    append(feed, REQUEST + APPROVAL)
    position = look(feed, FeedPosition()).position
    feed.path.write_bytes(REQUEST)
    batch = look(feed, position)
    assert batch.rewritten is not None
    assert batch.rewritten["feed_rewritten"] is True
    assert batch.rewritten["found_bytes"] == len(REQUEST)
    assert kinds(batch) == [(1, "request")]
    assert look(feed, batch.position).rewritten is None


def test_a_changed_byte_in_the_past_is_found_though_the_file_grew(feed: Feed) -> None:
    append(feed, REQUEST + APPROVAL)
    position = look(feed, FeedPosition()).position
    changed = bytearray(REQUEST + APPROVAL + APPROVAL)
    changed[50] ^= 1
    feed.path.write_bytes(changed)
    batch = look(feed, position)
    assert batch.rewritten is not None
    assert batch.rewritten["expected_sha256"] != batch.rewritten["found_sha256"]
    assert len(batch.acts) == 2
    assert len(batch.malformed) == 1 or any(act.refused for act in batch.acts)


def test_every_block_of_the_past_is_proved_in_turn(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in any block is found within as many looks as there are blocks, however little a look may prove."""
    monkeypatch.setattr(positions, "BLOCK", 1_000)
    lines = [sign_act(approve(at=AT + timedelta(seconds=n)), ED, "ed") for n in range(12)]
    append(feed, b"".join(lines))
    limits = FeedLimits(max_proof=1)
    position = look(feed, FeedPosition(), limits=limits).position
    blocks = len(position.digests)
    assert blocks > 3
    whole = feed.path.read_bytes()
    for block in range(blocks):
        changed = bytearray(whole)
        changed[block * 1_000 + 7] ^= 1
        feed.path.write_bytes(changed)
        place, found = position, None
        for _ in range(blocks + 1):
            batch = look(feed, place, limits=limits)
            place, found = batch.position, batch.rewritten
            if found:
                break
        assert found is not None
        assert found["from_byte"] == block * 1_000
        feed.path.write_bytes(whole)


def test_touching_a_file_is_no_rewriting(feed: Feed) -> None:
    append(feed, REQUEST)
    position = look(feed, FeedPosition()).position
    os.utime(feed.path, (1, 1))
    copy = feed.path.with_name("copy")
    copy.write_bytes(feed.path.read_bytes())
    copy.rename(feed.path)
    batch = look(feed, position)
    assert (batch.rewritten, batch.acts) == (None, ())


def test_a_rotated_log_is_read_to_its_end_first(feed: Feed) -> None:
    append(feed, REQUEST)
    position = look(feed, FeedPosition()).position
    append(feed, APPROVAL)
    feed.path.rename(feed.path.with_name("approvals.jsonl.1"))
    feed.path.write_bytes(APPROVAL + REQUEST)
    old = look(feed, position)
    assert kinds(old) == [(2, "approve")]
    assert (old.rewritten, old.more) == (None, True)
    assert old.rotated_from.endswith("approvals.jsonl.1")
    new = look(feed, old.position)
    assert kinds(new) == [(1, "approve"), (2, "request")]
    assert (new.rewritten, new.rotated_from) == (None, "")


def test_a_rotated_log_may_still_be_finished(feed: Feed) -> None:
    append(feed, REQUEST + APPROVAL[:9])
    position = look(feed, FeedPosition()).position
    old_path = feed.path.with_name("approvals.jsonl-20261122")
    feed.path.rename(old_path)
    feed.path.write_bytes(b"")
    waiting = look(feed, position, minutes=0.5)
    assert waiting.rotated_from == ""
    with old_path.open("ab") as file:
        file.write(APPROVAL[9:])
    done = look(feed, waiting.position, minutes=0.6)
    assert (kinds(done), done.rotated_from) == ([(2, "approve")], str(old_path))


def test_moving_the_log_away_under_another_name_is_rewriting(feed: Feed) -> None:
    append(feed, REQUEST + APPROVAL)
    position = look(feed, FeedPosition()).position
    feed.path.rename(feed.path.with_name("approvals.jsonl.bak"))
    feed.path.write_bytes(APPROVAL + REQUEST)
    batch = look(feed, position)
    assert batch.rewritten is not None
    assert kinds(batch) == [(1, "approve"), (2, "request")]


def test_what_cannot_be_read_says_why(feed: Feed, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "missing", "No such file"), (tmp_path, "not a regular file")):
        with pytest.raises(FeedUnreadable, match=words):
            read_feed(replace(feed, path=path), FeedPosition(), NOW)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FeedUnreadable, match="not a regular file"):
        read_feed(replace(feed, path=tmp_path / "pipe"), FeedPosition(), NOW)


def test_verify_tells_every_line(feed: Feed) -> None:
    other = make_payload("request", "W-1", "treasury-1", AT, intent=INTENT | {"amount": "5"})
    append(
        feed,
        REQUEST
        + APPROVAL
        + REQUEST
        + sign_act(other, ED, "ed")
        + sign_act(approve(), STRANGER, "ed")
        + sign_act(request("compliance-1"), P256, "p256")
        + b"nonsense\n"
        + write_unsigned(approve())
        + sign_act(approve() | {"intent_hash": hash_intent(other["intent"])}, ED, "ed")
        + sign_act(approve() | {"shown_hash": hash_intent(other["intent"])}, ED, "ed")
        + REQUEST[:-1],
    )
    rows = list(verify_file(feed, NOW))
    assert rows[0] == {
        "line": 1,
        "ok": True,
        "act": "request",
        "request_id": "W-1",
        "actor": "treasury-1",
        "kid": "ed",
    }
    told: list[tuple[Any, ...]] = [(row["line"], row["ok"], row.get("rule")) for row in rows]
    assert told == [
        (1, True, None),
        (2, True, None),
        (3, True, None),
        (4, False, "content_mismatch"),
        (5, False, "invalid_signature"),
        (6, False, "approver_not_authorised"),
        (7, False, "feed_malformed"),
        (8, False, "invalid_signature"),
        (9, False, "content_mismatch"),
        (10, False, "content_mismatch"),
        (11, False, "feed_malformed"),
    ]
    assert all(row["reason"] for row in rows if not row["ok"])
    assert rows[6]["act"] is None
