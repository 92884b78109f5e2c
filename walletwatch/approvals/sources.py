"""Where acts come from, in one form: a log, an endpoint, a table, a vendor's export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from walletwatch.approvals.acts import Malformed
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
    """Something that is looked at again and again. `name` is what findings call it, `place` where it is: a path, an
    address, never a secret. Nothing new for `silent_after` is a finding (None: never).
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def place(self) -> str: ...  # noqa: D102 - described above

    @property
    def silent_after(self) -> timedelta | None: ...  # noqa: D102 - described above

    def look(self, position: Mapping[str, Any], now: datetime) -> Taken | None:
        """What is new since `position` (empty: the beginning); None for nothing. Raises FeedUnreadable."""
