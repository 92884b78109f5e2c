"""The port every chain family fulfils. `tests/contracts` holds each of them to it, on fakes and on real nodes."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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


@dataclass(slots=True)
class WatchSet:
    """What to look for in a block: owned by one chain worker, mutable, never copied (it may hold a million keys).

    `addresses` are `Address.key`s of wallets and suspects. `outpoints` are unspent outputs of theirs (coin chains), so
    that a spend is seen even where the node does not tell what an input was worth.
    """

    addresses: set[bytes] = field(default_factory=set)
    outpoints: dict[Outpoint, TxOutput] = field(default_factory=dict)


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


@runtime_checkable
class ChainSource(Protocol):
    """Facts of one chain. Every method may raise the errors of `chains.errors` and nothing else.

    One instance serves one worker thread; `health` and `close` may be called from others.
    """

    chain: ChainId
    native: Asset

    def identify(self) -> None:
        """Prove that every reachable endpoint follows `chain`. Raises WrongChain, or Unreachable if none answered."""

    def tip(self) -> BlockRef:
        """The best block of the healthiest endpoint."""

    def ref_at(self, height: int) -> BlockRef:
        """The block at `height` on the best chain. Raises BlockGone above the tip."""

    def final_height(self) -> int:
        """The highest height the configured finality calls final; -1 if none yet."""

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """The block at `height`, decoded for `watch`. The answer is proved to be the block it claims to be, as far as
        its parts allow. Raises BlockGone above the tip.
        """

    def pending(self, watch: WatchSet) -> PendingFacts:
        """Unconfirmed transactions that spend from or pay to `watch`."""

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        """One whole transaction, None if the node does not know it. `block` helps nodes without an index."""

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """Base units held after block `at`. Raises Unsupported where the node keeps no such state."""

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        """All unspent outputs (coin chains). Raises Unsupported on account chains."""

    def parse_address(self, text: str) -> Address:
        """Read an address in the chain's usual text form. Raises ValueError that says what is wrong."""

    def wait(self, timeout_secs: float) -> None:
        """Return when the node rang (ZMQ, subscription) or after the timeout. Only a doorbell, never the truth."""

    def health(self) -> tuple[EndpointHealth, ...]:
        """Every endpoint as last met."""

    def close(self) -> None:
        """Give back connections and threads."""
