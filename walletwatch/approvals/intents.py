"""What is to be paid, and the hash that binds every act to it (RFC 8785 canonical JSON, SHA-256)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import rfc8785

from chains.model import MAX_AMOUNT, Address, AssetId, ChainId
from walletwatch.approvals.documents import Unreadable, check_members, take_text
from walletwatch.domain.withdrawals import Intent

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
        wallet=take_text(value, "wallet", empty=True),
        memo=take_text(value, "memo", 1000, empty=True),
        customer=take_text(value, "customer", empty=True),
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
