"""What reading a label file gives: the good statements, and the bad ones by line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from chains.model import Address, ChainId
from walletwatch.domain.labels import Label
from walletwatch.domain.times import parse_utc

MAX_TEXT = 300
"""Characters of a label, a source or an address: longer is an attack or a mistake."""
MAX_PROBLEMS = 10_000
"""Problems kept in full; a file with more is broken as a whole, and their number is still told."""

AddressParser = Callable[[ChainId, str], Address]
"""Reads an address of a chain; raises ValueError that says what is wrong with it."""
Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""


class LabelFileError(ValueError):
    """The file as a whole cannot be read: unknown column, no TagPack, too large."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One bad row: `file` and `line` (from 1; 0 where it has none) say where, `text` what."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(slots=True)
class LabelImport:
    """`labels` are good; `problems` name the bad rows; `skipped` counts statements about chains we cannot name, which
    are no mistake.
    """

    labels: list[Label] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    problem_count: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def refuse(self, file: str, line: int, text: str) -> None:
        """Note a bad row."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(RowProblem(file, line, text))

    def skip(self, what: str) -> None:
        """Note a statement about a chain that has no CAIP-2 id here."""
        self.skipped[what] = self.skipped.get(what, 0) + 1

    def add(self, other: LabelImport) -> None:
        """Take in what another file gave."""
        self.labels += other.labels
        self.problem_count += other.problem_count
        self.problems += other.problems[: MAX_PROBLEMS - len(self.problems)]
        for what, count in other.skipped.items():
            self.skipped[what] = self.skipped.get(what, 0) + count


_CONFIDENCE = re.compile(r"(?:0|1)?(?:\.[0-9]{0,12})?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def read_confidence(text: str) -> int:
    """'0.75' -> 750: thousandths, rounded down. Raises ValueError outside 0 to 1."""
    if not text or text == "." or not _CONFIDENCE.match(text) or Decimal(text) > 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {text[:40]!r}")
    return int(Decimal(text) * 1000)


def read_moment(text: str) -> datetime:
    """A time with its offset, or a date (its first moment in UTC). Raises ValueError otherwise."""
    if _DATE.match(text):
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return parse_utc(text)
