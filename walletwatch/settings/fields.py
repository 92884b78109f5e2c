"""Types of values in a configuration, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
)

from chains.model import AssetId, ChainId, parse_units
from walletwatch.domain.findings import Severity
from walletwatch.domain.prices import USD_SCALE
from walletwatch.domain.times import format_utc
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import resolver_of

_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|[smhdw]))+\Z")
_PART = re.compile(r"([0-9]+)(ms|[smhdw])")
_MILLIS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
_MAX_DURATION = timedelta(days=3660)
_MILLISECOND = timedelta(milliseconds=1)


class Table(BaseModel):
    """A table of the configuration: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    def faults(self) -> Iterator[Fault]:
        """Faults between the keys of this table. Also called for a table with invalid keys: these are then None or
        their default, and faults that involve them are not reported.
        """
        yield from ()


def parse_duration(text: object) -> timedelta:
    """`"90s"`, `"24h"`, `"1h30m"`, `"500ms"`; more than zero, at most ten years. Raises Fault."""
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not _DURATION.match(text):
        raise Fault("must be a duration", 'write a number and a unit (ms, s, m, h, d, w): "30s", "24h", "1h30m"')
    millis = sum(int(number) * _MILLIS[unit] for number, unit in _PART.findall(text[:200]))
    if not 0 < millis <= _MAX_DURATION // _MILLISECOND:
        raise Fault("the duration must be more than zero and at most ten years")
    return millis * _MILLISECOND


def show_duration(length: timedelta) -> str:
    """A duration as the configuration writes it, in its largest exact unit: 86400 s -> `1d`."""
    millis = length // _MILLISECOND
    unit = next(unit for unit, size in _MILLIS.items() if millis % size == 0)
    return f"{millis // _MILLIS[unit]}{unit}"


def parse_moment(value: object) -> datetime:
    """A TOML date-time or ISO 8601 text, with its offset, as UTC. Raises Fault."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Fault("must be a time with its offset", "write 2026-01-31T09:00:00+09:00 or …Z")
    return moment.astimezone(UTC)


def parse_usd(text: object) -> int:
    """`"95000.25"` -> 1e-8 USD. Raises Fault."""
    if not isinstance(text, str):
        raise Fault("must be an amount in quotes", 'write "95000" or "0.9998"')
    try:
        return parse_units(text, len(str(USD_SCALE)) - 1)
    except ValueError as error:
        raise Fault(str(error), 'write "95000" or "0.9998"') from None


def _read_chain_id(value: object) -> ChainId:
    if not isinstance(value, str):
        raise Fault("must be a CAIP-2 chain id in quotes", '"eip155:1" or "bip122:000000000019d6689c085ae165831e93"')
    try:
        return ChainId.parse(value)
    except ValueError as error:
        raise Fault(str(error), 'write "eip155:1" or "bip122:000000000019d6689c085ae165831e93"') from None


def _read_asset_id(value: object) -> AssetId:
    if not isinstance(value, str):
        raise Fault("must be a CAIP-19 asset id in quotes", '"eip155:1/erc20:0x…"')
    try:
        return AssetId.parse(value)
    except ValueError as error:
        raise Fault(str(error), 'write "eip155:1/erc20:0x…"') from None


def _check_name(text: str) -> str:
    if not _NAME.match(text):
        raise Fault("a name is 1 to 64 letters, digits and . _ - @ +, and begins with a letter or digit")
    return text


def check_zone(text: object) -> str:
    """The name of a time zone, as given. Raises Fault for an unknown one."""
    try:
        if isinstance(text, str):
            ZoneInfo(text)
            return text
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # reported below
    raise Fault("no such time zone", 'write "Asia/Tokyo", "Europe/London" or "UTC"')


def _read_path(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str):
        raise Fault("must be a path in quotes")
    return resolver_of(info).path(value)


def _check_amount_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Fault("must be an amount in quotes", 'write "50 BTC" or "100000 USD"')
    return value.strip()


T = TypeVar("T")
Items = Annotated[tuple[T, ...], Field(strict=False)]
"""A TOML list, kept as a tuple."""

Name = Annotated[str, AfterValidator(_check_name)]
Duration = Annotated[timedelta, PlainValidator(parse_duration), PlainSerializer(show_duration)]
Moment = Annotated[datetime, PlainValidator(parse_moment), PlainSerializer(format_utc)]
UsdE8 = Annotated[int, BeforeValidator(parse_usd)]
AmountText = Annotated[str, PlainValidator(_check_amount_text)]
"""An amount whose symbol is looked up after all assets have been read."""
ChainRef = Annotated[ChainId, PlainValidator(_read_chain_id), PlainSerializer(str)]
AssetRef = Annotated[AssetId, PlainValidator(_read_asset_id), PlainSerializer(str)]
LocalPath = Annotated[Path, PlainValidator(_read_path), PlainSerializer(str)]
ZoneName = Annotated[str, AfterValidator(check_zone)]
SeverityName = Annotated[Severity, Field(strict=False)]
