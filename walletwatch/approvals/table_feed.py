"""A table of another database as a log: rows with a number that only grows, each with one line.

Two things a table does that a file does not. A transaction that began earlier may commit later, so that a lower number
appears behind a higher one: rows are therefore looked at again until they have been seen for `SETTLE`. And anybody with
the right may change a row: what was read is remembered by digests of blocks, which are proved again in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from walletwatch.approvals.act_sources import FeedUnreadable, Taken
from walletwatch.approvals.acts import MAX_LINE, Malformed, ParseAddress, Signatures, parse_act
from walletwatch.approvals.positions import FeedRewritten, Postponed, postponed_from_json, postponed_to_json
from walletwatch.approvals.read_times import MAX_LATE
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.domain.withdrawals import Act

PAGE = 1_000
"""Rows of one look."""
BLOCK = 1_000
"""Rows under one digest."""
SETTLE = timedelta(seconds=30)
"""How long a row is looked at again, and a lower number may still appear before it without being a changed past."""
MOST_FRESH = 4_000
"""Rows that are looked at again, at most: a backlog settles at once."""
PROVE_EVERY = timedelta(seconds=10)
"""One block of the past is proved so often: 1,000,000 rows in under three hours, at 100 rows a second."""
RETRY_AFTER = timedelta(seconds=30)
"""A database that does not answer is left alone for so long: whoever waits for it holds up the judging."""
MAX_POSTPONED = 1_000

Row = tuple[int, bytes]
"""Number and line; a line longer than MAX_LINE is cut off behind it."""
Fresh = tuple[int, str, datetime]
"""A row that is looked at again: number, SHA-256 of the line, first seen."""


class RowReader(Protocol):
    """The table. Both raise FeedUnreadable, in the same words for the same trouble."""

    def rows_after(self, number: int, limit: int) -> Sequence[Row]:
        """Rows with higher numbers, lowest first."""

    def rows_between(self, low: int, high: int, limit: int) -> Sequence[Row]:
        """Rows with numbers in (low, high], lowest first."""


@dataclass(frozen=True, slots=True)
class TablePosition:
    """How far a table was read. Rows up to `floor` are settled: `blocks` are (highest number, rows, SHA-256) of them,
    the last one perhaps not full. `fresh` are the rows behind it: (number, SHA-256 of the line, first seen).
    """

    floor: int = -1
    blocks: tuple[tuple[int, int, str], ...] = ()
    fresh: tuple[Fresh, ...] = ()
    postponed: tuple[Postponed, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the store."""
        return {
            "floor": str(self.floor),
            "blocks": [[str(high), rows, digest] for high, rows, digest in self.blocks],
            "fresh": [[str(number), digest, format_utc(seen)] for number, digest, seen in self.fresh],
            "postponed": postponed_to_json(self.postponed),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TablePosition:
        """Read what `as_json` wrote; an empty object is the beginning."""
        if not value:
            return cls()
        return cls(
            floor=int(value["floor"]),
            blocks=tuple((int(high), rows, digest) for high, rows, digest in value["blocks"]),
            fresh=tuple((int(number), digest, parse_utc(seen)) for number, digest, seen in value["fresh"]),
            postponed=postponed_from_json(value["postponed"]),
        )


@dataclass(slots=True)
class TableFeed:
    """A table as a source of acts. Not thread-safe: whoever looks holds the approval service."""

    name: str
    location: str
    rows: RowReader
    signatures: Signatures
    ring: KeyRing
    parse_address: ParseAddress
    silent_after: timedelta | None = None
    max_late: timedelta = MAX_LATE
    _next_block: int = 0
    _proved_at: datetime | None = None
    _trouble: tuple[datetime, str] | None = field(default=None)

    def read_new(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """What is new, and a piece of the past proved. Raises FeedUnreadable."""
        if self._trouble is not None and now < self._trouble[0]:
            raise FeedUnreadable(self._trouble[1])
        try:
            taken = self._read_rows(TablePosition.from_json(position), now, first=not position)
        except FeedUnreadable as error:
            self._trouble = (now + RETRY_AFTER, str(error))
            raise
        self._trouble = None
        return taken

    def _read_rows(self, before: TablePosition, now: datetime, *, first: bool) -> Taken | None:
        try:
            self._prove(before, now)
            limit = PAGE + len(before.fresh)
            rows = self.rows.rows_after(before.floor, limit)
            beyond = [f for f in before.fresh if len(rows) == limit and f[0] > rows[-1][0]]
            new = _new_rows(before.fresh[: len(before.fresh) - len(beyond)], rows)
        except FeedRewritten as changed:
            rewritten = {"feed_rewritten": True, "path": self.location, "change": str(changed), **changed.evidence}
            self._next_block = 0
            return Taken(
                (), (), TablePosition().as_json(), hashlib.sha256().hexdigest(), rewritten=rewritten, more=True
            )
        after, answers = self._take(before, rows, new, beyond, now)
        if after == before and not first:
            return None
        return Taken(
            tuple(a for a in answers if isinstance(a, Act)),
            tuple(a for a in answers if isinstance(a, Malformed)),
            after.as_json(),
            _digest_of(new),
            begins=new[0][0] if new else max(after.floor, 0),
            counted="row",
            more=len(new) >= PAGE,
        )

    def _take(
        self, before: TablePosition, rows: Sequence[Row], new: Sequence[Row], beyond: Sequence[Fresh], now: datetime
    ) -> tuple[TablePosition, list[Act | Malformed]]:
        due = [late for late in before.postponed if late.retry_at <= now]
        read = [(late.line, late.raw) for late in due] + list(new)
        answers = [self._read(number, line, now) for number, line in read]
        waiting = [late for late in before.postponed if late not in due]
        for (number, line), answer in zip(read, answers, strict=True):
            if isinstance(answer, Malformed) and answer.retry_at is not None:
                waiting.append(Postponed(number, line, answer.retry_at))
        seen = {number: at for number, _, at in before.fresh}
        fresh = (*((number, _hash(line), seen.get(number, now)) for number, line in rows), *beyond)
        return _settle(replace(before, fresh=fresh, postponed=tuple(waiting[:MAX_POSTPONED])), now), answers

    def _read(self, number: int, line: bytes, now: datetime) -> Act | Malformed:
        return parse_act(
            line.removesuffix(b"\n"),
            feed=self.name,
            line_no=number,
            signatures=self.signatures,
            people=self.ring,
            parse_address=self.parse_address,
            read_at=now,
        )

    def _prove(self, position: TablePosition, now: datetime) -> None:
        """Prove the next block of the past, if it is time. Raises Changed."""
        if not position.blocks or (self._proved_at is not None and now - self._proved_at < PROVE_EVERY):
            return
        n = self._next_block % len(position.blocks)
        low = position.blocks[n - 1][0] if n else -1
        high, count, expected = position.blocks[n]
        rows = self.rows.rows_between(low, high, BLOCK + 1)
        found = _digest_of(rows)
        if (len(rows), found) != (count, expected):
            raise _changed(low + 1, high, expected, found, count, len(rows))
        self._next_block, self._proved_at = n + 1, now


def _new_rows(fresh: Sequence[Fresh], rows: Sequence[Row]) -> list[Row]:
    """What was not seen before; every row seen before must still be as it was. Raises Changed."""
    found = {number: _hash(line) for number, line in rows}
    for number, expected, _ in fresh:
        if found.get(number) != expected:
            gone = number not in found
            raise _changed(number, number, expected, found.get(number, ""), 1, 0 if gone else 1)
    known = {number for number, _, _ in fresh}
    return [row for row in rows if row[0] not in known]


def _settle(position: TablePosition, now: datetime) -> TablePosition:
    """Move the floor over rows that were seen long enough, in order, and over the oldest of too many."""
    excess = len(position.fresh) - MOST_FRESH
    settled = 0
    for number, (_, _, seen) in enumerate(position.fresh):
        if number >= excess and now - seen < SETTLE:
            break
        settled += 1
    blocks = list(position.blocks)
    for number, digest, _ in position.fresh[:settled]:
        if not blocks or blocks[-1][1] >= BLOCK:
            blocks.append((number, 1, _chain("", number, digest)))
        else:
            _, count, so_far = blocks[-1]
            blocks[-1] = (number, count + 1, _chain(so_far, number, digest))
    floor = position.fresh[settled - 1][0] if settled else position.floor
    return replace(position, floor=floor, blocks=tuple(blocks), fresh=position.fresh[settled:])


def _chain(so_far: str, number: int, digest: str) -> str:
    return hashlib.sha256(f"{so_far}|{number}|{digest}".encode()).hexdigest()


def _digest_of(rows: Sequence[Row]) -> str:
    """One digest over rows in order: that of the rows before, the number and the line's own, again and again."""
    digest = ""
    for number, line in rows:
        digest = _chain(digest, number, _hash(line))
    return digest or hashlib.sha256().hexdigest()


def _hash(line: bytes) -> str:
    return hashlib.sha256(line[: MAX_LINE + 1]).hexdigest()


def _changed(low: int, high: int, expected: str, found: str, count: int, found_count: int) -> FeedRewritten:
    what = "rows were added or taken away" if count != found_count else "a row was changed"
    return FeedRewritten(
        f"between the numbers {low} and {high} {what} after they had been read",
        {
            "from_row": low,
            "to_row": high,
            "expected_sha256": expected,
            "found_sha256": found,
            "expected_rows": count,
            "found_rows": found_count,
        },
    )
