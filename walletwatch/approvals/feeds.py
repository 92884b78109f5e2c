"""Reading a JSON-lines approval log while it is written: every line once, nothing dropped, a rewritten past found."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from walletwatch.approvals.act_sources import FeedUnreadable, Taken
from walletwatch.approvals.acts import MAX_LINE, Malformed, ParseAddress, Signatures, malformed_line, parse_act
from walletwatch.approvals.positions import (
    FeedPosition,
    FeedRewritten,
    Partial,
    PastDigest,
    Postponed,
    open_past,
    prove_blocks,
)
from walletwatch.approvals.read_times import MAX_LATE
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.withdrawals import Act

WAIT_FOR_NEWLINE = timedelta(seconds=60)
"""How long a last line without newline is waited for before it is reported (CONTRACT §4)."""
MAX_POSTPONED = 1_000
"""Lines dated in the future that are kept for another try; the nearest ones, should somebody write more."""
_ROTATED = re.compile(r"[.-](?:1|[0-9]{8}(?:[T_-]?[0-9]{4,6}Z?)?)")
"""How logrotate and its like name yesterday's file: `.1`, `-20261122`, `.20261122T0000`."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A JSON-lines log and how its lines are to be read. `name` is what findings call it."""

    name: str
    path: Path
    signatures: Signatures
    ring: KeyRing
    parse_address: ParseAddress
    silent_after: timedelta | None = None
    max_late: timedelta = MAX_LATE

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def read_new(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """What was written since `position`. Raises FeedUnreadable."""
        before = FeedPosition.from_json(dict(position))
        batch = read_feed(self, before, now)
        if batch.position == before and not batch.rewritten and position:
            return None
        return Taken(
            batch.acts,
            batch.malformed,
            batch.position.as_json(),
            batch.digest,
            begins=batch.from_byte,
            rewritten=batch.rewritten,
            more=batch.more,
        )

    def read(self, line: bytes, line_no: int, now: datetime) -> Act | Malformed:
        """One line without its newline."""
        return parse_act(
            line,
            feed=self.name,
            line_no=line_no,
            signatures=self.signatures,
            people=self.ring,
            parse_address=self.parse_address,
            read_at=now,
        )


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """How much one look at a feed may do: bytes and lines taken, and bytes of the past proved."""

    max_bytes: int = 8 * 1024 * 1024
    max_lines: int = 10_000
    max_proof: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """What one look at a feed gave, to be kept in one transaction with `position`.

    `rewritten` is the evidence of a changed past (None if there is none): the file was then read from its beginning
    again, and acts known before are duplicates. `waiting`: a last line without newline. `more`: look again at once.
    `digest` is the SHA-256 (hex) of the bytes taken, the first of which stood at `from_byte`. `rotated_from` names the
    file whose end was reached because it had been rotated away; `position` is then the beginning of the new one.
    """

    acts: tuple[Act, ...]
    malformed: tuple[Malformed, ...]
    position: FeedPosition
    rewritten: dict[str, Any] | None
    waiting: Partial | None
    more: bool
    digest: str
    from_byte: int
    rotated_from: str = ""


def read_feed(feed: Feed, position: FeedPosition, now: datetime, limits: FeedLimits | None = None) -> FeedBatch:
    """Take what was written since `position`, and prove part of the past. Raises FeedUnreadable."""
    limits = limits or FeedLimits()
    rotated = _rotated_file(feed.path, position)
    with _open(rotated or feed.path) as file:
        stamp = _stamp(file)
        if _is_unchanged(stamp, position, now):
            return FeedBatch((), (), position, None, None, False, hashlib.sha256().hexdigest(), position.offset)
        rewritten: dict[str, Any] | None = None
        try:
            position, past = _prove(file, stamp, position, limits)
        except FeedRewritten as changed:
            rewritten = {"feed_rewritten": True, "path": str(feed.path), "change": str(changed), **changed.evidence}
            position, past = FeedPosition(round=stamp), PastDigest()
        taking = _Taking(feed, file, replace(position, file=stamp[:2]), past, now, limits)
        taking.retry_postponed()
        taking.take_lines()
        batch = taking.batch(rewritten)
    if rotated is None or batch.more or (batch.waiting is not None and not batch.waiting.told):
        return batch
    beginning = FeedPosition(postponed=batch.position.postponed)
    return replace(batch, position=beginning, more=True, waiting=None, rotated_from=str(rotated))


def _open(path: Path) -> BinaryIO:
    try:
        # Without O_NONBLOCK a named pipe in the feed's place would hang the reader.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise FeedUnreadable(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FeedUnreadable(f"{path}: is not a regular file")
    return os.fdopen(descriptor, "rb")


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    """What the file system says; the change time cannot be set back by whoever rewrote the file."""
    s = os.fstat(file.fileno())
    return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns


def _is_unchanged(stamp: tuple[int, ...], position: FeedPosition, now: datetime) -> bool:
    """Whether there is nothing to take, to prove or to try again."""
    due = any(late.retry_at <= now for late in position.postponed)
    return stamp == position.round and stamp[2] == position.offset and position.is_proved and not due


def _prove(
    file: BinaryIO, stamp: tuple[int, ...], position: FeedPosition, limits: FeedLimits
) -> tuple[FeedPosition, PastDigest]:
    """Prove the tail, and the next blocks of the round; a new round begins when the file was touched since."""
    if stamp != position.round and position.is_proved:
        position = replace(position, round=stamp, proved=0)
    past = open_past(file, stamp[2], position)
    return replace(position, proved=prove_blocks(file, position, limits.max_proof)), past


def _rotated_file(path: Path, position: FeedPosition) -> Path | None:
    """The file we were reading, if it now has a name that rotation gives: its rest is read before the new file.

    A log that is still there under such a name is no rewritten past. One that is gone, or was renamed otherwise, is.
    """
    try:
        current = path.stat()
        if not position.file or (current.st_dev, current.st_ino) == position.file:
            return None
        siblings = sorted(path.parent.glob(glob.escape(path.name) + "*"))
        names = [p for p in siblings if _ROTATED.fullmatch(p.name.removeprefix(path.name))]
        return next((p for p in names if _identity(p) == position.file), None)
    except OSError as error:
        raise FeedUnreadable(f"{path}: {error.strerror}") from None


def _identity(path: Path) -> tuple[int, int]:
    s = path.lstat()
    return s.st_dev, s.st_ino


class _Taking:
    """One look at a file under way."""

    def __init__(
        self, feed: Feed, file: BinaryIO, position: FeedPosition, past: PastDigest, now: datetime, limits: FeedLimits
    ) -> None:
        self.feed, self.file, self.position, self.past = feed, file, position, past
        self.now, self.limits = now, limits
        self.offset, self.lines, self.skipping = position.offset, position.lines, position.skipping
        self.acts: list[Act] = []
        self.malformed: list[Malformed] = []
        self.postponed: list[Postponed] = []
        self.partial: Partial | None = None
        self.taken = hashlib.sha256()
        self.full = False

    def retry_postponed(self) -> None:
        """Read again what was dated in the future and no longer is."""
        for late in self.position.postponed:
            if late.retry_at > self.now:
                self.postponed.append(late)
            else:
                self._sort(self.feed.read(late.raw, late.line, self.now), late.raw)

    def take_lines(self) -> None:
        """Take whole lines up to the limits; what follows the last newline stays."""
        self.file.seek(self.offset)
        start_line, stop = self.lines, self.offset + self.limits.max_bytes
        while True:
            self.full = self.offset >= stop or self.lines - start_line >= self.limits.max_lines
            chunk = b"" if self.full else self.file.readline(MAX_LINE + 1)
            if not chunk:
                return
            ended = chunk.endswith(b"\n")
            if not ended and not self.skipping and len(chunk) <= MAX_LINE:
                self._wait_for(chunk)
                return
            self._consume(chunk)
            self._take(chunk, ended=ended)

    def _consume(self, chunk: bytes) -> None:
        self.offset += len(chunk)
        self.past.take(chunk)
        self.taken.update(chunk)

    def _take(self, chunk: bytes, *, ended: bool) -> None:
        if not ended and not self.skipping:
            self._add_malformed(chunk[:MAX_LINE], f"line longer than {MAX_LINE} bytes")
        elif ended and not self.skipping:
            self._sort(self.feed.read(chunk[:-1], self.lines + 1, self.now), chunk[:-1])
        self.skipping = not ended
        self.lines += ended

    def _sort(self, answer: Act | Malformed, raw: bytes) -> None:
        if isinstance(answer, Act):
            self.acts.append(answer)
            return
        self.malformed.append(answer)
        if answer.retry_at is not None:
            self.postponed.append(Postponed(answer.line, raw, answer.retry_at))

    def _add_malformed(self, raw: bytes, error: str) -> None:
        line_no = self.lines + 1
        self.malformed.append(malformed_line(raw, error, feed=self.feed.name, line_no=line_no, read_at=self.now))

    def _wait_for(self, chunk: bytes) -> None:
        known = self.position.partial
        fresh = known is None or known.offset != self.offset
        self.partial = Partial(self.offset, self.now) if fresh or known is None else known
        if not self.partial.told and self.now - self.partial.since >= WAIT_FOR_NEWLINE:
            self._add_malformed(chunk, "last line has had no newline for 60 s; it is read when it is finished")
            self.partial = replace(self.partial, told=True)

    def batch(self, rewritten: dict[str, Any] | None) -> FeedBatch:
        """What was found, and the place after it."""
        was_proved = self.position.is_proved
        position = replace(
            self.position,
            offset=self.offset,
            lines=self.lines,
            digests=tuple(self.past.digests),
            tail=self.past.tail.hexdigest(),
            postponed=tuple(sorted(self.postponed, key=lambda p: p.retry_at)[:MAX_POSTPONED]),
            partial=self.partial,
            # Blocks just read are known; only older ones are proved again.
            proved=len(self.past.digests) if was_proved else self.position.proved,
            skipping=self.skipping,
        )
        return FeedBatch(
            acts=tuple(self.acts),
            malformed=tuple(self.malformed),
            position=position,
            rewritten=rewritten,
            waiting=self.partial,
            more=self.full,
            digest=self.taken.hexdigest(),
            from_byte=self.position.offset,
        )
