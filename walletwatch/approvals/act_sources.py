"""Where acts come from: the port every feed fulfils, and acts posted to us."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from walletwatch.approvals.acts import Malformed, ParseAddress, parse_act
from walletwatch.approvals.positions import FeedPosition, Postponed
from walletwatch.approvals.read_times import MAX_LATE
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.withdrawals import Act


class FeedUnreadable(Exception):
    """The source cannot be read at all; the message names it and says why, the same words each time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at a source gave, to be kept in one transaction with `position`, the source's own place.

    `digest` is the SHA-256 (hex) of what was taken, which `begins` at this byte, row or record (`counted`). `rewritten`
    is the evidence of a changed past (None if there is none): the source was then read from its beginning again, and
    acts known before are duplicates. `more`: look again at once. `exported`: the acts are a vendor's word, and one that
    says the same of the same person again, with another time, is a duplicate.
    """

    acts: tuple[Act, ...]
    malformed: tuple[Malformed, ...]
    position: Mapping[str, Any]
    digest: str
    begins: int = 0
    counted: Literal["byte", "row", "record"] = "byte"
    rewritten: dict[str, Any] | None = None
    more: bool = False
    exported: bool = False


class ActSource(Protocol):
    """Something that is looked at again and again. `name` is what findings call it, `location` where it is: a path, an
    address, never a secret. Nothing new for `silent_after` is a finding (None: never). An act read
    more than `max_late` after its own time does not count.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def location(self) -> str: ...  # noqa: D102 - described above

    @property
    def silent_after(self) -> timedelta | None: ...  # noqa: D102 - described above

    @property
    def max_late(self) -> timedelta: ...  # noqa: D102 - described above

    def read_new(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """What is new since `position` (empty: the beginning); None for nothing. Raises FeedUnreadable."""


MAX_POST = 1_048_576
"""Bytes of one POST; about 800 signed acts."""
MAX_LINES = 1_000
"""Lines of one POST."""
MAX_POSTPONED = 100
"""Lines dated in the future that are kept for another try. Whoever posts more is told, and posts them again."""


@dataclass(frozen=True, slots=True)
class Post:
    """A batch as read: `answers` has one item a line, numbered from 1, `raws` the lines themselves."""

    digest: str
    size: int
    raws: tuple[bytes, ...]
    answers: tuple[Act | Malformed, ...]


@dataclass(frozen=True, slots=True)
class PostedFeed:
    """An endpoint's acts. Signatures are always required: whoever reaches the port is nobody in particular."""

    name: str
    location: str
    ring: KeyRing
    parse_address: ParseAddress
    silent_after: timedelta | None = None
    max_late: timedelta = MAX_LATE

    def read_post(self, body: bytes, now: datetime) -> Post:
        """Read and verify every line. An empty last line is none: a batch may end with a newline."""
        raws = tuple(body.removesuffix(b"\n").split(b"\n")) if body else ()
        answers = tuple(self._read(raw.removesuffix(b"\r"), n, now) for n, raw in enumerate(raws, 1))
        return Post(hashlib.sha256(body).hexdigest(), len(body), raws, answers)

    def take_post(self, post: Post, position: Mapping[str, Any], is_known: Callable[[Malformed], bool]) -> Taken:
        """The batch behind what was taken before. A malformed line that `is_known` was kept by an earlier try."""
        before = FeedPosition.from_json(dict(position))
        acts: list[Act] = []
        malformed: list[Malformed] = []
        late: list[Postponed] = []
        for raw, answer in zip(post.raws, post.answers, strict=True):
            if isinstance(answer, Act):
                acts.append(replace(answer, line=before.lines + answer.line))
            elif not is_known(answer):
                bad = replace(answer, line=before.lines + answer.line)
                malformed.append(bad)
                if bad.retry_at is not None:
                    late.append(Postponed(bad.line, raw, bad.retry_at))
        after = replace(
            before,
            offset=before.offset + post.size,
            lines=before.lines + len(post.raws),
            postponed=(*before.postponed, *late)[:MAX_POSTPONED],
        )
        return Taken(tuple(acts), tuple(malformed), after.as_json(), post.digest, begins=before.offset)

    def read_new(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """Read again what was dated in the future and no longer is."""
        before = FeedPosition.from_json(dict(position))
        due = [late for late in before.postponed if late.retry_at <= now]
        if position and not due:
            return None
        answers = [self._read(late.raw, late.line, now) for late in due]
        after = replace(before, postponed=tuple(late for late in before.postponed if late not in due))
        digest = hashlib.sha256(b"".join(late.raw for late in due)).hexdigest()
        acts = tuple(a for a in answers if isinstance(a, Act))
        bad = tuple(a for a in answers if isinstance(a, Malformed))
        return Taken(acts, bad, after.as_json(), digest, begins=before.offset)

    def _read(self, line: bytes, line_no: int, now: datetime) -> Act | Malformed:
        return parse_act(
            line,
            feed=self.name,
            line_no=line_no,
            signatures="required",
            people=self.ring,
            parse_address=self.parse_address,
            read_at=now,
        )
