"""The values a `[[rule]]` may hold: amounts, durations, percentages, all exact.

A rule's parameters are a frozen pydantic model derived from `Params`. What a text means can depend on the deployment
(`"50 BTC"` needs to know which asset is called BTC), so the reader of names is handed in with the validation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, ValidationInfo

from chains.model import Address, Asset, AssetId, ChainId, format_units, parse_units
from walletwatch.domain.prices import USD_SCALE

USD_DECIMALS = len(str(USD_SCALE)) - 1
WHOLE = 100_000
"""All of it, in the thousandths of a percent that `Percent` parameters are."""
MAX_DURATION_SECS = 20 * 366 * 86_400
_DURATION = re.compile(r"([0-9]{1,9}) ?(s|m|h|d|w)")
_SECS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class AmountParser(Protocol):
    """Turns the names of a deployment into chains, assets and addresses. Given by the reader of the configuration."""

    def chain(self, name: str) -> ChainId:
        """The chain with this configured name or CAIP-2 id. Raises ValueError if none is configured."""

    def assets(self, name: str, chains: Collection[ChainId]) -> Sequence[Asset]:
        """Every known asset with this symbol or CAIP-19 id on `chains` (on all, if empty); none if unknown."""

    def addresses(self, text: str, chains: Collection[ChainId]) -> Sequence[tuple[ChainId, Address]]:
        """What `text` is on each of `chains` (all, if empty) where it is an address. Raises ValueError if nowhere."""


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount out of the configuration: `units` base units of `asset`, or 1e-8 USD where `asset` is None."""

    units: int
    asset: AssetId | None
    symbol: str
    decimals: int

    @property
    def text(self) -> str:
        """For people: `50 BTC`."""
        return f"{format_units(self.units, self.decimals)} {self.symbol}"

    def as_json(self) -> dict[str, str]:
        """For digests and evidence: base units as text."""
        return {"units": str(self.units), "asset": "USD" if self.asset is None else str(self.asset)}


@dataclass(frozen=True, slots=True)
class ParameterContext:
    """What parameters are read against: the reader, and the chains the rule's own selector names."""

    amounts: AmountParser
    chains: tuple[ChainId, ...] = ()


def parse_duration(text: object) -> int:
    """Seconds of `30s`, `10m`, `24h`, `7d`, `2w`. Raises ValueError for anything else, and above twenty years."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) and len(text) < 20 else None
    if match is None:
        raise ValueError('a duration is a text such as "30s", "24h" or "7d"')
    secs = int(match[1]) * _SECS[match[2]]
    if not secs <= MAX_DURATION_SECS:
        raise ValueError("a duration is at most twenty years")
    return secs


def parse_limit(text: object, deployment: ParameterContext) -> Limit:
    """Read `50 BTC`, `1000000 USD` or `<n> <CAIP-19 id>`. Raises ValueError that says what is wrong."""
    number, _, name = text.strip().partition(" ") if isinstance(text, str) and len(text) < 300 else ("", "", "")
    if not number or not name.strip():
        raise ValueError('an amount is a text such as "50 BTC" or "1000000 USD"')
    if name.strip() == "USD":
        return Limit(parse_units(number, USD_DECIMALS), None, "USD", USD_DECIMALS)
    asset = one_asset(name.strip(), deployment)
    return Limit(parse_units(number, asset.decimals), asset.id, asset.symbol, asset.decimals)


def one_asset(name: str, deployment: ParameterContext) -> Asset:
    """The only asset called `name` among the chains meant. Raises ValueError if there is none, or more than one."""
    found = deployment.amounts.assets(name, deployment.chains)
    if not found:
        raise ValueError(f"no asset is called {name!r} on the chains meant")
    if len(found) > 1:
        ids = ", ".join(sorted(str(asset.id) for asset in found))
        raise ValueError(f"{name!r} may mean {ids}: write the id, or name the chain in `chains`")
    return found[0]


def parse_milli(value: object) -> int:
    """Thousandths, exact: 90 -> 90000, "2.5" -> 2500. Raises ValueError beyond three decimal places or below 0."""
    # A TOML float prints as it was written: str() takes back 2.5, where arithmetic on it would round.
    text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    try:
        milli = parse_units(text, 3) if len(text) < 20 else -1
    except ValueError:
        milli = -1
    if not 0 <= milli <= 10**12:
        raise ValueError("a number such as 90 or 2.5 is expected, with at most three decimal places")
    return milli


def _deployment(info: ValidationInfo) -> ParameterContext:
    if not isinstance(info.context, ParameterContext):
        raise ValueError("amounts and addresses need the names of a deployment")  # noqa: TRY004 - pydantic collects it
    return info.context


def _read_limit(value: Any, info: ValidationInfo) -> Limit:
    return value if isinstance(value, Limit) else parse_limit(value, _deployment(info))


def _read_addresses(value: Any, info: ValidationInfo) -> frozenset[tuple[ChainId, bytes]]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("a list of addresses is expected")
    deployment = _deployment(info)
    found: set[tuple[ChainId, bytes]] = set()
    wrong: list[str] = []
    for text in value:
        try:
            found |= {(c, a.key) for c, a in deployment.amounts.addresses(text, deployment.chains)}
        except ValueError as error:
            wrong.append(f"{text[:100]!r}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return frozenset(found)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


LimitAmount = Annotated[Limit, PlainValidator(_read_limit), PlainSerializer(Limit.as_json)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Seconds."""
Milli = Annotated[int, BeforeValidator(parse_milli)]
"""Thousandths of what is written."""
Percent = Milli
"""Thousandths of a percent."""
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
AddressKeys = Annotated[
    frozenset[tuple[ChainId, bytes]],
    PlainValidator(_read_addresses),
    PlainSerializer(lambda keys: sorted(f"{chain} {key.hex()}" for chain, key in keys)),
]
"""(chain, `Address.key`) of every address of a list."""


class Params(BaseModel):
    """Base of all parameters: frozen, typed strictly, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NoParams(Params):
    """For rules that take none."""
