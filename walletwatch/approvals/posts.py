"""Acts that are brought by POST: a batch of signed lines, each read before anybody waits for the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from walletwatch.approvals.acts import Malformed, parse_act
from walletwatch.approvals.intents import ParseAddress
from walletwatch.approvals.positions import FeedPosition, Postponed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.sources import Taken
from walletwatch.domain.withdrawals import Act

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
    place: str
    ring: KeyRing
    parse_address: ParseAddress
    silent_after: timedelta | None = None

    def read_post(self, body: bytes, now: datetime) -> Post:
        """Read and verify every line. An empty last line is none: a batch may end with a newline."""
        raws = tuple(body.removesuffix(b"\n").split(b"\n")) if body else ()
        answers = tuple(self._read(raw.removesuffix(b"\r"), n, now) for n, raw in enumerate(raws, 1))
        return Post(hashlib.sha256(body).hexdigest(), len(body), raws, answers)

    def place_post(self, post: Post, position: Mapping[str, Any], is_known: Callable[[Malformed], bool]) -> Taken:
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

    def look(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
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
