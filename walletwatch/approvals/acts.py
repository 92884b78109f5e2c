"""From one line of an approval log to an act (CONTRACT §4), to an act that does not count, or to a malformed line."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from walletwatch.approvals.documents import Unreadable, check_members, parse_object, take_text
from walletwatch.approvals.intents import ParseAddress, parse_intent, take_hash, take_time
from walletwatch.approvals.signatures import (
    INVALID_SIGNATURE,
    NOT_AUTHORISED,
    KeyRing,
    Refusal,
    SignedLine,
    check_signature,
    split_signed,
)
from walletwatch.domain.people import People
from walletwatch.domain.withdrawals import Act, ActKind, Intent

ACT_TYPE = "walletwatch.approval-act/v1"
MAX_LINE = 65_536
"""Bytes. A signed act is about 1,200."""
MAX_SKEW = timedelta(minutes=5)
"""How far in the future an act may be dated (CONTRACT §4)."""

Signatures = Literal["required", "none"]

_COMMON = frozenset({"type", "act", "request_id", "actor", "at"})
_MEMBERS: dict[ActKind, tuple[frozenset[str], frozenset[str]]] = {
    ActKind.REQUEST: (_COMMON | {"intent", "intent_hash"}, frozenset()),
    ActKind.APPROVE: (_COMMON | {"intent_hash"}, frozenset({"shown_hash"})),
    ActKind.REJECT: (_COMMON | {"intent_hash"}, frozenset()),
    ActKind.CANCEL: (_COMMON | {"intent_hash"}, frozenset()),
    ActKind.BROADCAST: (_COMMON | {"txid"}, frozenset({"intent_hash"})),
}
_TXID = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no act: kept whole (up to MAX_LINE bytes of it) with the reason, never dropped.

    `line` counts from 1; `digest` is the SHA-256 of the whole line, `size` its bytes. With `retry_at` it becomes an act
    at that moment (dated in the future) or may still be finished (a last line without newline).
    """

    feed: str
    line: int
    error: str
    raw: bytes
    digest: bytes
    size: int
    read_at: datetime
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Payload:
    """The members of a well-formed payload."""

    kind: ActKind
    request_id: str
    actor: str
    at: datetime
    intent: Intent | None
    intent_hash: str
    shown_hash: str
    txid: bytes | None


def parse_act(
    line: bytes,
    *,
    feed: str,
    line_no: int,
    signatures: Signatures,
    people: People | KeyRing,
    parse_address: ParseAddress,
    read_at: datetime,
) -> Act | Malformed:
    """Read one line (without its newline). Whoever reads many passes a `KeyRing`, so that keys are imported once.

    An act that does not count has `refused` and `reason` set. Raises nothing for any content of the line; ValueError
    for people whose keys are none.
    """
    ring = people if isinstance(people, KeyRing) else KeyRing(people)
    try:
        signed, raw_payload = _open_line(line)
        payload = _parse_payload(parse_object(raw_payload, "payload"), parse_address)
    except Unreadable as error:
        return malformed_line(line, str(error), feed=feed, line_no=line_no, read_at=read_at)
    if payload.at - read_at > MAX_SKEW:
        error_text = f"dated {payload.at.isoformat()}, more than 5 minutes in the future"
        retry_at = payload.at - MAX_SKEW
        return malformed_line(line, error_text, feed=feed, line_no=line_no, read_at=read_at, retry_at=retry_at)
    refusal = _judge(signed, payload, signatures, ring)
    return Act(
        kind=payload.kind,
        request_id=payload.request_id,
        actor=payload.actor,
        at=payload.at,
        digest=hashlib.sha256(raw_payload).digest(),
        feed=feed,
        line=line_no,
        kid=signed.kid if signed else "",
        signed=signed is not None,
        intent=payload.intent,
        intent_hash=payload.intent_hash,
        shown_hash=payload.shown_hash,
        txid=payload.txid,
        read_at=read_at,
        refused=refusal.rule if refusal else "",
        reason=refusal.reason if refusal else "",
    )


def malformed_line(
    line: bytes, error: str, *, feed: str, line_no: int, read_at: datetime, retry_at: datetime | None = None
) -> Malformed:
    """The record of a line that is no act."""
    return Malformed(feed, line_no, error, line[:MAX_LINE], hashlib.sha256(line).digest(), len(line), read_at, retry_at)


def _open_line(line: bytes) -> tuple[SignedLine | None, bytes]:
    """The JWS, if it is one, and the bytes of the payload. Raises Unreadable."""
    if len(line) > MAX_LINE:
        raise Unreadable(f"line of {len(line)} bytes, the longest allowed has {MAX_LINE}")
    if not line.strip():
        raise Unreadable("empty line")
    outer = parse_object(line, "line")
    if "payload" not in outer and "signature" not in outer and "protected" not in outer:
        return None, line.strip()
    signed = split_signed(outer)
    return signed, signed.payload


def _parse_payload(value: dict[str, Any], parse_address: ParseAddress) -> _Payload:
    if value.get("type") != ACT_TYPE:
        raise Unreadable(f"type is {str(value.get('type'))[:60]!r}, not {ACT_TYPE}")
    word = take_text(value, "act")
    if word not in list(ActKind):
        raise Unreadable(f"act {word[:40]!r} is not one of {', '.join(ActKind)}")
    kind = ActKind(word)
    check_members(value, *_MEMBERS[kind], kind.value)
    return _Payload(
        kind=kind,
        request_id=take_text(value, "request_id"),
        actor=take_text(value, "actor"),
        at=take_time(value, "at"),
        intent=parse_intent(value["intent"], parse_address) if "intent" in value else None,
        intent_hash=take_hash(value, "intent_hash") if "intent_hash" in value else "",
        shown_hash=take_hash(value, "shown_hash") if "shown_hash" in value else "",
        txid=_take_txid(value) if "txid" in value else None,
    )


def _take_txid(value: dict[str, Any]) -> bytes:
    match = _TXID.fullmatch(take_text(value, "txid"))
    if match is None:
        raise Unreadable("txid is not 64 hexadecimal digits")
    return bytes.fromhex(match[1])


def _judge(signed: SignedLine | None, payload: _Payload, signatures: Signatures, ring: KeyRing) -> Refusal | None:
    """Why the act does not count, as far as the act alone tells."""
    if signed is not None:
        refusal = check_signature(signed, payload.actor, payload.at, ring)
    elif signatures == "required":
        refusal = Refusal(INVALID_SIGNATURE, "unsigned line in a feed whose signatures are required")
    elif ring.people.by_id(payload.actor) is None:
        refusal = Refusal(NOT_AUTHORISED, f"nobody is known as {payload.actor!r}")
    else:
        refusal = None
    if refusal is None and payload.intent is not None and payload.intent.hash != payload.intent_hash:
        return Refusal("content_mismatch", "intent_hash is not the SHA-256 of the canonical intent (RFC 8785)")
    return refusal
