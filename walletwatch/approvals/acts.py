"""Acts of the approval log and the intents they are about (CONTRACT §4), parsed as hostile input."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import rfc8785

from chains.model import MAX_AMOUNT, Address, AssetId, ChainId
from walletwatch.approvals.documents import Unreadable, check_members, parse_object, take_name, take_text
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

ParseAddress = Callable[[ChainId, str], Address]
"""`chains.registry.parse_address`, or a test's."""

_REQUIRED = frozenset({"chain", "asset", "amount", "destination"})
_OPTIONAL = frozenset({"wallet", "memo", "customer", "expires_at"})
_AMOUNT = re.compile(r"0|[1-9][0-9]{0,77}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")


def hash_intent(intent: Mapping[str, Any]) -> str:
    """`sha256:` + hex SHA-256 of the canonical JSON of `intent`. Raises ValueError for what has no canonical form."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(dict(intent))).hexdigest()


def parse_intent(value: object, parse_address: ParseAddress) -> Intent:
    """The intent of a request as it stands there, its hash recomputed. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable("intent must be an object")
    check_members(value, _REQUIRED, _OPTIONAL, "intent")
    chain, asset = _parse_asset(value)
    expires = take_time(value, "expires_at") if "expires_at" in value else None
    return Intent(
        chain=chain,
        asset=asset,
        amount=_parse_amount(take_text(value, "amount")),
        destination=_parse_destination(chain, take_text(value, "destination"), parse_address),
        wallet=take_name(value, "wallet", empty=True),
        memo=take_text(value, "memo", 1000, empty=True),
        customer=take_name(value, "customer", empty=True),
        expires_at=expires,
        hash=hash_intent(value),
    )


def _parse_asset(value: dict[str, Any]) -> tuple[ChainId, AssetId]:
    try:
        chain, asset = ChainId.parse(take_text(value, "chain")), AssetId.parse(take_text(value, "asset", 250))
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if asset.chain != chain:
        raise Unreadable(f"asset {asset} is not on chain {chain}")
    return chain, asset


def _parse_amount(text: str) -> int:
    if not _AMOUNT.fullmatch(text):
        raise Unreadable(f"amount {text[:40]!r} is no decimal string of base units without leading zeros")
    if int(text) > MAX_AMOUNT:
        raise Unreadable("amount above 2**256-1")
    return int(text)


def _parse_destination(chain: ChainId, text: str, parse_address: ParseAddress) -> Address:
    try:
        return parse_address(chain, text)
    except ValueError as error:
        raise Unreadable(f"destination: {error}") from None


def take_time(value: dict[str, Any], name: str) -> datetime:
    """The time member `name` in UTC. Raises Unreadable for one without `Z` or offset, or in another form."""
    text = take_text(value, name)
    if not _TIME.fullmatch(text):
        raise Unreadable(f"{name} {text[:40]!r} is no time like 2026-11-22T01:02:03.000000Z (with Z or an offset)")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{name} {text!r} is no time of the calendar") from None


def take_hash(value: dict[str, Any], name: str) -> str:
    """The member `name` in the form `sha256:` + 64 lower-case hex digits. Raises Unreadable."""
    text = take_text(value, name)
    if not _HASH.fullmatch(text):
        raise Unreadable(f"{name} is not sha256: and 64 lower-case hexadecimal digits")
    return text


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
        request_id=take_name(value, "request_id"),
        actor=take_name(value, "actor"),
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
