"""Resolving the names of a configuration: chains, assets, addresses, and amounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chains.model import Address, Asset, AssetId, ChainId, format_units, parse_units
from chains.registry import parse_address
from walletwatch.domain.prices import USD_SCALE
from walletwatch.settings.problems import Fault, did_you_mean

USD_DECIMALS = len(str(USD_SCALE)) - 1


class UnknownName(Fault):
    """No configured asset has this name."""


@dataclass(frozen=True, slots=True)
class Money:
    """`units` base units of `asset`, or 1e-8 USD where `asset` is None."""

    units: int
    asset: Asset | None = None

    @property
    def text(self) -> str:
        """The amount for display: `50 BTC`."""
        if self.asset is None:
            return f"{format_units(self.units, USD_DECIMALS)} USD"
        return f"{format_units(self.units, self.asset.decimals)} {self.asset.symbol}"


class AmountReader:
    """Reads names and amounts as the configuration writes them, given the configured chains and assets."""

    def __init__(self, chains: Mapping[str, ChainId], assets: Iterable[Asset]) -> None:
        self._chains = dict(chains)
        self._assets = {asset.id: asset for asset in assets}

    def chain(self, name: str) -> ChainId:
        """The chain with this configured name or CAIP-2 id. Raises Fault if none is configured."""
        if name in self._chains:
            return self._chains[name]
        for chain in self._chains.values():
            if str(chain) == name:
                return chain
        raise Fault(f'no chain is called "{name[:80]}"', did_you_mean(name, self._chains))

    def asset(self, asset_id: AssetId) -> Asset | None:
        """The configured asset with this id, or None."""
        return self._assets.get(asset_id)

    def known(self) -> Iterable[Asset]:
        """Every known asset."""
        return self._assets.values()

    def assets(self, name: str, chains: Collection[ChainId] = ()) -> Sequence[Asset]:
        """Every configured asset with this symbol or CAIP-19 id on `chains` (all chains if empty); empty if unknown."""
        if "/" in name:
            try:
                found = self._assets.get(AssetId.parse(name))
            except ValueError:
                return ()
            candidates = [found] if found else []
        else:
            candidates = [asset for asset in self._assets.values() if asset.symbol == name]
        return tuple(asset for asset in candidates if not chains or asset.id.chain in chains)

    def addresses(self, text: str, chains: Collection[ChainId] = ()) -> Sequence[tuple[ChainId, Address]]:
        """The address `text` on each of `chains` (all if empty) where it is valid. Raises Fault if there is none."""
        found: list[tuple[ChainId, Address]] = []
        reasons: list[str] = []
        for chain in sorted(set(chains or self._chains.values())):
            try:
                found.append((chain, parse_address(chain, text)))
            except ValueError as error:
                reasons.append(f"{chain}: {error}")
        if not found:
            raise Fault("is not an address on any of these chains (" + "; ".join(reasons)[:400] + ")")
        return tuple(found)

    def read(self, text: str, chains: Collection[ChainId] = ()) -> Money:
        """`"50 BTC"`, `"1000000 USD"`, `"5 eip155:1/erc20:0x…"`. Raises Fault; UnknownName for an unknown symbol."""
        number, _, name = text.strip().partition(" ")
        name = name.strip()
        if not name:
            raise Fault("must be an amount and its unit", 'write "50 BTC" or "100000 USD"')
        asset = None if name == "USD" else self.one_asset(name, chains)
        try:
            return Money(parse_units(number, USD_DECIMALS if asset is None else asset.decimals), asset)
        except ValueError as error:
            raise Fault(str(error), 'write "50 BTC" or "100000 USD"') from None

    def one_asset(self, name: str, chains: Collection[ChainId] = ()) -> Asset:
        """The only asset called `name` on `chains` (all if empty). Raises Fault, which lists the ids of several."""
        found = self.assets(name, chains)
        if not found:
            symbols = {asset.symbol for asset in self._assets.values()}
            raise UnknownName(f'no asset is called "{name[:120]}" on the selected chains', did_you_mean(name, symbols))
        if len(found) > 1:
            ids = ", ".join(sorted(str(asset.id) for asset in found))
            raise Fault(f'"{name}" is the symbol of more than one asset', f"write one of: {ids}")
        return found[0]
