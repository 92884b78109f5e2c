"""Our place in a feed, and how its past is proved unchanged.

A log only grows. Its place is therefore an offset with the SHA-256 of each block before it: a changed byte is found by
reading the past again (about 1 s a GB), some blocks at each look, and a restart needs nothing but this value. 1 GB of
log is 256 blocks, 17 KB of place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from walletwatch.domain.times import format_utc, parse_utc

BLOCK = 4 * 1024 * 1024
"""Bytes of the log under one digest."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """A line that is read again at `retry_at`, because it was dated in the future."""

    line: int
    raw: bytes
    retry_at: datetime


def postponed_to_json(postponed: Iterable[Postponed]) -> list[list[Any]]:
    """`[line, base64, time]` each."""
    return [[p.line, base64.b64encode(p.raw).decode(), format_utc(p.retry_at)] for p in postponed]


def postponed_from_json(value: Iterable[list[Any]]) -> tuple[Postponed, ...]:
    """Back to postponed lines."""
    return tuple(Postponed(line, base64.b64decode(raw), parse_utc(at)) for line, raw, at in value)


@dataclass(frozen=True, slots=True)
class Partial:
    """A last line without newline, from `offset` on, first seen at `since`. `told`: it was reported after the wait."""

    offset: int
    since: datetime
    told: bool = False


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """How far a feed was read: `offset` bytes, `lines` whole lines. The zero value is the beginning.

    `digests` are the SHA-256 (hex) of each whole block before `offset`, `tail` that of the rest. `file` is the device
    and inode last read. `round` is what the file system said of the file when the present round of proving began, and
    `proved` how many blocks it has proved. `skipping`: the line that begins before `offset` is too long and unfinished.
    """

    offset: int = 0
    lines: int = 0
    digests: tuple[str, ...] = ()
    tail: str = hashlib.sha256().hexdigest()
    postponed: tuple[Postponed, ...] = ()
    partial: Partial | None = None
    file: tuple[int, ...] = ()
    round: tuple[int, ...] = ()
    proved: int = 0
    skipping: bool = False

    @property
    def is_proved(self) -> bool:
        """Whether the present round has seen every block."""
        return self.proved >= len(self.digests)

    def as_json(self) -> dict[str, Any]:
        """For the store; inode numbers and nanoseconds are texts, because they may exceed what JSON keeps exactly."""
        return {
            "offset": self.offset,
            "lines": self.lines,
            "digests": list(self.digests),
            "tail": self.tail,
            "postponed": postponed_to_json(self.postponed),
            "partial": _partial_json(self.partial),
            "file": [str(part) for part in self.file],
            "round": [str(part) for part in self.round],
            "proved": self.proved,
            "skipping": self.skipping,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FeedPosition:
        """Read what `as_json` wrote; an empty object is the beginning."""
        if not value:
            return cls()
        partial = value["partial"]
        return cls(
            offset=value["offset"],
            lines=value["lines"],
            digests=tuple(value["digests"]),
            tail=value["tail"],
            postponed=postponed_from_json(value["postponed"]),
            partial=Partial(partial[0], parse_utc(partial[1]), partial[2]) if partial else None,
            file=tuple(int(part) for part in value["file"]),
            round=tuple(int(part) for part in value["round"]),
            proved=value["proved"],
            skipping=value["skipping"],
        )


def _partial_json(partial: Partial | None) -> list[Any] | None:
    return [partial.offset, format_utc(partial.since), partial.told] if partial else None


class FeedRewritten(Exception):
    """The past of a feed is not what it was; `evidence` says what was expected and what is there now."""

    def __init__(self, message: str, evidence: dict[str, Any]) -> None:
        super().__init__(message)
        self.evidence = evidence


@dataclass(slots=True)
class PastDigest:
    """The digests of what was read, growing with each byte that is taken."""

    digests: list[str] = field(default_factory=list)
    tail: Any = field(default_factory=hashlib.sha256)
    filled: int = 0

    def take(self, data: bytes) -> None:
        """Count `data` as read."""
        while data:
            part, data = data[: BLOCK - self.filled], data[BLOCK - self.filled :]
            self.tail.update(part)
            self.filled += len(part)
            if self.filled == BLOCK:
                self.digests.append(self.tail.hexdigest())
                self.tail, self.filled = hashlib.sha256(), 0


def open_past(file: BinaryIO, size: int, position: FeedPosition) -> PastDigest:
    """The digests up to `position`, its tail proved and ready to grow. Raises Changed."""
    if size < position.offset:
        raise FeedRewritten(
            f"the file has {size} bytes; {position.offset} were read before",
            {"expected_bytes": position.offset, "found_bytes": size},
        )
    past = PastDigest(list(position.digests))
    start = len(position.digests) * BLOCK
    file.seek(start)
    past.take(file.read(position.offset - start))
    if past.tail.hexdigest() != position.tail:
        raise _changed(start, position.offset, position.tail, past.tail.hexdigest())
    return past


def prove_blocks(file: BinaryIO, position: FeedPosition, max_bytes: int) -> int:
    """Prove the next blocks of the round, at least one, and return how many are proved now. Raises Changed."""
    last = min(len(position.digests), position.proved + max(1, max_bytes // BLOCK))
    for n in range(position.proved, last):
        file.seek(n * BLOCK)
        found = hashlib.sha256(file.read(BLOCK)).hexdigest()
        if found != position.digests[n]:
            raise _changed(n * BLOCK, (n + 1) * BLOCK, position.digests[n], found)
    return last


def _changed(start: int, end: int, expected: str, found: str) -> FeedRewritten:
    return FeedRewritten(
        f"bytes {start} to {end} were changed after they had been read",
        {"from_byte": start, "to_byte": end, "expected_sha256": expected, "found_sha256": found},
    )
