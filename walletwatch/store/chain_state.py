"""Our place on each chain: cursor, recent block hashes, what each worker last reported, what nobody watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from chains.model import BlockFacts, BlockRef, ChainId
from walletwatch.store import tables as t
from walletwatch.store.statements import Statement, insert_if_new, upsert


class CursorMoved(Exception):
    """Another worker moved the cursor first: this transaction must be abandoned."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block ingested. `start_height` is the first one judged, `final_height` the highest called final.

    `complete_for` is the digest of the address set whose unspent outputs are all known (coin chains), or empty.
    """

    chain: ChainId
    ref: BlockRef
    start_height: int
    final_height: int
    moved_at: datetime
    complete_for: str = ""


_HEIGHTS = Statement(
    lambda _: select(t.cursors.c.height, t.cursors.c.final_height).where(t.cursors.c.chain == bindparam("chain"))
)
_HASH_AT = Statement(
    lambda _: select(t.blocks.c.hash).where(
        t.blocks.c.chain == bindparam("chain"), t.blocks.c.height == bindparam("height")
    )
)
_FIRST_CONTACT = Statement(lambda _: select(t.chains.c.first_contact).where(t.chains.c.chain == bindparam("chain")))


class ChainStateRepository:
    """Cursor and blocks of every chain."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def register(self, chain: ChainId, name: str, now: datetime) -> bool:
        """Note first contact; True if it was the first."""
        row = {"chain": str(chain), "name": name, "first_contact": now}
        return insert_if_new(self._c, t.chains, row)

    def first_contact(self, chain: ChainId) -> datetime | None:
        """Since when the chain is watched."""
        row = _FIRST_CONTACT.row(self._c, chain=str(chain))
        moment: datetime | None = None if row is None else row[0]
        return moment

    def names(self) -> dict[str, str]:
        """Configured names by CAIP-2 id, as last registered."""
        return {r.chain: r.name for r in self._c.execute(select(t.chains.c.chain, t.chains.c.name))}

    def cursor(self, chain: ChainId, *, lock: bool = False) -> Cursor | None:
        """Where we are, None before the first contact. `lock` holds the row until the transaction ends."""
        query = select(t.cursors).where(t.cursors.c.chain == str(chain))
        if lock:
            query = query.with_for_update()
        row = self._c.execute(query).one_or_none()
        if row is None:
            return None
        return Cursor(
            chain, BlockRef(row.height, row.hash), row.start_height, row.final_height, row.moved_at, row.complete_for
        )

    def heights(self, chain: ChainId) -> tuple[int, int] | None:
        """(the cursor's height, the highest final height), None before the first contact."""
        found: tuple[int, int] | None = _HEIGHTS.row(self._c, chain=str(chain))
        return found

    def start(self, chain: ChainId, before_first: BlockRef, now: datetime) -> None:
        """Put the cursor on the block before the first one to judge."""
        values = {
            "chain": str(chain),
            "height": before_first.height,
            "hash": before_first.hash,
            "start_height": before_first.height + 1,
            "final_height": -1,
            "complete_for": "",
            "moved_at": now,
        }
        self._c.execute(insert(t.cursors).values(values))

    def advance(self, facts: BlockFacts, expected: BlockRef, now: datetime) -> None:
        """Store the block and move the cursor to it by compare-and-set. Raises CursorMoved if it stood elsewhere."""
        values = {
            "chain": str(facts.chain),
            "height": facts.ref.height,
            "hash": facts.ref.hash,
            "parent_hash": facts.parent_hash,
            "time": facts.time,
            "gaps": list(facts.gaps),
        }
        self._move(facts.chain, expected, facts.ref, now)
        self._c.execute(insert(t.blocks).values(values))

    def retreat(self, chain: ChainId, expected: BlockRef, parent: BlockRef, now: datetime) -> None:
        """Forget the block at the cursor and stand on its parent."""
        self._move(chain, expected, parent, now)
        self._c.execute(delete(t.blocks).where(t.blocks.c.chain == str(chain), t.blocks.c.height >= expected.height))
        c = t.cursors.c
        lower = update(t.cursors).where(c.chain == str(chain), c.final_height > parent.height)
        self._c.execute(lower.values(final_height=parent.height))

    def _move(self, chain: ChainId, expected: BlockRef, target: BlockRef, now: datetime) -> None:
        c = t.cursors.c
        moved = self._c.execute(
            update(t.cursors)
            .where(c.chain == str(chain), c.height == expected.height, c.hash == expected.hash)
            .values(height=target.height, hash=target.hash, moved_at=now)
        )
        if moved.rowcount != 1:
            raise CursorMoved(f"the cursor of {chain} no longer stands at {expected}")

    def restart(self, chain: ChainId, start_height: int) -> None:
        """The chain was reorganised below the block we began at: begin lower."""
        self._c.execute(update(t.cursors).where(t.cursors.c.chain == str(chain)).values(start_height=start_height))

    def set_complete(self, chain: ChainId, digest: str) -> None:
        """Every unspent output of the addresses with this digest is known as of the cursor."""
        self._c.execute(update(t.cursors).where(t.cursors.c.chain == str(chain)).values(complete_for=digest))

    def set_final(self, chain: ChainId, height: int) -> None:
        """Note the highest final height; only a reorg lowers it."""
        c = t.cursors.c
        self._c.execute(
            update(t.cursors).where(c.chain == str(chain), c.final_height < height).values(final_height=height)
        )

    def latest_time(self, chain: ChainId) -> datetime | None:
        """The time of the last block ingested; None if there was none."""
        c = t.blocks.c
        query = select(c.time).where(c.chain == str(chain)).order_by(c.height.desc()).limit(1)
        moment: datetime | None = self._c.execute(query).scalar_one_or_none()
        return moment

    def parent_of(self, chain: ChainId, height: int) -> BlockRef | None:
        """The parent of the stored block at `height`, None if that block was pruned or never stored."""
        row = self._c.execute(
            select(t.blocks.c.parent_hash).where(t.blocks.c.chain == str(chain), t.blocks.c.height == height)
        ).one_or_none()
        return None if row is None else BlockRef(height - 1, row.parent_hash)

    def ref_at(self, chain: ChainId, height: int) -> BlockRef | None:
        """The stored block at `height`."""
        row = _HASH_AT.row(self._c, chain=str(chain), height=height)
        return None if row is None else BlockRef(height, row[0])

    def prune(self, chain: ChainId, below: int) -> None:
        """Forget blocks deeper than any reorg may reach."""
        self._c.execute(delete(t.blocks).where(t.blocks.c.chain == str(chain), t.blocks.c.height < below))

    def gaps_between(self, chain: ChainId, low: int, high: int) -> list[tuple[int, list[str]]]:
        """Stored blocks in [low, high] of which the node could not show everything."""
        c = t.blocks.c
        rows = self._c.execute(
            select(c.height, c.gaps).where(c.chain == str(chain), c.height.between(low, high)).order_by(c.height)
        )
        return [(r.height, r.gaps) for r in rows if r.gaps]

    def report(self, chain: ChainId, report: Mapping[str, Any], now: datetime) -> None:
        """What the worker last saw, for `status` in another process."""
        row = {"chain": str(chain), "report": dict(report), "reported_at": now}
        upsert(self._c, t.worker_reports, row, ("chain",))

    def reports(self) -> dict[str, tuple[dict[str, Any], datetime]]:
        """The last report of each chain's worker, and when it was made."""
        return {r.chain: (r.report, r.reported_at) for r in self._c.execute(select(t.worker_reports))}

    def add_unwatched(
        self, chain: ChainId, since: datetime, until: datetime, heights: tuple[int, int], why: str
    ) -> None:
        """Note that nobody watched `chain` from `since` to `until` (blocks heights[0] to heights[1] came late)."""
        self._c.execute(
            insert(t.unwatched_intervals).values(
                chain=str(chain), since=since, until=until, from_height=heights[0], to_height=heights[1], reason=why
            )
        )

    def unwatched(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Unwatched intervals that touch [since, until)."""
        c = t.unwatched_intervals.c
        rows = self._c.execute(
            select(t.unwatched_intervals).where(c.since < until, c.until >= since).order_by(c.since, c.id)
        )
        return [dict(r._mapping) for r in rows]  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping

    def count_blocks(self, chain: ChainId) -> int:
        """How many block rows are kept."""
        query = select(func.count()).select_from(t.blocks).where(t.blocks.c.chain == str(chain))
        return int(self._c.execute(query).scalar_one())
