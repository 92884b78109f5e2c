"""What the warnings ask of the tables: the sound entries, what a table selects, and which assets have a price."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chains.model import Asset, ChainId
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.sections import WalletSettings

_FIAT = re.compile(r"\s*[\d_.,]+\s+(USD|JPY|EUR)\s*")


def sound(partial: PartialSettings, table: str) -> list[Entry[Any]]:
    """The entries of `table` with nothing wrong in them."""
    return [entry for entry in partial.lists[table] if not entry.bad]


def is_whole(partial: PartialSettings, *tables: str) -> bool:
    """Whether every entry of these tables is sound: of broken ones nothing can be counted."""
    return all(not entry.bad for table in tables for entry in partial.lists[table])


def line_of(entry: Entry[Any]) -> str:
    """`rules.toml:12`, to name one table in a warning about another."""
    return f"{entry.document.path}:{entry.document.line(entry.path)}"


def is_fiat(value: object) -> bool:
    """Whether `value` is written as an amount of money, and so needs prices: `"100000 USD"`."""
    return isinstance(value, str) and _FIAT.fullmatch(value) is not None


@dataclass(frozen=True)
class Selection:
    """What a rule or policy is about: `wallets` by name, and `assets` on their chains."""

    wallets: frozenset[str]
    assets: frozenset[Asset]

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is configured can fit."""
        return not self.wallets or not self.assets


def selection_of(partial: PartialSettings, entry: Entry[Any]) -> Selection:
    """What fits all selectors that the table gives, of the wallets and assets that are configured."""
    table = entry.value
    chains = {partial.chain_of(ref) for ref in table.chains}
    wallets = [
        wallet
        for wallet in wallets_of(partial)
        if (not table.wallets or wallet.name in table.wallets)
        and (not getattr(table, "roles", ()) or wallet.role in table.roles)
        and (not chains or partial.chain_of(wallet.chain) in chains)
    ]
    assets = frozenset(_assets_on(partial, {partial.chain_of(w.chain) for w in wallets}))
    if table.assets:
        assets &= {asset for name in table.assets for asset in partial.reader.assets(name)}
    held = {asset.id.chain for asset in assets}
    return Selection(frozenset(w.name for w in wallets if partial.chain_of(w.chain) in held), assets)


def wallets_of(partial: PartialSettings) -> list[WalletSettings]:
    """The configured wallets."""
    return [entry.value for entry in sound(partial, "wallet")]


def _assets_on(partial: PartialSettings, chains: Iterable[ChainId | None]) -> Iterator[Asset]:
    wanted = set(chains)
    yield from (asset for asset in partial.reader.known() if asset.id.chain in wanted)


def unpriced(partial: PartialSettings, assets: Iterable[Asset]) -> tuple[str, ...]:
    """The symbols of those `assets` that no `[[price]]` is for."""
    priced = {a.id for e in sound(partial, "price") for a in partial.reader.assets(e.value.asset)}
    return tuple(sorted({asset.symbol for asset in assets if asset.id not in priced}))


def listed(names: Iterable[str], most: int = 5) -> str:
    """`a, b, c`; of many the first few and how many more."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
