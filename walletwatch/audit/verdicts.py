"""What checking a log, a proof or a pack found. Standard library only, because the offline verifier uses it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PROBLEMS = 100
"""A log that was replaced altogether is described by its first problems as well as by all."""


@dataclass(frozen=True, slots=True)
class LogProblem:
    """One thing that is wrong. `kind` is a short word for programs, `message` a sentence for a person; `seq` is the
    first bad or missing entry and `file` the bad file, where there is one.
    """

    kind: str
    message: str
    seq: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer. `size` entries were looked at, `root` is theirs (None if it could not be recomputed or was not
    asked for); `signed_size` of them are covered by one of `checkpoints` signed or deposited roots; `notices` are
    limits of the check that a person should know.
    """

    size: int
    root: bytes | None = None
    signed_size: int = 0
    checkpoints: int = 0
    problems: tuple[LogProblem, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems

    @property
    def first_bad(self) -> int | None:
        """The smallest `seq` that a problem names exactly; if none does, the first of the span a wrong root leaves."""
        exact = [p.seq for p in self.problems if p.seq is not None and p.kind != "root"]
        return min(exact or [p.seq for p in self.problems if p.seq is not None], default=None)

    @property
    def unsigned(self) -> int:
        """Entries that no signed root covers yet: whoever writes to the database could still rewrite these."""
        return self.size - self.signed_size
