"""Watching ahead of the use of ranged descriptors: a used address moves the gap, and what was read is read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chains.model import BlockFacts, ChainTransaction, PendingFacts, UtxoTransaction
from chains.source import ChainSource
from walletwatch.domain.wallets import Perimeter
from walletwatch.watch.watch_memory import WatchMemory


class GapLimit:
    """Reads for one chain's worker, until nothing that was read makes more addresses our own.

    Nothing is stored: which addresses were used follows from the outputs in the books, and how far the gap reaches
    from that alone (`AddressRange`).
    """

    def __init__(self, source: ChainSource, perimeter: Perimeter, memory: WatchMemory) -> None:
        self._source = source
        self._perimeter = perimeter
        self._memory = memory

    def read_block(self, height: int) -> BlockFacts:
        """The block at `height`, again for every time the gap moved by it. Raises as `ChainSource.block`."""
        while True:
            facts = self._source.block(height, self._memory.watch)
            if not self._move(facts.transactions):
                return facts

    def read_pending(self) -> PendingFacts:
        """What waits in the mempool, in the same way. Raises as `ChainSource.pending`."""
        while True:
            pending = self._source.pending(self._memory.watch)
            if not self._move(pending.transactions):
                return pending

    def _move(self, transactions: Iterable[ChainTransaction]) -> bool:
        """Whether more is watched now. What was paid to those addresses before is not known until a node answers."""
        new = self._perimeter.use(_keys_of(transactions)) if self._perimeter.ranges else ()
        watch = self._memory.watch
        watch.addresses.update(address.key for address in new)
        watch.complete = watch.complete and not new
        return bool(new)


def _keys_of(transactions: Iterable[ChainTransaction]) -> Iterator[bytes]:
    for tx in transactions:
        if isinstance(tx, UtxoTransaction):
            yield from (output.address.key for output in tx.outputs)
            yield from (spent.address.key for spent in tx.inputs if spent.address is not None)
