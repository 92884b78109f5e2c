"""The worked example of docs/approval-log.md, read by the real parser; one changed bit and it is refused."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chains.registry import parse_address
from unit.docs_pages import ROOT, read_page
from walletwatch.approvals.act_files import verify_file
from walletwatch.approvals.acts import hash_intent, parse_act
from walletwatch.approvals.feeds import Feed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.settings import Settings, load
from walletwatch.settings.loading import render_template

PAGE = read_page(ROOT / "docs" / "approval-log.md")
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def example(name: str) -> str:
    (text,) = re.findall(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


LINES = example("log").encode().splitlines(keepends=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "walletwatch.toml"
    path.write_text(f"{render_template()}\n{example('people')}", encoding="utf-8")
    return load(path, environ={}, need_secrets=False)


@pytest.fixture
def feed(settings: Settings, tmp_path: Path) -> Feed:
    return Feed("approvals.jsonl", tmp_path / "approvals.jsonl", "required", KeyRing(settings.people()), parse_address)


def act(feed: Feed, line: bytes) -> Any:
    return parse_act(
        line.rstrip(b"\n"),
        feed=feed.name,
        line_no=1,
        signatures=feed.signatures,
        people=feed.ring,
        parse_address=parse_address,
        read_at=NOW,
    )


def test_each_line_of_the_example_counts(feed: Feed) -> None:
    feed.path.write_bytes(b"".join(LINES))
    rows = list(verify_file(feed, NOW))
    assert [(row["ok"], row["act"], row["request_id"]) for row in rows] == [
        (True, "request", "W-1042"),
        (True, "approve", "W-1042"),
        (True, "broadcast", "W-1042"),
    ]


def test_intent_hash_and_payload_are_those_the_page_shows(feed: Feed) -> None:
    intent = json.loads(example("intent"))
    assert rfc8785.dumps(intent).decode() == example("intent").strip()
    assert f"Its hash: `{hash_intent(intent)}`." in PAGE
    request = act(feed, LINES[0])
    assert isinstance(request, Act)
    assert request.kind is ActKind.REQUEST
    assert request.intent_hash == hash_intent(intent)
    payload = json.loads(LINES[0])["payload"]
    decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert decoded == rfc8785.dumps(json.loads(example("request")))


@pytest.mark.parametrize("number", range(len(LINES)))
@pytest.mark.parametrize("member", ["payload", "signature"])
def test_one_changed_bit_is_refused(feed: Feed, number: int, member: str) -> None:
    line = json.loads(LINES[number])
    raw = bytearray(base64.urlsafe_b64decode(line[member] + "=" * (-len(line[member]) % 4)))
    raw[raw.index(b"W-1042") + 5 if member == "payload" else 3] ^= 1
    line[member] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    changed = act(feed, json.dumps(line).encode())
    assert isinstance(changed, Act)
    assert changed.refused == "invalid_signature"


def test_the_writer_of_the_page_writes_an_act_that_counts(feed: Feed) -> None:
    """RFC 8032 §7.1 test 2, whose key the page gives to compliance-1."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    x, d = (base64.urlsafe_b64encode(raw).rstrip(b"=").decode() for raw in (public, seed))
    page: dict[str, Any] = {}
    exec(compile(example("writer"), "approval-log.md", "exec"), page)  # noqa: S102 - the page's own example
    line = page["approve"]("W-1042", json.loads(example("intent")), {"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})
    later = parse_act(
        line.rstrip(b"\n"),
        feed="f",
        line_no=1,
        signatures="required",
        people=feed.ring,
        parse_address=parse_address,
        read_at=datetime.now(UTC),
    )
    assert isinstance(later, Act)
    assert (later.kind, later.actor, later.refused) == (ActKind.APPROVE, "compliance-1", "")


def test_every_member_and_reason_the_page_tells_is_known() -> None:
    files = [*(ROOT / "walletwatch/approvals").rglob("*.py"), ROOT / "walletwatch/domain/withdrawals.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    members = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert len(members) > 15
    assert [member for member in members if f'"{member}"' not in source] == []
