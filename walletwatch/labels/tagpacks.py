"""Reading GraphSense TagPacks: YAML files whose header fields are defaults for every tag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from walletwatch.domain.labels import Label
from walletwatch.labels.imports import MAX_TEXT, AddressParser, LabelFileError, LabelImport, find_chain, keeps_coins
from walletwatch.labels.ofac import BITCOIN, ETHEREUM, TRON

MAX_DEPTH = 12
MAX_NODES = 8_000_000
"""The largest published pack has 1.5 million."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class YamlMapping(dict[str, Any]):
    """A mapping with the line (from 1) on which it begins."""

    line: int = 0


def read_yaml(text: bytes, file: str) -> Any:
    """The single document in `text`. Raises LabelFileError for anything but plain data."""
    try:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        return _YamlBuilder(file).build(iter(events))
    except yaml.YAMLError as error:
        raise LabelFileError(f"{file}: not YAML: {' '.join(str(error).split())[:300]}") from error


class _YamlBuilder:
    """Builds data from YAML events; recursion is limited to MAX_DEPTH."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> Any:
        """The document's data."""
        root: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise LabelFileError(f"{self.file}: more than one document")
                root = self._node(next(events), events, 0)
        return root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Any:
        self.nodes += 1
        line = _line_of(event)
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise LabelFileError(f"{self.file}:{line}: nested too deeply or too large")
        if isinstance(event, yaml.AliasEvent):
            raise LabelFileError(f"{self.file}:{line}: aliases are refused")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            return None if plain and event.value in _NULLS else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, depth)
        return self._mapping(events, depth, line)

    def _sequence(self, events: Iterator[yaml.Event], depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return items

    def _mapping(self, events: Iterator[yaml.Event], depth: int, line: int) -> YamlMapping:
        found = YamlMapping()
        found.line = line
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            if not isinstance(key, str):
                raise LabelFileError(f"{self.file}:{_line_of(event)}: a key must be a string")
            found[key] = self._node(next(events), events, depth + 1)
        return found


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


MAX_BYTES = 64 * 1024 * 1024
MAX_TAGS = 2_000_000

CATEGORY_OF = {
    "exchange": "exchange",
    "hosting": "service",
    "service": "service",
    "payment_processor": "service",
    "miner": "service",
    "mining_service": "service",
    "atm": "service",
    "mixing_service": "mixer",
    "coinjoin": "mixer",
    "shielded": "mixer",
    "gambling": "gambling",
    "wallet_service": "wallet",
    "hosted_wallet": "service",
    "defi": "defi",
    "defi_dex": "defi",
    "defi_lending": "defi",
    "defi_bridge": "bridge",
    "bridge": "bridge",
}
"""Our category for each of GraphSense's entity concepts; others become `other`. Miners and payment processors mix funds
of many people and are a `service`.
"""
ABUSE_OF = {
    "sanction": "sanctioned",
    "service_hack": "theft",
    "hack": "theft",
    "theft": "theft",
    "dark_web": "darknet",
    "scam": "scam",
    "phishing": "scam",
    "ponzi_scheme": "scam",
    "pyramid_scheme": "scam",
    "investment_fraud": "scam",
    "fraud": "scam",
    "ransomware": "scam",
    "sextortion": "scam",
    "extortion": "scam",
    "blackmail": "scam",
}
CONFIDENCE_MILLI = {
    "ownership": 1000,
    "ledger_immanent": 1000,
    "manual_transaction": 900,
    "override": 900,
    "authority_data": 800,
    "trusted_transaction": 700,
    "service_api": 700,
    "service_data": 600,
    "trust_provider": 600,
    "forensic": 500,
    "forensic_investigation": 500,
    "untrusted_transaction": 400,
    "web_crawl": 200,
    "heuristic": 100,
    "unknown": 50,
}
"""Confidence for each of GraphSense's levels, in thousandths; a tag without a level counts as unknown."""
CHAINS_OF = {
    "BTC": (BITCOIN,),
    "ETH": (ETHEREUM,),
    "USDT": (ETHEREUM, TRON, BITCOIN),
    "USDC": (ETHEREUM, TRON),
    "WETH": (ETHEREUM,),
    "ERC20": (ETHEREUM,),
    "TRX": (TRON,),
    "TRC20": (TRON,),
    "BEP20": ("eip155:56",),
    "BNB": ("eip155:56",),
    "BSC": ("eip155:56",),
    "MATIC": ("eip155:137",),
    "POL": ("eip155:137",),
    "AVAX": ("eip155:43114",),
    "ETC": ("eip155:61",),
    "ARB": ("eip155:42161",),
    "LTC": ("bip122:12a765e31ffd4059bada1e25190f6e98",),
    "BCH": ("bip122:000000000000000000651ef99cb9fcbe",),
    "DOGE": ("bip122:1a91e3dace36e2be3bf030a65679fe82",),
    "DASH": ("bip122:00000ffd590b1485b3caadc19b22e637",),
    "ZEC": ("bip122:00040fe8ec8471911baa1db1266ea15d",),
    "XRP": ("xrpl:0",),
}
"""The chains of a currency (or network); the first on which the address is valid is used."""


def read_tagpack(text: bytes, file: str, parse: AddressParser) -> LabelImport:
    """Read one TagPack; bad tags are reported in the result. Raises LabelFileError if it is not a TagPack."""
    if len(text) > MAX_BYTES:
        raise LabelFileError(f"{file}: larger than {MAX_BYTES >> 20} MiB")
    pack = read_yaml(text, file)
    tags = pack.get("tags") if isinstance(pack, YamlMapping) else None
    if not isinstance(pack, YamlMapping) or not isinstance(tags, list):
        raise LabelFileError(f"{file}: not a TagPack: no list of tags")
    if len(tags) > MAX_TAGS:
        raise LabelFileError(f"{file}: more than {MAX_TAGS} tags")
    header = {key: value for key, value in pack.items() if key != "tags"}
    result = LabelImport()
    for tag in tags:
        if not isinstance(tag, YamlMapping):
            result.refuse(file, pack.line, "a tag must be a mapping")
            continue
        try:
            _read_tag({**header, **tag}, result, parse)
        except ValueError as error:
            result.refuse(file, tag.line, str(error))
    return result


def _text(tag: dict[str, Any], name: str) -> str:
    value = tag.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string")  # noqa: TRY004 - a bad row, reported like any other
    text = " ".join(value.split())
    if len(text) > MAX_TEXT and name != "source":
        raise ValueError(f"{name} is longer than {MAX_TEXT} characters")
    return text[:MAX_TEXT]


def _read_tag(tag: dict[str, Any], result: LabelImport, parse: AddressParser) -> None:
    """Append the labels of a tag: one for its category, one for its abuse type."""
    label, address = _text(tag, "label"), _text(tag, "address")
    if not label or not address:
        raise ValueError("a tag needs an address and a label")
    currency = (_text(tag, "network") or _text(tag, "currency")).upper()
    if not currency:
        raise ValueError("a tag needs a currency")
    if currency not in CHAINS_OF:
        result.skip(currency)
        return
    chain, text = find_chain(CHAINS_OF[currency], address, parse)
    confidence = CONFIDENCE_MILLI.get(_text(tag, "confidence"), CONFIDENCE_MILLI["unknown"])
    source = _text(tag, "source") or _text(tag, "creator")
    for category in _categories(tag, chain):
        result.labels.append(Label(chain, text, label, category, source, confidence))


def _categories(tag: dict[str, Any], chain: str) -> tuple[str, ...]:
    """Our categories of a tag. `market` is a darknet market on coin chains (Hydra, AlphaBay …), and a token shop on
    Ethereum.
    """
    named = _text(tag, "category").lower()
    abuse = _text(tag, "abuse").lower()
    found: list[str] = []
    if named == "market":
        found.append("darknet" if keeps_coins(chain) else "other")
    elif named in CATEGORY_OF:
        found.append(CATEGORY_OF[named])
    if abuse:
        found.append(ABUSE_OF.get(abuse, "other"))
    return tuple(dict.fromkeys(found)) or ("other",)
