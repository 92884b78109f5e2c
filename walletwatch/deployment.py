"""The exchange that is watched: its chains, wallets, rules, prices and labels, apart from how they were configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

from chains.model import AccountTransaction, Address, Asset, AssetId, ChainId, ChainTransaction, TxId
from walletwatch.domain.cases import TaintModel
from walletwatch.domain.findings import Severity
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import NetResult, net
from walletwatch.domain.prices import Price
from walletwatch.domain.times import Clock, utc_now
from walletwatch.domain.wallets import Perimeter
from walletwatch.rules.registry import RuleConfig


@dataclass(slots=True)
class WatchedChain:
    """One chain and what is ours on it. `start` is the first height to judge, None for the block after the tip at first
    contact; a reorg deeper than `max_reorg` blocks halts the chain.
    """

    chain: ChainId
    name: str
    native: Asset
    perimeter: Perimeter
    tokens: tuple[Asset, ...] = ()
    start: int | None = None
    max_reorg: int = 100
    poll_secs: float = 2.0
    check_balances_secs: float = 300.0
    """How often, at most, the books are held to what the node says the wallets hold."""

    def net(self, tx: ChainTransaction) -> NetResult:
        """What `tx` does to us. Anybody can deploy a token whose logs name our wallet as the sender (address
        poisoning): an asset nobody configured counts only in a transaction that an own account sent.
        """
        if isinstance(tx, AccountTransaction) and self.perimeter.wallet_of(tx.sender) is None:
            known = {self.native.id, *(token.id for token in self.tokens)}
            tx = replace(tx, transfers=tuple(t for t in tx.transfers if t.asset in known))
        return net(tx, self.perimeter, self.native.id)


class PriceBook(Protocol):
    """Prices as configured."""

    def price(self, asset: AssetId, at: datetime) -> Price:
        """The price in force at `at`. Raises Unknown if it is missing or stale."""


@runtime_checkable
class DatedPrices(PriceBook, Protocol):
    """Prices that say when they change, so that sums of them may be kept."""

    def edition(self) -> object:
        """Another answer whenever that about any past moment may be another; None: nothing may be kept."""


@dataclass(frozen=True, slots=True)
class TraceDefaults:
    """How a case is opened without a person: at which severity (None: never), and how far it is followed."""

    auto_open: Severity | None = None
    model: TaintModel = TaintModel.FIFO
    min_usd_e8: int = 0
    min_units: tuple[tuple[AssetId, int], ...] = ()
    max_hops: int = 20


@dataclass(slots=True)
class Deployment:
    """The exchange. `roles` are the wallets' roles by name; `allowlisted` addresses are never look-alikes."""

    chains: Mapping[ChainId, WatchedChain]
    assets: Mapping[AssetId, Asset]
    roles: Mapping[str, str]
    rules: tuple[RuleConfig, ...]
    rules_digest: str
    prices: PriceBook
    labels: Callable[[ChainId, Address, datetime], tuple[Label, ...]]
    feed_configured: bool = False
    trace: TraceDefaults = field(default_factory=TraceDefaults)
    allowlisted: Mapping[ChainId, tuple[Address, ...]] = field(default_factory=dict)
    clock: Clock = utc_now
    _chains: dict[str, ChainId] = field(default_factory=dict, init=False, repr=False, compare=False)

    def chain_of(self, wallet: str) -> ChainId | None:
        """The chain of an own wallet; a perimeter may hold a million addresses, so it is looked through once."""
        if wallet not in self._chains:
            for watched in self.chains.values():
                self._chains.update(dict.fromkeys(watched.perimeter.names(), watched.chain))
        return self._chains.get(wallet)

    def asset(self, asset: AssetId) -> Asset:
        """The asset, by its id where nobody configured it: unknown tokens leave wallets too."""
        return self.assets.get(asset) or Asset(asset, short_symbol(asset), 0)


def short_symbol(asset: AssetId) -> str:
    """What to call an asset nobody named: the beginning of its contract."""
    return f"{asset.namespace}:{asset.reference[:10]}"


def fingerprint(chain: ChainId, family: TxId) -> str:
    """The alert of a transaction and of everything that replaces it."""
    return f"{chain}/tx/{family.hex()}"
