"""The complete, validated configuration of one deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import rfc8785
from pydantic import PrivateAttr

from chains.model import Address, Asset, AssetId, ChainId
from chains.registry import family_of, native_asset
from chains.source import Branch, SourceSpec
from walletwatch.domain.people import People
from walletwatch.domain.policies import Policy
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.settings.amounts import AmountReader, Money
from walletwatch.settings.approvals import FeedSettings, PolicySettings
from walletwatch.settings.chains import AssetSettings, ChainSettings, PriceSettings
from walletwatch.settings.fields import Table
from walletwatch.settings.partial_settings import has_price_oracles, known_assets
from walletwatch.settings.problems import Fault
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


class Settings(Table):
    """The configuration of a deployment. Made by `walletwatch.settings.load`; immutable."""

    file: Path
    """The file passed to `load`."""
    timezone: str
    store: StoreSettings
    audit: AuditSettings
    labels: LabelsSettings
    trace: TraceSettings
    run: RunSettings
    chains: tuple[ChainSettings, ...]
    assets: tuple[AssetSettings, ...]
    prices: tuple[PriceSettings, ...]
    wallets: tuple[WalletSettings, ...]
    persons: tuple[PersonSettings, ...]
    feeds: tuple[FeedSettings, ...]
    policies: tuple[PolicySettings, ...]
    rules: tuple[RuleSettings, ...]
    sinks: tuple[SinkSettings, ...]
    _addresses: dict[str, tuple[Address, ...]] = PrivateAttr(default_factory=dict)
    """Addresses by wallet name, those from files included."""
    _branches: dict[str, tuple[Branch, ...]] = PrivateAttr(default_factory=dict)
    """Ranged descriptors by wallet name."""
    _unread: frozenset[str] = PrivateAttr(default=frozenset())
    """Wallets whose address file was not read."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which dates are interpreted."""
        return ZoneInfo(self.timezone)

    @cached_property
    def reader(self) -> AmountReader:
        """Resolves names of chains and assets, addresses and amounts."""
        ids = {chain.name: chain.id for chain in self.chains}
        return AmountReader(ids, known_assets(ids.values(), self.assets))

    @cached_property
    def asset_index(self) -> Mapping[AssetId, Asset]:
        """Every known asset: the coin of each chain, and the tokens."""
        return {asset.id: asset for asset in known_assets((c.id for c in self.chains), self.assets)}

    def chain(self, ref: str) -> ChainSettings:
        """The chain with this name or CAIP-2 id. Raises Fault, which lists the known names."""
        wanted = self.reader.chain(ref)
        return next(chain for chain in self.chains if chain.id == wanted)

    def chain_name(self, chain: ChainId) -> str:
        """The configured name of `chain`; its id if it is no longer configured."""
        return next((c.name for c in self.chains if c.id == chain), str(chain))

    def addresses_of(self, wallet: str) -> tuple[Address, ...]:
        """The addresses of a wallet as last read. Raises LookupError if its file was not read."""
        if wallet in self._unread:
            raise LookupError(f'the address file of the wallet "{wallet}" was not read')
        return self._addresses.get(wallet, ())

    def branches_of(self, wallet: str) -> tuple[Branch, ...]:
        """The rows of addresses of a wallet's ranged descriptors."""
        return self._branches.get(wallet, ())

    def wallets_of(self, chain: ChainId) -> tuple[WalletSettings, ...]:
        """The wallets on `chain`."""
        return tuple(w for w in self.wallets if self.reader.chain(w.chain) == chain)

    def native_of(self, chain: ChainId) -> Asset:
        """The coin of `chain`. Raises ValueError if neither its family nor an `[[asset]]` defines it."""
        return self.asset_index.get(family_of(chain).native_id(chain)) or native_asset(chain)

    def tokens_of(self, chain: ChainId) -> tuple[Asset, ...]:
        """The configured tokens on `chain`."""
        return tuple(a for a in self.asset_index.values() if a.id.chain == chain and a.id.namespace != "slip44")

    @property
    def sink_names(self) -> dict[str, SinkSettings]:
        """The sinks by name; one without a name is called by its type and number: `slack-1`."""
        return {sink.name or f"{sink.type}-{n}": sink for n, sink in enumerate(self.sinks, start=1)}

    def perimeter(self, chain: ChainId) -> Perimeter:
        """The own addresses on `chain`; a new object on each call, because it is mutable."""
        perimeter = Perimeter(chain)
        for wallet in self.wallets_of(chain):
            perimeter.add(Wallet(wallet.name, wallet.role, chain, wallet.kind), self.addresses_of(wallet.name))
        for wallet in self.wallets_of(chain):
            for branch in self._branches.get(wallet.name, ()):
                own = Wallet(wallet.name, wallet.role, chain, wallet.kind)
                perimeter.add_range(own, branch.derive, wallet.gap_limit)
        return perimeter

    def source_spec(self, chain: ChainSettings, record_to: Path | None = None) -> SourceSpec:
        """What the chain's family needs to open a source. Raises SecretMissing if an endpoint's secret is missing."""
        confirmations, tag = chain.final_after
        safes = [w.name for w in self.wallets_of(chain.id) if w.kind == "safe"]
        names = [endpoint.public_name for endpoint in chain.endpoints]
        endpoints = [e.endpoint(names[:n].count(names[n])) for n, e in enumerate(chain.endpoints)]
        return SourceSpec(
            name=chain.name,
            chain=chain.id,
            endpoints=tuple(endpoints),
            confirmations=confirmations,
            finality=tag,
            native=self.native_of(chain.id),
            tokens=self.tokens_of(chain.id),
            record_to=record_to,
            contract_wallets=tuple(address for name in safes for address in self.addresses_of(name)),
            prove_contents=chain.prove,
            history=chain.history_endpoint(),
        )

    def source_specs(self) -> tuple[SourceSpec, ...]:
        """One for each chain, in the order of the configuration."""
        return tuple(self.source_spec(chain) for chain in self.chains)

    def people(self) -> People:
        """The configured people."""
        return People(tuple(person.person() for person in self.persons))

    def approval_policies(self) -> tuple[Policy, ...]:
        """The approval policies in order of precedence: the first that fits applies."""
        own = {wallet.name: self.reader.chain(wallet.chain) for wallet in self.wallets}
        return tuple(policy.read(self.reader, own, self.timezone) for policy in self.policies)

    def priced_assets(self, price: PriceSettings) -> tuple[Asset, ...]:
        """The assets a price applies to: all with its symbol, or the one with its id."""
        return tuple(self.reader.assets(price.asset))

    def feed_of(self, price: PriceSettings) -> tuple[ChainSettings, Address]:
        """Chain and contract address of a price feed. The chain is the configured one, else the asset's own if that has
        contracts, else the only such chain. Raises Fault if the chain is ambiguous or the price has no feed.
        """
        evm = [chain for chain in self.chains if has_price_oracles(chain.id)]
        if price.chain is not None:
            evm = [self.chain(price.chain)]
        elif len(evm) > 1:
            own = {asset.id.chain for asset in self.priced_assets(price)}
            evm = [chain for chain in evm if chain.id in own]
        if len(evm) != 1 or price.feed is None:
            raise Fault(f"the chain of the price feed of {price.asset} is ambiguous", 'add chain = "ethereum"')
        ((_, address),) = self.reader.addresses(price.feed, [evm[0].id])
        return evm[0], address

    def trace_threshold(self) -> Money | None:
        """The smallest value that the tracer follows; None if not configured."""
        return None if self.trace.min_value is None else self.reader.read(self.trace.min_value)

    @property
    def digest(self) -> str:
        """`sha256:` + hex SHA-256 over the canonical JSON of the settings in force: secrets by their source only, and
        the addresses as read.
        """
        content: dict[str, Any] = self.model_dump(mode="json", exclude={"file"})
        known = sorted({*self._addresses, *self._unread})
        content["addresses"] = {name: _digest_of(self.addresses_of(name)) for name in known}
        return "sha256:" + hashlib.sha256(rfc8785.dumps(content)).hexdigest()

    def notes(self) -> tuple[str, ...]:
        """Remarks on a valid configuration, for `check`."""
        notes: list[str] = []
        if not self.chains:
            notes.append("no [[chain]] yet: nothing is watched")
        idle = [chain.name for chain in self.chains if not self.wallets_of(chain.id)]
        notes += [f'no [[wallet]] on the chain "{name}": nothing on it is watched' for name in idle]
        if not self.feeds:
            notes.append("no [[approval_feed]]: outflows are not checked against approvals")
        if not self.sinks:
            notes.append("no [[sink]]: alerts are kept, but not sent to anyone")
        unsigned = [feed.label for feed in self.feeds if feed.signatures == "none"]
        for wallet in self.wallets:
            notes += [
                f'descriptor {n} of the wallet "{wallet.name}" has no checksum: an error in its path is not detected'
                for n, text in enumerate(wallet.descriptors, start=1)
                if "#" not in text
            ]
        exported = [feed.label for feed in self.feeds if feed.type in {"fireblocks", "bitgo"}]
        notes += [f'the approvals of "{label}" are not signed: weaker evidence' for label in (*unsigned, *exported)]
        return tuple(notes)

    def with_addresses(
        self,
        addresses: Mapping[str, tuple[Address, ...]],
        branches: Mapping[str, Sequence[Branch]] | None = None,
        unread: frozenset[str] = frozenset(),
    ) -> Settings:
        """A copy with these addresses and ranged descriptors, by wallet name; `unread` are the wallets whose file was
        not read.
        """
        other = self.model_copy()
        other._addresses = dict(addresses)  # noqa: SLF001 - an instance of this class
        other._branches = {name: tuple(found) for name, found in (branches or {}).items()}  # noqa: SLF001 - the same
        other._unread = unread  # noqa: SLF001 - the same
        return other

    def with_parts(self, **parts: Any) -> Settings:
        """A copy with these tables replaced; addresses stay as read."""
        whole = {name: getattr(self, name) for name in type(self).model_fields} | parts
        return Settings(**whole).with_addresses(self._addresses, self._branches)


def _digest_of(addresses: tuple[Address, ...]) -> str:
    return hashlib.sha256(b"".join(sorted(len(a.key).to_bytes(4, "big") + a.key for a in addresses))).hexdigest()
