"""Acts held to the time at which they were read: people choose what an act says, and not when it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from walletwatch.approvals.signatures import NOT_AUTHORISED
from walletwatch.domain.people import People
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act

MAX_LATE: Final = timedelta(hours=1)
"""An act read later than this after the time it gives itself does not count, where the feed names no other bound."""
EVER: Final = datetime.min.replace(tzinfo=UTC)
READ_TOO_LATE: Final = "approved_after_broadcast"
"""The rule type of an act that was read too late: nothing shows that it existed before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a feed was read up to now. `unread_since` is when an interval without reading began that ends now (`EVER` at
    first contact, and for exports, which do not tell when they were written); None if there was no such interval.
    """

    max_late: timedelta = MAX_LATE
    unread_since: datetime | None = None


def hold_to_reading(act: Act, reading: Reading, people: People) -> Act:
    """`act` with what the time of reading says about it (CONTRACT §4, "Times of acts").

    It counts only if it was read within `max_late` of its own time, by a key that was valid when it was read. An act
    dated in an interval in which the feed was not read counts as if it had been read at its own time, and is marked
    `read_late`.
    """
    if act.read_at is None:
        return act
    unread = reading.unread_since is not None and act.at > reading.unread_since
    if unread:
        return replace(act, read_late=True)
    if act.refused:
        return act
    if act.read_at - act.at > reading.max_late:
        late = act.read_at - act.at
        words = (
            f"read at {format_utc(act.read_at)}, {late} after the time it gives; at most {reading.max_late} is allowed"
        )
        return replace(act, refused=READ_TOO_LATE, reason=words)
    owner = people.by_kid(act.kid) if act.kid else None
    if owner is not None and not owner[1].valid_at(act.read_at):
        words = f"the key {act.kid} was not valid when the act was read, at {format_utc(act.read_at)}"
        return replace(act, refused=NOT_AUTHORISED, reason=words)
    return act
