"""Lines of an approval log, good and hostile."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from chains.registry import parse_address
from unit.approvals_samples import (
    AT,
    DESTINATION,
    ED,
    INTENT,
    NOW,
    act_of,
    approve,
    error_of,
    read,
    request,
)
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act
from walletwatch.approvals.acts import MAX_LINE, Malformed
from walletwatch.domain.withdrawals import ActKind


def test_a_request_is_read_whole() -> None:
    act = act_of(sign_act(request(), ED, "ed"))
    assert act.intent is not None
    assert (act.kind, act.request_id, act.actor, act.at, act.kid) == (ActKind.REQUEST, "W-1", "treasury-1", AT, "ed")
    assert (act.intent.amount, act.intent.destination.text) == (15 * 10**17, DESTINATION)
    assert act.intent.hash == act.intent_hash
    assert (act.signed, act.refused, act.feed, act.line, act.read_at) == (True, "", "approvals.jsonl", 7, NOW)


def test_a_hash_over_another_form_of_the_intent_is_a_content_mismatch() -> None:
    """A non-canonical intent: the same members, hashed as Python prints them."""
    loose = "sha256:" + hashlib.sha256(json.dumps(INTENT).encode()).hexdigest()
    act = act_of(sign_act(request() | {"intent_hash": loose}, ED, "ed"))
    assert act.refused == "content_mismatch"
    assert "RFC 8785" in act.reason


def test_addresses_compare_without_case_and_offsets_are_turned_to_utc() -> None:
    lower = make_intent(chain="eip155:1", asset="eip155:1/slip44:60", amount=1, destination=DESTINATION.lower())
    act = act_of(sign_act(make_payload("request", "W-1", "treasury-1", AT, intent=lower), ED, "ed"))
    assert act.intent is not None
    assert act.intent.destination == parse_address(act.intent.chain, DESTINATION)
    late = approve() | {"at": "2026-11-22T10:00:00+09:00"}
    assert act_of(sign_act(late, ED, "ed")).at == AT


def test_a_broadcast_names_a_transaction() -> None:
    payload = make_payload("broadcast", "W-1", "treasury-1", AT, txid="0x" + "AB" * 32)
    assert act_of(sign_act(payload, ED, "ed")).txid == bytes.fromhex("ab" * 32)
    assert "64 hexadecimal" in error_of(sign_act(payload | {"txid": "ab"}, ED, "ed"))


def test_an_act_of_the_future_is_malformed_until_then() -> None:
    ahead = sign_act(approve(at=NOW + timedelta(minutes=5, microseconds=1)), ED, "ed")
    answer = read(ahead)
    assert isinstance(answer, Malformed)
    assert answer.retry_at == NOW + timedelta(microseconds=1)
    assert act_of(ahead, read_at=answer.retry_at).refused == ""
    assert act_of(sign_act(approve(at=NOW + timedelta(minutes=5)), ED, "ed")).refused == ""


def deep(levels: int) -> bytes:
    return b'{"type":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "empty line"),
        (b"   ", "empty line"),
        (b"not json", "is not JSON"),
        (b"[1,2]", "not a JSON object"),
        (b'{"a":1,"a":2}', "member 'a' stands twice"),
        (b"\xff\xfe", "not UTF-8"),
        (json.dumps(approve()).encode("utf-16"), "not UTF-8"),
        (deep(9), "nests deeper than 8"),
        (deep(30_000), "nests deeper than 8"),
        (b'{"type":"' + b'\\"' * 30_000, "is not JSON"),
        (b'{"x":' + b"9" * 5_000 + b"}", "limit"),
        (b'{"x":1.5}', "number '1.5'"),
        (b'{"x":NaN}', "number 'NaN'"),
        (b"x" * (MAX_LINE + 1), "line of 65537 bytes"),
        (json.dumps(approve() | {"type": "walletwatch.approval-act/v2"}).encode(), "not walletwatch.approval-act/v1"),
        (json.dumps(approve() | {"act": "bless"}).encode(), "act 'bless' is not one of request, approve"),
        (json.dumps(approve() | {"act": ["approve"]}).encode(), "act must be a text"),
        (json.dumps(approve() | {"comment": "x"}).encode(), "unknown members: comment"),
        (json.dumps({k: v for k, v in approve().items() if k != "intent_hash"}).encode(), "approve lacks intent_hash"),
        (json.dumps(approve() | {"intent_hash": "ab"}).encode(), "intent_hash is not sha256:"),
        (json.dumps(approve() | {"at": "2026-11-22T01:00:00"}).encode(), "with Z or an offset"),
        (json.dumps(approve() | {"at": "2026-W47-7T01:00:00Z"}).encode(), "with Z or an offset"),
        (json.dumps(approve() | {"at": "2026-02-30T01:00:00Z"}).encode(), "no time of the calendar"),
        (json.dumps(approve() | {"at": "0001-01-01T00:00:00+14:00"}).encode(), "no time of the calendar"),
        (json.dumps(approve() | {"at": 5}).encode(), "at must be a text"),
        (json.dumps(approve() | {"actor": ""}).encode(), "actor is empty"),
        (json.dumps(approve() | {"actor": "a" * 201}).encode(), "actor is longer than 200"),
        (json.dumps(approve() | {"request_id": "W\x00"}).encode(), "control character"),
        (json.dumps(approve() | {"request_id": "W\ud800"}).encode(), "half a character"),
    ],
)
def test_malformed_lines_say_why(line: bytes, words: str) -> None:
    answer = read(line, signatures="none")
    assert isinstance(answer, Malformed)
    assert words in answer.error
    assert (answer.raw, answer.size) == (line[:MAX_LINE], len(line))
    assert answer.digest == hashlib.sha256(line).digest()
    assert answer.retry_at is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": "0100"}, "without leading zeros"),
        ({"amount": "1.0"}, "without leading zeros"),
        ({"amount": "1e3"}, "without leading zeros"),
        ({"amount": "-1"}, "without leading zeros"),
        ({"amount": "\u0661"}, "without leading zeros"),
        ({"amount": 100}, "amount must be a text"),
        ({"amount": str(2**256)}, "above 2**256-1"),
        ({"chain": "ethereum"}, "not a CAIP-2 chain id"),
        ({"asset": "ETH"}, "not a CAIP-19 asset id"),
        ({"asset": "eip155:10/slip44:60"}, "is not on chain eip155:1"),
        ({"destination": "0x52908400098527886E0F7030069857D2E4169Ee7"}, "destination:"),
        ({"destination": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "destination:"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"fee": "1"}, "unknown members: fee"),
    ],
)
def test_malformed_intents_say_why(change: dict[str, Any], words: str) -> None:
    assert words in error_of(sign_act(request() | {"intent": INTENT | change}, ED, "ed"))


def test_the_intent_may_be_worth_everything_there_is() -> None:
    intent = INTENT | {"amount": str(2**256 - 1), "memo": "七", "customer": "c-9", "expires_at": "2026-11-23T00:00:00Z"}
    act = act_of(sign_act(make_payload("request", "W-1", "treasury-1", AT, intent=intent), ED, "ed"))
    assert act.refused == ""
    assert act.intent is not None
    assert (act.intent.amount, act.intent.memo, act.intent.customer) == (2**256 - 1, "七", "c-9")


def test_writing_refuses_what_it_cannot_sign() -> None:
    with pytest.raises(ValueError, match="P-384"):
        sign_act(approve(), {"kty": "EC", "crv": "P-384"}, "k")
    with pytest.raises(ValueError, match="needs the intent"):
        make_payload("approve", "W-1", "treasury-1", AT)
