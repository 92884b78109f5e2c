"""Catching up: several final blocks read in a row, to be judged in order and kept in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chains.errors import ChainError
from chains.model import BlockFacts, BlockRef
from chains.source import ChainSource
from walletwatch.watch.case_follower import CaseFollower
from walletwatch.watch.gap_limit import GapLimit
from walletwatch.watch.watch_memory import WatchMemory

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
