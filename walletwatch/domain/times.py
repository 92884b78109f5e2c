"""The text form of all times: UTC with six digits, as EU RTS 2025/1140 art. 2 requires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time as an aware datetime in UTC; injected, so that tests need not wait."""


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def format_utc(moment: datetime) -> str:
    """`YYYY-MM-DDThh:mm:ss.ffffffZ`. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"naive time: {moment}")
    # Called some thousand times a second: `strftime` takes four times as long.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_utc(text: str) -> datetime:
    """Read an ISO 8601 time with a UTC offset. Raises ValueError otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a UTC offset (…Z): {text!r}")
    return moment.astimezone(UTC)
