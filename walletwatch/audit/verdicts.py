"""Results of verifying a log, a proof or a pack. Standard library only, because the offline verifier uses it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PROBLEMS = 100
"""Limit of reported problems: a log that was replaced as a whole has one for each entry."""


@dataclass(frozen=True, slots=True)
class LogProblem:
    """One problem. `kind` is a short word for programs, `message` a sentence for people; `seq` is the first bad or
    missing entry and `file` the bad file, if any.
    """

    kind: str
    message: str
    seq: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """The result. `size` entries were checked, `root` is theirs (None if it could not be, or need not be, recomputed);
    `signed_size` of them are covered by one of `checkpoints` signed or deposited roots; `notices` are limits of the
    check that people should know.
    """

    size: int
    root: bytes | None = None
    signed_size: int = 0
    checkpoints: int = 0
    problems: tuple[LogProblem, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    @property
    def first_bad(self) -> int | None:
        """The smallest `seq` that a problem names exactly; else the first entry of the range with a wrong root."""
        exact = [p.seq for p in self.problems if p.seq is not None and p.kind != "root"]
        return min(exact or [p.seq for p in self.problems if p.seq is not None], default=None)

    @property
    def unsigned(self) -> int:
        """Entries that no signed root covers yet: write access to the database is enough to change these."""
        return self.size - self.signed_size
