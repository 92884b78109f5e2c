"""The port every chain family fulfils. `tests/contracts` holds each of them to it, on fakes and on real nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

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
        self.wire.add(key.txid[::-1] + key.vout.to_bytes(4, "little"))

    def __delitem__(self, key: Outpoint) -> None:
        super().__delitem__(key)
        self.wire.discard(key.txid[::-1] + key.vout.to_bytes(4, "little"))

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
        self.wire.discard(key.txid[::-1] + key.vout.to_bytes(4, "little"))
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


@runtime_checkable
class GivesSecondOpinion(Protocol):
    """A source with several endpoints that can ask another one than it asked last."""

    def second_ref_at(self, height: int) -> BlockRef:
        """As `ChainSource.ref_at`, of another endpoint. Raises Unsupported if there is none."""


@runtime_checkable
class GivesSecondTransactions(Protocol):
    """The same with transactions, for families where a block's hash does not say what its inputs were worth."""

    def second_transactions(
        self, height: int, txids: Sequence[TxId]
    ) -> tuple[BlockRef, Sequence[ChainTransaction | None]]:
        """As `ChainSource.ref_at`, and as `ChainSource.transaction` in that block, all of one other endpoint. Raises
        Unsupported if there is none.
        """


@runtime_checkable
class ReadsPast(Protocol):
    """A source that may know another way to a past block than its own nodes, for following thefts alone."""

    def past_block(self, height: int, watch: WatchSet, txids: Iterable[TxId]) -> BlockFacts:
        """As `ChainSource.block`; by a foreign source where our nodes have pruned the block, which then shows the
        transactions `txids` and those that spend from `watch.outpoints`, marked by `UtxoTransaction.evidence`.
        """


@runtime_checkable
class TellsScanProgress(Protocol):
    """A source whose `unspent` takes long, and that tells how far it is."""

    def scan_progress(self) -> int | None:
        """Percent done of an `unspent` under way in another thread, None if there is none or the node does not tell."""


@runtime_checkable
class ChainSource(Protocol):
    """Facts of one chain. Every method may raise the errors of `chains.errors` and nothing else.

    One instance serves one worker thread; `unspent`, `health` and `close` may be called from others.
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
