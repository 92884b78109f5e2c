"""The port every chain family fulfils, and what opens a source of it. `tests/contracts` holds each to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from chains.errors import Unsupported
from chains.model import (
    Address,
    Asset,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    ChainTransaction,
    Outpoint,
    PendingFacts,
    TxId,
    TxOutput,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node answers. `url` may hold credentials and therefore never shows in repr; `name` is safe to show."""

    name: str
    url: str = field(repr=False)
    cookie_file: Path | None = None
    notifier_url: str = field(default="", repr=False)
    """ZMQ `tcp://…` for bitcoind (hashblock, hashtx), empty for none."""
    rest: bool = False
    """Ask bitcoind's REST interface for blocks."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Everything a family needs to open a source.

    `confirmations`: a block is final when it has this many (1 = the tip itself); `finality` (`finalized`, `safe`,
    `latest`) takes its place on networks that have the tag. `tokens` are the assets beside the native one.
    An endpoint url `recorded:PATH` answers from a capture, without network. With `record_to` every answer is also
    written to that file.
    """

    name: str
    chain: ChainId
    endpoints: tuple[Endpoint, ...]
    confirmations: int = 6
    finality: str | None = None
    tokens: tuple[Asset, ...] = ()
    timeout_secs: float = 20.0
    record_to: Path | None = None
    history: Endpoint | None = None
    """An explorer that serves the tracer where the nodes have pruned a block (Bitcoin, Esplora's API)."""
    native: Asset | None = None
    """The chain's coin where the configuration names it, for networks whose coin the family does not know."""
    contract_wallets: tuple[Address, ...] = ()
    """Wallets that are contracts (Safes): who controls them is read from their storage (account chains)."""
    prove_contents: bool = False
    """Prove by the header's roots that nothing in a block was changed or left out, where that is not always done: for
    nodes that are not one's own (account chains; 20 µs a transaction).
    """


@dataclass(frozen=True, slots=True)
class Branch:
    """One row of addresses of an output descriptor. `text` is the descriptor with its checksum, its multipath step
    chosen; `derive(start, count)` gives the addresses from index `start` on, at most one if it is not `ranged`.
    """

    text: str
    ranged: bool
    derive: Callable[[int, int], tuple[Address, ...]] = field(repr=False, compare=False)


class Outpoints(dict[Outpoint, TxOutput]):
    """A dict of outpoints that also keeps, in `wire`, each key as the 36 bytes that stand for it inside a transaction
    (txid in wire order, vout little-endian): a pass over a raw block then asks one set per input.
    """

    def __init__(self, outputs: Mapping[Outpoint, TxOutput] | Iterable[tuple[Outpoint, TxOutput]] = ()) -> None:
        super().__init__()
        self.wire: set[bytes] = set()
        self.update(outputs)

    def __setitem__(self, key: Outpoint, value: TxOutput) -> None:
        super().__setitem__(key, value)
        self.wire.add(key.wire)

    def __delitem__(self, key: Outpoint) -> None:
        super().__delitem__(key)
        self.wire.discard(key.wire)

    def update(self, outputs: Any = (), /, **_named: TxOutput) -> None:
        """As dict's, of outpoints."""
        for key, value in dict(outputs).items():
            self[key] = value

    def __ior__(self, outputs: Any) -> Self:  # type: ignore[override,misc]  # dict's overloads, at length, say the same
        self.update(outputs)
        return self

    def setdefault(self, key: Outpoint, default: TxOutput) -> TxOutput:
        """As dict's."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Outpoint, *default: Any) -> Any:
        """As dict's."""
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Outpoint, TxOutput]:
        """As dict's."""
        key, value = super().popitem()
        self.wire.discard(key.wire)
        return key, value

    def clear(self) -> None:
        """As dict's."""
        super().clear()
        self.wire.clear()


