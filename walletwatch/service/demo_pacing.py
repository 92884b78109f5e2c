"""A recorded node shown at the pace of its days: each block and each look into the mempool at its own time."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from chains.model import (
    Address,
    Asset,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    ChainTransaction,
    PendingFacts,
    TxId,
)
from chains.source import ChainSource, EndpointHealth, Unspent, WatchSet


class PacedClock:
    """The time of the days that are played. `set` moves it; asking does not."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def __call__(self) -> datetime:
        """The moment that is played, UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Move on, never back."""
        self._now = max(self._now, now)


class PacedSource:
    """A `ChainSource` that passes everything on, and shows of a finished recording what was there at a time: the chain
    up to `height`, and the mempool only where `mempool` is set.
    """

    chain: ChainId
    native: Asset

    def __init__(self, inner: ChainSource, confirmations: int, clock: PacedClock) -> None:
        self.chain, self.native = inner.chain, inner.native
        self.height = 0
        self.mempool = False
        self._inner = inner
        self._confirmations = confirmations
        self.clock = clock

    def show(self, at: datetime, height: int, *, mempool: bool) -> None:
        """It is `at` now, and the best block is at `height`."""
        self.clock.set(at)
        self.height, self.mempool = height, mempool

    def identify(self) -> None:
        """As the recorded node."""
        self._inner.identify()

    def tip(self) -> BlockRef:
        """The block at `height`."""
        return self._inner.ref_at(self.height)

    def ref_at(self, height: int) -> BlockRef:
        """As the recorded node."""
        return self._inner.ref_at(height)

    def final_height(self) -> int:
        """As many blocks below `height` as the configuration asks for."""
        return max(-1, self.height - self._confirmations + 1)

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """As the recorded node, proof included."""
        return self._inner.block(height, watch)

    def pending(self, watch: WatchSet) -> PendingFacts:
        """What the recorded node answered next, once a step; nothing while its mempool was not looked at."""
        if self.mempool:
            self.mempool = False
            return self._inner.pending(watch)
        return PendingFacts(self.chain, self.clock(), ())

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        """As the recorded node."""
        return self._inner.transaction(txid, block)

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """As the recorded node."""
        return self._inner.balance(address, asset, at)

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        """What the recorded node answered next."""
        return self._inner.unspent(addresses)

    def parse_address(self, text: str) -> Address:
        """As the recorded node."""
        return self._inner.parse_address(text)

    def wait(self, timeout_secs: float) -> None:
        """Time passes by itself here: so much of it at once."""
        self.clock.set(self.clock() + timedelta(seconds=timeout_secs))

    def health(self) -> tuple[EndpointHealth, ...]:
        """As the recorded node."""
        return self._inner.health()

    def close(self) -> None:
        """Close the recording."""
        self._inner.close()
