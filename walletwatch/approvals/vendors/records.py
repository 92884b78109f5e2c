"""One record of a vendor's export: what is taken out of it, exactly or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from chains.model import Asset, ChainId, parse_units
from walletwatch.approvals.act_files import make_intent
from walletwatch.approvals.documents import Unreadable, take_text
from walletwatch.domain.withdrawals import Grade

MAX_JS_INTEGER = 2**53
"""Larger numbers that are no text may have been rounded by the program that wrote them."""
_DECIMAL = re.compile(r"[0-9]{1,80}(?:\.[0-9]{1,80})?")
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RequestTerms:
    """What a vendor's words stand for: users, assets and vaults or wallets of theirs, as the configuration says.
    `chain` is the one a Safe is on; `chain_bound` tells that its owners' signatures name it (Safe 1.3 and later). The
    owners of a Safe stand in `people` in lower case.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    wallets: Mapping[str, str] = field(default_factory=dict)
    chain: ChainId | None = None
    chain_bound: bool = True
    tokens: tuple[Asset, ...] = ()

    def person(self, vendor: str, user: str) -> str:
        """Whose act it is. Somebody unknown keeps the vendor's name before their own, so that nobody becomes one of
        ours by a name chosen there.
        """
        return self.people.get(user) or self.people.get(user.lower()) or f"{vendor}:{user}"[:200]

    def asset(self, theirs: str) -> Asset:
        """The asset of theirs. Raises Unreadable."""
        known = self.assets.get(theirs)
        if known is None:
            raise Unreadable(f"asset {theirs[:60]!r} of the vendor is not in `assets`")
        return known


@dataclass(frozen=True, slots=True)
class VendorAct:
    """One act as a vendor tells it: a payload of the approval log, and who vouches for it. `refused` and `reason`: it
    does not count, and why.
    """

    payload: Mapping[str, Any]
    grade: Grade = Grade.VENDOR_EXPORT
    kid: str = ""
    refused: str = ""
    reason: str = ""


ReadRecord = Callable[[Record, RequestTerms], Iterator[VendorAct]]
"""The acts a record tells; none for one that is no withdrawal. Raises Unreadable."""


def intent_of(asset: Asset, amount: int, destination: str, *, wallet: str = "", customer: str = "") -> dict[str, str]:
    """The intent of a record in the form of the approval log."""
    chain = str(asset.id.chain)
    return make_intent(
        chain=chain, asset=str(asset.id), amount=amount, destination=destination, wallet=wallet, customer=customer
    )


def take_object(record: Record, name: str) -> dict[str, Any]:
    """The object member `name`, empty if absent or null. Raises Unreadable."""
    value = record.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{name} is no object")
    return value


def take_objects(record: Record, name: str, limit: int = 1_000) -> list[dict[str, Any]]:
    """The list of objects `name`, empty if absent or null. Raises Unreadable."""
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > limit or not all(isinstance(v, dict) for v in value):
        raise Unreadable(f"{name} is no list of at most {limit} objects")
    return value


def take_word(record: Record, name: str) -> str:
    """The text member `name`, empty if absent or null. Raises Unreadable."""
    return "" if record.get(name) is None else take_text(dict(record), name, empty=True)


def take_units(value: Any, decimals: int, what: str) -> int:
    """A decimal amount, text or number, in base units. Raises Unreadable for one that is not exact in them."""
    text = value if isinstance(value, str) else _plain(value)
    if not _DECIMAL.fullmatch(text):
        raise Unreadable(f"{what} {text[:40]!r} is no decimal amount")
    try:
        return parse_units(text, decimals)
    except ValueError as error:
        raise Unreadable(f"{what}: {error}") from None


def take_base_units(value: Any, what: str) -> int:
    """An amount that is in base units already. Raises Unreadable."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= MAX_JS_INTEGER:
        raise Unreadable(f"{what} is a number above 2**53, which may have been rounded: it must be a text")
    return take_units(value, 0, what)


def _plain(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return ""
    if isinstance(value, Decimal) and abs(value.adjusted()) > 80:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def take_millis(record: Record, name: str) -> datetime:
    """A time in milliseconds since 1970. Raises Unreadable."""
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**14:
        raise Unreadable(f"{name} is no time in milliseconds")
    return _EPOCH + value * _MILLISECOND


def take_iso(record: Record, name: str) -> datetime:
    """A time in ISO 8601 with its offset. Raises Unreadable."""
    text = take_text(dict(record), name)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # said in the same words as for a time without offset
    raise Unreadable(f"{name} is no time with an offset")