@dataclass(slots=True)
class WatchSet:
    """What to look for in a block: owned by one chain worker, mutable, never copied (it may hold a million keys).

    `addresses` are `Address.key`s of wallets and suspects. `outpoints` are unspent outputs of theirs (coin chains), so
    that a spend is seen even where the node does not tell what an input was worth; any dict will do, the default one
    is the fast one.
    """

    addresses: set[bytes] = field(default_factory=set)
    outpoints: dict[Outpoint, TxOutput] = field(default_factory=Outpoints)
    complete: bool = False
    """The owner vouches that `outpoints` hold every unspent output of `addresses` as of the block before the one asked
    for (from `unspent()`, and kept since). A source may then find spends by outpoint alone, which is many times
    cheaper; where it is False it must learn the address of every input.
    """


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint as `status` shows it. `state` is `ok`, `behind`, `down`, `wrong-chain` or `lying`."""

    name: str
    state: str
    height: int | None = None
    latency_ms: int | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Unspent:
    """Unspent outputs of some addresses, true at block `at`."""

    at: BlockRef
    outputs: Mapping[Outpoint, TxOutput]


class ChainSource(ABC):
    """Facts of one chain. Every method may raise the errors of `chains.errors` and nothing else. What not every family
    or node can do raises Unsupported by default.

    One instance serves one worker thread; `unspent`, `scan_progress`, `health` and `close` may be called from others.
    """

    chain: ChainId
    native: Asset

    @abstractmethod
    def identify(self) -> None:
        """Prove that every reachable endpoint follows `chain`. Raises WrongChain, or Unreachable if none answered."""

    @abstractmethod
    def tip(self) -> BlockRef:
        """The best block of the healthiest endpoint."""

    @abstractmethod
    def ref_at(self, height: int) -> BlockRef:
        """The block at `height` on the best chain. Raises BlockGone above the tip."""

    @abstractmethod
    def final_height(self) -> int:
        """The highest height the configured finality calls final; -1 if none yet."""

    @abstractmethod
    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """The block at `height`, decoded for `watch`. The answer is proved to be the block it claims to be, as far as
        its parts allow. Raises BlockGone above the tip.
        """

    @abstractmethod
    def pending(self, watch: WatchSet) -> PendingFacts:
        """Unconfirmed transactions that spend from or pay to `watch`."""

    @abstractmethod
    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        """One whole transaction, None if the node does not know it. `block` helps nodes without an index."""

    @abstractmethod
    def parse_address(self, text: str) -> Address:
        """Read an address in the chain's usual text form. Raises ValueError that says what is wrong."""

    @abstractmethod
    def wait(self, timeout_secs: float) -> None:
        """Return when the node announced something (ZMQ, subscription) or after the timeout. Only a hint to ask."""

    @abstractmethod
    def health(self) -> tuple[EndpointHealth, ...]:
        """Every endpoint as last met."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and threads."""

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """Base units held after block `at`. Raises Unsupported where the node keeps no such state."""
        raise Unsupported(f"no balance of {address} in {asset} after block {at} can be read")

    def balances(self, addresses: Sequence[Address], asset: AssetId, at: BlockRef) -> list[int]:
        """As `balance`, for each address."""
        return [self.balance(address, asset, at) for address in addresses]

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        """All unspent outputs (coin chains). Raises Unsupported on account chains."""
        raise Unsupported(f"{self.chain} has accounts, not unspent outputs ({len(addresses)} asked for)")

    def scan_progress(self) -> int | None:
        """Percent done of an `unspent` under way in another thread, None if there is none or the node does not tell."""
        return None

    def past_block(self, height: int, watch: WatchSet, txids: Iterable[TxId]) -> BlockFacts:  # noqa: ARG002
        """As `block`, for following thefts; by a foreign source where our nodes have pruned the block, which then shows
        the transactions `txids` and those that spend from `watch.outpoints`, marked by `UtxoTransaction.evidence`.
        """
        return self.block(height, watch)

    def second_ref_at(self, height: int) -> BlockRef:
        """As `ref_at`, of another endpoint than the one asked last. Raises Unsupported if there is none."""
        raise Unsupported(f"no second endpoint to ask for block {height}")

    def second_transactions(
        self, height: int, txids: Sequence[TxId]
    ) -> tuple[BlockRef, Sequence[ChainTransaction | None]]:
        """As `ref_at`, and as `transaction` in that block, all of one other endpoint, for families where a block's hash
        does not prove what its inputs were worth. Raises Unsupported if there is none.
        """
        raise Unsupported(f"no second endpoint to ask for {len(txids)} transactions of block {height}")

    def second_balances(
        self, addresses: Sequence[Address], asset: AssetId, after: Sequence[BlockRef]
    ) -> list[list[int]]:
        """What each address held after each of these blocks, by another endpoint than the one asked last. Raises
        Unsupported if there is none.
        """
        raise Unsupported(f"no second endpoint to ask for {asset} of {len(addresses)} addresses at {len(after)} blocks")


class DelegatingSource(ChainSource):
    """A source that passes everything on to `inner`: for those that change a few answers."""

    def __init__(self, inner: ChainSource) -> None:
        self.inner = inner
        self.chain, self.native = inner.chain, inner.native

    def identify(self) -> None:
        """As `inner`."""
        self.inner.identify()

    def tip(self) -> BlockRef:
        """As `inner`."""
        return self.inner.tip()

    def ref_at(self, height: int) -> BlockRef:
        """As `inner`."""
        return self.inner.ref_at(height)

    def final_height(self) -> int:
        """As `inner`."""
        return self.inner.final_height()

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """As `inner`."""
        return self.inner.block(height, watch)

    def pending(self, watch: WatchSet) -> PendingFacts:
        """As `inner`."""
        return self.inner.pending(watch)

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        """As `inner`."""
        return self.inner.transaction(txid, block)

    def parse_address(self, text: str) -> Address:
        """As `inner`."""
        return self.inner.parse_address(text)

    def wait(self, timeout_secs: float) -> None:
        """As `inner`."""
        self.inner.wait(timeout_secs)

    def health(self) -> tuple[EndpointHealth, ...]:
        """As `inner`."""
        return self.inner.health()

    def close(self) -> None:
        """As `inner`."""
        self.inner.close()

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """As `inner`."""
        return self.inner.balance(address, asset, at)

    def balances(self, addresses: Sequence[Address], asset: AssetId, at: BlockRef) -> list[int]:
        """As `inner`."""
        return self.inner.balances(addresses, asset, at)

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        """As `inner`."""
        return self.inner.unspent(addresses)

    def scan_progress(self) -> int | None:
        """As `inner`."""
        return self.inner.scan_progress()

    def past_block(self, height: int, watch: WatchSet, txids: Iterable[TxId]) -> BlockFacts:
        """As `inner`."""
        return self.inner.past_block(height, watch, txids)

    def second_ref_at(self, height: int) -> BlockRef:
        """As `inner`."""
        return self.inner.second_ref_at(height)

    def second_transactions(
        self, height: int, txids: Sequence[TxId]
    ) -> tuple[BlockRef, Sequence[ChainTransaction | None]]:
        """As `inner`."""
        return self.inner.second_transactions(height, txids)

    def second_balances(
        self, addresses: Sequence[Address], asset: AssetId, after: Sequence[BlockRef]
    ) -> list[list[int]]:
        """As `inner`."""
        return self.inner.second_balances(addresses, asset, after)
