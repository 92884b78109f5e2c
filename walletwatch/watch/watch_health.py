"""What goes wrong with the watching of one chain, and what `status` shows of it: never quiet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from chains.errors import BlockGone, ChainError, LyingNode, TransientError, WrongChain
from chains.model import BlockRef
from chains.registry import family_of, format_hash
from chains.source import ChainSource
from walletwatch.deployment import WatchedChain
from walletwatch.domain.times import format_utc
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.chain_state import Cursor
from walletwatch.watch.findings import FindingWriter, Incident, day_of

UNWATCHED_AFTER = timedelta(seconds=60)
"""A chain that could not be read for longer was not watched; the interval is reported and recorded."""
REPORT_EVERY = timedelta(seconds=1)


class WatchHealth:
    """Owned by one chain's worker. `last_error`: why its last tick failed, else empty; `watched_at`: when the chain was
    last read.
    """

    def __init__(self, watched: WatchedChain, source: ChainSource, store: Store, findings: FindingWriter) -> None:
        self._watched = watched
        self._source = source
        self._store = store
        self._findings = findings
        self.last_error = ""
        self.wrong_chain = False
        self.watched_at: datetime | None = None
        self.published: tuple[tuple[str, str], datetime] | None = None
        self._failing_since: datetime | None = None

    def load(self, unit: UnitOfWork) -> None:
        """Take up, after a start, when the chain was last read."""
        report = unit.chain_state.reports().get(str(self._watched.chain))
        if self.watched_at is None and report is not None and report[0].get("watched_at"):
            self.watched_at = datetime.fromisoformat(report[0]["watched_at"])

    def recover(self) -> None:
        """A tick went well."""
        self.last_error = ""
        self._failing_since = None

    def fail(self, error: ChainError) -> None:
        """A tick failed; an incident where the node is wrong, or failed for as long as `UNWATCHED_AFTER`."""
        self.last_error = str(error)
        now, name = self._store.clock(), self._watched.name
        self._failing_since = self._failing_since or now
        self.wrong_chain = isinstance(error, WrongChain)
        if self.wrong_chain:
            self.raise_incident("wrong_chain", f"{name}: {error}", day_of(now))
        elif isinstance(error, LyingNode):
            self.raise_incident("node_disagreement", f"{name}: {error}", day_of(now))
        elif not isinstance(error, BlockGone) and now - self._failing_since > UNWATCHED_AFTER:
            since = format_utc(self._failing_since)
            kind = "can be reached" if isinstance(error, TransientError) else "can answer"
            self.raise_incident("node_stale", f"{name}: no node {kind} since {since}: {error}", since)

    def report_stale(self, cursor: Cursor) -> None:
        """An incident where no block came for longer than the chain ever takes."""
        bound = family_of(self._watched.chain).stale_after
        if self._store.clock() - cursor.moved_at > bound:
            since = format_utc(cursor.moved_at)
            summary = f"{self._watched.name}: no new block since {since}, at {cursor.ref}"
            self.raise_incident("node_stale", summary, since)

    def report_unwatched(self, cursor: Cursor, tip: BlockRef) -> None:
        """After a pause with blocks in it: the interval is reported and recorded, and its blocks judged in order."""
        now, before = self._store.clock(), self.watched_at
        self.watched_at = now
        if before is None or now - before <= UNWATCHED_AFTER or tip.height <= cursor.ref.height:
            return
        chain, heights, since = self._watched.chain, (cursor.ref.height + 1, tip.height), format_utc(before)
        summary = (
            f"{self._watched.name} was not watched from {since} to {format_utc(now)}: "
            f"blocks {heights[0]} to {heights[1]} are judged late"
        )
        with self._store.transaction() as unit:
            unit.chain_state.add_unwatched(chain, before, now, heights, self.last_error or "not running")
            self.record_incident(unit, "unwatched_interval", summary, since)

    def raise_incident(self, rule: str, summary: str, period: str) -> None:
        """Report an incident of this chain in a transaction of its own."""
        with self._store.transaction() as unit:
            self.record_incident(unit, rule, summary, period)

    def record_incident(self, unit: UnitOfWork, rule: str, summary: str, period: str) -> None:
        """Report an incident of this chain, with its last error and its endpoints as evidence."""
        evidence = {"last_error": self.last_error, "endpoints": [asdict(e) for e in self._source.health()]}
        chain = str(self._watched.chain)
        self._findings.report(unit, Incident(rule, summary, self._watched.name, period, chain, evidence))

    def publish(self, done: str, halted: str, tip: BlockRef | None, note: str) -> None:
        """Store what `status` shows, from any process; once a second is often enough while nothing changes. `done`:
        what the last tick did; `halted`: why the chain is halted, else empty.
        """
        now, seen = self._store.clock(), (done, self.last_error)
        if self.published is not None and self.published[0] == seen and now - self.published[1] < REPORT_EVERY:
            return
        self.published = (seen, now)
        chain = self._watched.chain
        report = {
            "tip": None if tip is None else {"height": tip.height, "hash": format_hash(chain, tip.hash)},
            "state": "halted" if halted else ("failing" if done == "failed" else "watching"),
            "last_error": halted or self.last_error,
            "note": note,
            "endpoints": [asdict(e) for e in self._source.health()],
            "watched_at": "" if self.watched_at is None else format_utc(self.watched_at),
        }
        with self._store.transaction() as unit:
            unit.chain_state.report(chain, report, unit.now)
