"""The rows of the audit log. The tables refuse UPDATE and DELETE by trigger (`guards`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from walletwatch.audit.leaves import AuditEntry, make_entry
from walletwatch.audit.merkle import EMPTY_ROOT, Frontier
from walletwatch.domain.times import format_utc
from walletwatch.store import tables as t
from walletwatch.store.statements import Filter, insert_if_new, upsert

_BATCH = 10_000
_HEAD_ID = 1


@dataclass(frozen=True, slots=True)
class StoredHead:
    """What the store believes of its own log."""

    size: int
    root: bytes
    frontier: Frontier


class AuditRepository:
    """Entries are gathered and written last in their transaction, so that the head's lock is held for an instant."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._c = connection
        self._now = now
        self._waiting: list[tuple[str, str, str, dict[str, Any]]] = []

    def append(self, actor: str, action: str, subject: str, payload: Mapping[str, Any]) -> None:
        """Record that `actor` did `action` to `subject`, when this transaction commits."""
        self._waiting.append((actor, action, subject, dict(payload)))

    def flush(self) -> StoredHead:
        """Write what waits; called once at the end of each transaction, and by whoever needs the head."""
        head = self.head(lock=True)
        if not self._waiting:
            return head
        entries = [make_entry(head.size + n, self._now, *fields) for n, fields in enumerate(self._waiting)]
        self._waiting.clear()
        self._c.execute(insert(t.audit_entries), [_row(e) for e in entries])
        frontier = head.frontier.extend(e.leaf_hash for e in entries)
        row = {"id": _HEAD_ID, "size": frontier.size, "frontier": frontier.to_bytes(), "root": frontier.root()}
        upsert(self._c, t.audit_head, row, ("id",))
        return StoredHead(frontier.size, frontier.root(), frontier)

    def head(self, *, lock: bool = False) -> StoredHead:
        """Size and root as stored."""
        if lock and self._c.dialect.name == "postgresql":
            # The very first entries have no row to lock; a table lock serves them and all later ones alike.
            self._c.exec_driver_sql("LOCK TABLE audit_head IN SHARE ROW EXCLUSIVE MODE")
        row = self._c.execute(select(t.audit_head).where(t.audit_head.c.id == _HEAD_ID)).one_or_none()
        if row is None:
            return StoredHead(0, EMPTY_ROOT, Frontier())
        return StoredHead(row.size, row.root, Frontier.from_bytes(row.frontier))

    def get(self, seq: int) -> AuditEntry | None:
        """The entry at `seq`."""
        row = self._c.execute(select(t.audit_entries).where(t.audit_entries.c.seq == seq)).one_or_none()
        return None if row is None else _entry(row)

    def entries(self, low: int = 0) -> Iterator[AuditEntry]:
        """Every entry from `low` on, in order of `seq`, read in batches: bounded memory for any length."""
        last = low - 1
        while True:
            query = select(t.audit_entries).where(t.audit_entries.c.seq > last)
            rows = self._c.execute(query.order_by(t.audit_entries.c.seq).limit(_BATCH)).all()
            if not rows:
                return
            yield from (_entry(r) for r in rows)
            last = rows[-1].seq

    def find(self, wanted: Filter) -> Iterator[AuditEntry]:
        """Entries that fit, in order; `wanted.tx` finds entries whose subject is that transaction."""
        c = t.audit_entries.c
        query = select(t.audit_entries).order_by(c.seq)
        if wanted.since is not None:
            query = query.where(c.recorded_at >= format_utc(wanted.since))
        if wanted.until is not None:
            query = query.where(c.recorded_at < format_utc(wanted.until))
        if wanted.tx is not None:
            query = query.where(c.subject.in_([wanted.tx.hex(), "0x" + wanted.tx.hex()]))
        for column, value in ((c.subject, wanted.subject), (c.actor, wanted.actor), (c.action, wanted.action)):
            if value is not None:
                query = query.where(column == value)
        for row in self._c.execute(query if wanted.limit is None else query.limit(wanted.limit)):
            yield _entry(row)

    def count(self) -> int:
        """How many rows the table really holds."""
        return int(self._c.execute(select(func.count()).select_from(t.audit_entries)).scalar_one())

    def leaf_hashes(self, size: int) -> list[bytes]:
        """The stored leaf hashes of the first `size` entries: 32 bytes each."""
        c = t.audit_entries.c
        return list(self._c.execute(select(c.leaf_hash).where(c.seq < size).order_by(c.seq)).scalars())

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def add_checkpoint(self, size: int, note: str) -> bool:
        """Keep a signed head; False if this size has one."""
        return insert_if_new(self._c, t.audit_checkpoints, {"size": size, "note": note, "made_at": self._now})

    def checkpoints(self) -> list[str]:
        """Every signed note, by size."""
        query = select(t.audit_checkpoints.c.note).order_by(t.audit_checkpoints.c.size)
        return list(self._c.execute(query).scalars())

    def newest_checkpoint(self) -> tuple[int, str, datetime] | None:
        """(size, note, made_at) of the largest signed head."""
        row = self._c.execute(
            select(t.audit_checkpoints).order_by(t.audit_checkpoints.c.size.desc()).limit(1)
        ).one_or_none()
        return None if row is None else (row.size, row.note, row.made_at)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "recorded_at": entry.recorded_at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "payload": entry.payload,
        "leaf_hash": entry.leaf_hash,
    }


def _entry(r: Row[Any]) -> AuditEntry:
    return AuditEntry(r.seq, r.recorded_at, r.actor, r.action, r.subject, r.payload, r.leaf_hash)
