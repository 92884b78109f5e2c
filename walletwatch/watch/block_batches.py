"""Reading blocks for a worker: what is watched, descriptors' gap limit, several final blocks in a row."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from chains.errors import ChainError
from chains.model import (
    Address,
    BlockFacts,
    BlockRef,
    ChainTransaction,
    Outpoint,
    PendingFacts,
    TxId,
    TxOutput,
    UtxoTransaction,
)
from chains.source import ChainSource, WatchSet
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.wallets import Perimeter
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import UnitOfWork
from walletwatch.watch.case_follower import CaseFollower


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


@dataclass(slots=True)
class Learned:
    """What one block will have taught us, if its transaction commits."""

    created: dict[Outpoint, TxOutput] = field(default_factory=dict)
    spent: list[Outpoint] = field(default_factory=list)
    payees: list[Address] = field(default_factory=list)
    suspects: set[bytes] = field(default_factory=set)


class WatchMemory:
    """One chain's memory. Owned by its worker thread."""

    def __init__(self, deployment: Deployment, chain: WatchedChain) -> None:
        self._deployment = deployment
        self._chain = chain
        self.watch = WatchSet()
        self.payees = PayeeIndex()
        self.learned = Learned()
        self.dull: set[TxId] = set()
        """Pending transactions that do not concern us; forgotten with each block."""

    def load(self, unit: UnitOfWork) -> None:
        """Everything anew from the store."""
        chain = self._chain.chain
        self.learned = Learned()
        if self._chain.perimeter.ranges:
            used = set(unit.ledger.used_addresses(chain))
            while self._chain.perimeter.use(used):  # what was used beyond the first gap is known once that has moved
                pass
        self.watch.addresses.clear()
        self.watch.addresses.update(self._chain.perimeter.keys())
        self.watch.outpoints.clear()
        self.watch.outpoints.update(unit.ledger.unspent(chain))
        self.payees = PayeeIndex(allowlisted=self._deployment.allowlisted.get(chain, ()))
        for address, _at, _tx in unit.outflows.payees(chain):
            self.payees.add(address)

    def foresee(self, facts: BlockFacts) -> None:
        """Look for the spending of what `facts` pays us in the blocks after it, though it is not kept yet."""
        own = self._chain.perimeter.wallet_of
        for tx in facts.transactions:
            if isinstance(tx, UtxoTransaction):
                self.watch.outpoints.update({Outpoint(tx.txid, o.vout): o for o in tx.outputs if own(o.address)})

    def learn(self) -> None:
        """What the block taught counts from the next one on. Whoever calls this within a transaction loads anew if that
        fails.
        """
        learned, self.learned = self.learned, Learned()
        self.watch.outpoints.update(learned.created)
        for outpoint in learned.spent:
            self.watch.outpoints.pop(outpoint, None)
        self.watch.addresses.update(learned.suspects)
        for address in learned.payees:
            self.payees.add(address)


MAX_BLOCKS: Final = 64
MAX_TRANSACTIONS: Final = 200
"""With so many transactions of ours the transaction is closed: alerts are raised before more is read."""
MAX_SECS: Final = 1.0
"""Reading for a transaction takes no longer, however late the node answers."""
SNAPSHOT_SERVES: Final = timedelta(seconds=5)
"""How long a reading of the tip serves while there are final blocks to read. The parent of each of them is checked."""


@dataclass(slots=True)
class TipSnapshot:
    """The node's tip and final height, as last read; `final` is read when it is needed."""

    source: ChainSource
    tip: BlockRef
    at: datetime
    _final: int | None = None

    def final(self) -> int:
        """The highest height that cannot be undone. Raises as `ChainSource.final_height`."""
        if self._final is None:
            self._final = self.source.final_height()
        return self._final

    def serves(self, height: int, now: datetime) -> bool:
        """Whether the block above `height` may be read without reading the tip again: it is final, and the snapshot is
        fresh.
        """
        return self._final is not None and height < self._final and timedelta() <= now - self.at <= SNAPSHOT_SERVES


@dataclass(frozen=True, slots=True)
class BlockBatch:
    """Blocks in a row. `error` is what ended it early; it is to be met once these are kept."""

    blocks: Sequence[BlockFacts]
    error: ChainError | None = None


class BatchReader:
    """Reads for one chain's worker. `most` blocks are read at a time."""

    def __init__(self, gap_limit: GapLimit, memory: WatchMemory, cases: CaseFollower, most: int = MAX_BLOCKS) -> None:
        self._gap_limit = gap_limit
        self._memory = memory
        self._cases = cases
        self.most = most

    def read(self, after: BlockRef, final: int) -> BlockBatch:
        """The block after `after` and, as far as they are final, those that follow it; none if the first is no child
        of `after`. While a case is followed they are read one at a time: it names suspects for the next.

        Raises what `ChainSource.block` raised for the first.
        """
        self._cases.extend_watch(self._memory.watch)
        most = 1 if self._cases.is_following else self.most
        began, blocks, found = time.monotonic(), list[BlockFacts](), 0
        for height in range(after.height + 1, after.height + 1 + most):
            try:
                facts = self._gap_limit.read_block(height)
            except ChainError as error:
                if not blocks:
                    raise
                return BlockBatch(blocks, error)
            if facts.parent_hash != after.hash and height > 0:
                break
            blocks.append(self._cases.search(facts, self._memory.watch))
            self._memory.foresee(facts)
            after, found = facts.ref, found + len(facts.transactions)
            if height >= final or found >= MAX_TRANSACTIONS or time.monotonic() - began >= MAX_SECS:
                break
        return BlockBatch(blocks)
