"""One chain's worker: tip check, fetch, decode, one transaction, again. It never jumps a gap and is never quiet.

A tick does one thing at most (a block in, or several final ones; a block back, one reading of the mempool, a piece of a
case's past) and says what; its caller decides when the next one comes.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import StrEnum

from chains.errors import ChainError
from chains.model import BlockFacts, BlockRef
from chains.registry import format_hash
from chains.source import ChainSource
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding
from walletwatch.domain.wallets import Perimeter
from walletwatch.store import Store
from walletwatch.store.chain_state import Cursor, CursorMoved
from walletwatch.watch.block_batches import BatchReader, BlockBatch, GapLimit, TipSnapshot, WatchMemory
from walletwatch.watch.case_follower import CaseFollower
from walletwatch.watch.conservation import Conservation
from walletwatch.watch.feed_reader import FeedReader
from walletwatch.watch.ingest import Ingestion
from walletwatch.watch.judging import Judge
from walletwatch.watch.mempool_tracker import MempoolTracker
from walletwatch.watch.opening_balances import OpeningBalances, keep_holdings
from walletwatch.watch.second_opinions import SecondOpinions
from walletwatch.watch.watch_health import WatchHealth

_log = logging.getLogger(__name__)


class Tick(StrEnum):
    """What a tick did."""

    STARTED = "started"
    INGESTED = "ingested"
    ROLLED_BACK = "rolled back"
    CASE = "read a case's past"
    IDLE = "idle"
    FAILED = "failed"
    HALTED = "halted"


class ChainWorker:
    """Owned by one thread. `halted` is why it stopped for good (a reorg too deep, the wrong chain), else empty;
    `position` is the last block judged.
    """

    def __init__(
        self, watched: WatchedChain, source: ChainSource, store: Store, judge: Judge, feeds: FeedReader
    ) -> None:
        self.watched = watched
        self.source = source
        self.store = store
        self.judge = judge
        self.feeds = feeds
        self.memory = WatchMemory(judge.deployment, watched)
        self.health = WatchHealth(watched, source, store, judge.findings)
        self.opinions = SecondOpinions(watched, source, self.health.raise_incident)
        self.gap_limit = GapLimit(source, watched.perimeter, self.memory)
        self.ingestion = Ingestion(watched, judge, self.memory)
        self.mempool_tracker = MempoolTracker(watched, judge)
        self.cases = CaseFollower(watched, judge.deployment, judge, source)
        self.reader = BatchReader(self.gap_limit, self.memory, self.cases)
        self.opening_balances = OpeningBalances(watched, source, store)
        self.conservation = Conservation(watched, source, store, judge)
        self.halted = ""
        self.position: BlockRef | None = None
        self.synced = False
        self._snapshot: TipSnapshot | None = None
        self._loaded = False
        self._renewed: Perimeter | None = None

    @property
    def tip(self) -> BlockRef | None:
        """The node's best block, as last seen."""
        return None if self._snapshot is None else self._snapshot.tip

    @property
    def last_error(self) -> str:
        """Why the last tick failed, empty if it did not."""
        return self.health.last_error

    @property
    def wrong_chain(self) -> bool:
        """Whether the node was found to be of another chain."""
        return self.health.wrong_chain

    def renew(self, perimeter: Perimeter) -> None:
        """From the next tick on these are our own addresses. May be called from another thread."""
        self._renewed = perimeter

    # --- the tick -----------------------------------------------------------------------------------------------------

    def tick(self) -> Tick:
        """Do the next thing. Errors of nodes are kept and reported, never raised; those of the store are raised."""
        if self.halted:
            return Tick.HALTED
        if self._renewed is not None:
            self.watched.perimeter.replace_with(self._renewed)
            self._renewed, self._loaded = None, False
        try:
            done = self._advance()
        except CursorMoved as moved:
            _log.warning("%s: %s; loading again", self.watched.name, moved)
            self._loaded = False
            done = Tick.FAILED
        except ChainError as error:
            self._loaded = False
            self.health.fail(error)
            done = Tick.FAILED
        except BaseException:
            self._loaded = False
            raise
        else:
            self.health.recover()
        self.health.publish(done, self.halted, self.tip, self.opening_balances.status())
        return done

    def _advance(self) -> Tick:
        self.synced = False
        cursor = self._read_cursor()
        if cursor is None:
            return self._start()
        if self._loaded and self._snapshot is not None and self._snapshot.serves(cursor.ref.height, self.store.clock()):
            batch = self.reader.read(cursor.ref, self._snapshot.final())
            if batch.blocks:
                return self._take_in(cursor, batch, self._snapshot.final())
        self._snapshot = snapshot = TipSnapshot(self.source, self.source.tip(), self.store.clock())
        if not self._loaded:
            self._load(cursor)
        self.health.report_unwatched(cursor, snapshot.tip)
        if self._is_orphaned(cursor, snapshot.tip):
            return self._step_back(cursor)
        if snapshot.tip.height <= cursor.ref.height:
            return self._at_tip(cursor)
        batch = self.reader.read(cursor.ref, snapshot.final())
        return self._take_in(cursor, batch, snapshot.final()) if batch.blocks else self._step_back(cursor)

    def _read_cursor(self) -> Cursor | None:
        with self.store.reading() as unit:
            cursor = unit.chain_state.cursor(self.watched.chain)
            self.position = None if cursor is None else cursor.ref
            if self._loaded and not self.cases.is_current(unit):
                self._loaded = False
            return cursor

    def _load(self, cursor: Cursor) -> None:
        with self.store.reading() as unit:
            self.memory.load(unit)
            self.cases.load(unit)
            self.health.load(unit)
        self.memory.watch.complete = self.opening_balances.is_open(cursor)
        self._loaded = True

    # --- first contact ------------------------------------------------------------------------------------------------

    def _start(self) -> Tick:
        """Prove the chain's identity and stand before the first block to judge."""
        self.source.identify()
        tip = self.source.tip()
        start = self.watched.start
        before = tip if start is None else self._before(start)
        holdings = self.opening_balances.at_start(before, tip)
        with self.store.transaction() as unit:
            unit.chain_state.register(self.watched.chain, self.watched.name, unit.now)
            unit.chain_state.start(self.watched.chain, before, unit.now)
            if holdings is not None:
                keep_holdings(unit, self.watched, holdings)
            payload = {
                "name": self.watched.name,
                "height": before.height,
                "hash": format_hash(self.watched.chain, before.hash),
            }
            unit.audit.append("walletwatch", "chain.started", str(self.watched.chain), payload)
        self.position, self._snapshot = before, TipSnapshot(self.source, tip, self.store.clock())
        return Tick.STARTED

    def _before(self, start: int) -> BlockRef:
        """The block before `start`; before the genesis block there is none, and nothing is compared with it."""
        return self.source.ref_at(start - 1) if start > 0 else BlockRef(-1, bytes(32))

    # --- forward ------------------------------------------------------------------------------------------------------

    def _take_in(self, cursor: Cursor, batch: BlockBatch, final: int) -> Tick:
        """Judge blocks in order, all in one transaction: a crash leaves all of them to do, or none."""
        found: list[tuple[BlockFacts, tuple[Finding, ...]]] = []
        with self.judge.approvals.held():
            self.feeds.read()
            try:
                with self.store.transaction() as unit:
                    self.judge.approvals.refresh(unit)
                    for facts in batch.blocks:
                        reached = min(final, facts.ref.height)
                        found.append((facts, self.ingestion.ingest_block(unit, facts, cursor)))
                        self.cases.open_for(unit, facts)
                        self.cases.extend(unit, facts)
                        if reached > cursor.final_height:
                            self.ingestion.make_final(unit, reached)
                        self.memory.learn()
                        cursor = replace(cursor, ref=facts.ref, final_height=max(cursor.final_height, reached))
            except BaseException:
                self.judge.approvals.forget()
                raise
        self.position, self.health.watched_at = cursor.ref, self.store.clock()
        self.cases.committed(batch.blocks[-1])
        for facts, findings in found:
            self.opinions.confirm_findings(facts, findings)
        if batch.error is not None:
            raise batch.error
        return Tick.INGESTED

    # --- one block back -----------------------------------------------------------------------------------------------

    def _is_orphaned(self, cursor: Cursor, tip: BlockRef) -> bool:
        """Whether the cursor's block left the node's best chain. A node that is merely behind is no reorg."""
        if cursor.ref.height < 0:
            return False
        if tip.height >= cursor.ref.height:
            seen = self.source.ref_at(cursor.ref.height)
            if seen.hash == cursor.ref.hash:
                return False
            self.opinions.confirm_reorg(seen, self.store.clock())
            return True
        with self.store.reading() as unit:
            ours = unit.chain_state.ref_at(self.watched.chain, tip.height)
        return ours is not None and ours.hash != tip.hash

    def _step_back(self, cursor: Cursor) -> Tick:
        anchor = self._before(cursor.ref.height) if cursor.ref.height < cursor.start_height else None
        with self.store.transaction() as unit:
            if anchor is not None:
                # Nothing was judged yet at or below the block we began at: stand on the new branch instead.
                self.ingestion.roll_back(unit, cursor, anchor)
                unit.chain_state.restart(self.watched.chain, anchor.height + 1)
                self._loaded = False
                return Tick.ROLLED_BACK
            parent = unit.chain_state.parent_of(self.watched.chain, cursor.ref.height)
            if parent is None:
                self.halted = f"reorg deeper than {self.watched.max_reorg} blocks at {cursor.ref}"
                summary = f"{self.watched.name} is halted: {self.halted}"
                self.health.record_incident(unit, "reorg_too_deep", summary, str(cursor.ref.height))
                return Tick.HALTED
            if cursor.ref.height <= cursor.final_height:
                what = f"{self.watched.name}: block {cursor.ref} was final, and the chain replaced it"
                self.health.record_incident(unit, "reorg_too_deep", what, str(cursor.ref.height))
            self.ingestion.roll_back(unit, cursor, parent)
        self._loaded = False
        return Tick.ROLLED_BACK

    # --- at the tip ---------------------------------------------------------------------------------------------------

    def _at_tip(self, cursor: Cursor) -> Tick:
        if self._read_case():
            return Tick.CASE
        self._read_pending()
        final = cursor.final_height if self._snapshot is None else min(self._snapshot.final(), cursor.ref.height)
        if final > cursor.final_height:
            with self.store.transaction() as unit:
                self.ingestion.make_final(unit, final)
        if self.opening_balances.open(cursor):
            self._loaded = False
        self.conservation.check_if_due()
        self.health.report_stale(cursor)
        self.synced = self.tip == cursor.ref and self.cases.next_behind() is None
        self.synced = self.synced and not self.opening_balances.is_opening(cursor)
        return Tick.IDLE

    def _read_case(self) -> bool:
        stored = self.cases.next_behind()
        if stored is None:
            return False
        facts, result = self.cases.read_history(stored)
        with self.store.transaction() as unit:
            live = self.cases.keep_history(unit, stored, facts, result)
        self.cases.moved(stored, facts.ref, live=live)
        return True

    def _read_pending(self) -> None:
        pending = self.gap_limit.read_pending()
        with self.judge.approvals.held():
            self.feeds.read()
            with self.store.reading() as unit:
                new = self.ingestion.unseen(unit, pending)
                outlooks = self.mempool_tracker.changes(unit, pending)
            if new or outlooks:
                with self.store.transaction() as unit:
                    self.judge.approvals.refresh(unit)
                    self.ingestion.ingest_pending(unit, pending)
                    self.mempool_tracker.keep(unit, outlooks)
                self.memory.learn()
