"""All tables of all files, validated one by one, before the checks across tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from chains.model import Asset, AssetId, ChainId
from chains.registry import family_of, find_family, native_asset
from walletwatch.settings.amounts import AmountReader
from walletwatch.settings.approvals import FeedSettings, PolicySettings
from walletwatch.settings.chains import AssetSettings, ChainSettings, PriceSettings
from walletwatch.settings.documents import Document
from walletwatch.settings.entries import Entry, read_entry
from walletwatch.settings.fields import Table, check_zone
from walletwatch.settings.problems import Fault, Problem, did_you_mean
from walletwatch.settings.secrets import Resolver
from walletwatch.settings.sections import (
    AuditSettings,
    LabelsSettings,
    PersonSettings,
    RuleSettings,
    RunSettings,
    SinkSettings,
    StoreSettings,
    TraceSettings,
    WalletSettings,
)

LISTS: dict[str, type[Table]] = {
    "chain": ChainSettings,
    "asset": AssetSettings,
    "price": PriceSettings,
    "wallet": WalletSettings,
    "person": PersonSettings,
    "approval_feed": FeedSettings,
    "approval_policy": PolicySettings,
    "rule": RuleSettings,
    "sink": SinkSettings,
}
SINGLES: dict[str, type[Table]] = {
    "store": StoreSettings,
    "audit": AuditSettings,
    "labels": LabelsSettings,
    "trace": TraceSettings,
    "run": RunSettings,
}
_SCALARS = ("timezone", "include")


@dataclass
class PartialSettings:
    """The tables as far as they could be read. Entries have the model of their table in `LISTS` and `SINGLES`."""

    documents: list[Document]
    problems: list[Problem] = field(default_factory=list)
    timezone: str = "UTC"
    lists: dict[str, list[Entry[Any]]] = field(default_factory=lambda: {name: [] for name in LISTS})
    singles: dict[str, Entry[Any]] = field(default_factory=dict)

    @property
    def main(self) -> Document:
        """The file passed to `load`; the others are included from it."""
        return self.documents[0]

    def named(self, table: str, key: str = "name") -> set[str]:
        """The names of the entries of `table`, invalid entries included: a reference to one of them is not an error."""
        rows = [row for d in self.documents for row in _rows(d, table) if isinstance(row, Mapping)]
        return {row[key] for row in rows if isinstance(row.get(key), str)}

    @cached_property
    def chain_ids(self) -> dict[str, ChainId]:
        """Chain ids by configured name."""
        return {e.value.name: e.value.id for e in self.lists["chain"] if e.has("name", "id")}

    @cached_property
    def reader(self) -> AmountReader:
        """The names of chains and assets, as far as they could be read."""
        tokens = [e.value for e in self.lists["asset"] if not e.bad]
        return AmountReader(self.chain_ids, known_assets(self.chain_ids.values(), tokens))

    def chain_of(self, ref: str) -> ChainId | None:
        """The id of the chain with this name or id, or None."""
        return self.chain_ids.get(ref) or next((c for c in self.chain_ids.values() if str(c) == ref), None)


def coin_of(chain: ChainId) -> Asset | None:
    """The coin of `chain`, None if its family does not know it or the chain has no family."""
    try:
        return native_asset(chain)
    except ValueError:
        return None


def coin_id_of(chain: ChainId) -> AssetId | None:
    """The id of the coin of `chain`, None if the chain has no family."""
    try:
        return family_of(chain).native_id(chain)
    except ValueError:
        return None


def has_price_oracles(chain: ChainId) -> bool:
    """Whether `chain` has price oracles."""
    family = find_family(chain)
    return family is not None and family.oracle_opener is not None


def known_assets(chains: Iterable[ChainId], tokens: Iterable[AssetSettings]) -> Iterator[Asset]:
    """The coin of each chain, if its family knows it, and the configured assets."""
    coins = (coin_of(chain) for chain in sorted(set(chains)))
    yield from (coin for coin in coins if coin is not None)
    for token in tokens:
        yield Asset(token.id, token.symbol, token.decimals)


def read_partial_settings(
    documents: list[Document], environ: Mapping[str, str], *, need_secrets: bool
) -> PartialSettings:
    """Validate every table by itself; problems are collected in the result."""
    partial = PartialSettings(documents)
    for document in documents:
        resolver = Resolver(Path(document.path).resolve().parent, environ, need_secrets)
        for key in document.data:
            _read_key(partial, document, key, resolver)
    return partial


def _read_key(partial: PartialSettings, document: Document, key: str, resolver: Resolver) -> None:
    if key in LISTS:
        _read_list(partial, document, key, resolver)
    elif key in SINGLES:
        _read_single(partial, document, key, resolver)
    elif key == "timezone":
        try:
            partial.timezone = check_zone(document.data[key])
        except Fault as fault:
            partial.problems.append(document.problem((key,), str(fault), fault.hint))
    elif key not in _SCALARS:
        hint = did_you_mean(key, (*LISTS, *SINGLES, *_SCALARS))
        partial.problems.append(document.problem((key,), f'unknown key "{key}"', hint))


def _rows(document: Document, table: str) -> list[Any]:
    rows = document.data.get(table)
    return rows if isinstance(rows, list) else []


def _read_list(partial: PartialSettings, document: Document, key: str, resolver: Resolver) -> None:
    if not isinstance(document.data[key], list):
        partial.problems.append(document.problem((key,), "must be an array of tables", f"write [[{key}]]"))
        return
    for n, raw in enumerate(_rows(document, key)):
        for outcome in read_entry(document, (key, n), raw, LISTS[key], resolver):
            if isinstance(outcome, Problem):
                partial.problems.append(outcome)
            else:
                partial.lists[key].append(outcome)


def _read_single(partial: PartialSettings, document: Document, key: str, resolver: Resolver) -> None:
    if isinstance(document.data[key], list):
        partial.problems.append(document.problem((key,), "must be a single table", f"write [{key}]"))
        return
    if key in partial.singles:
        message = f"[{key}] is already defined at {partial.singles[key].location}"
        partial.problems.append(document.problem((key,), message, "keep one of the two"))
        return
    for outcome in read_entry(document, (key,), document.data[key], SINGLES[key], resolver):
        if isinstance(outcome, Problem):
            partial.problems.append(outcome)
        else:
            partial.singles[key] = outcome
