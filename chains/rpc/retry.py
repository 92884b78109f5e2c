"""Trying again: exponential backoff with full jitter, within a deadline, for a closed list of errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from chains.errors import NotReady, RateLimited, TransientError, Unreachable

T = TypeVar("T")

RETRIED: Final = (Unreachable, RateLimited, NotReady)
"""BlockGone is no member: it is an answer about the chain, and the caller decides."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long to try. The pause before try n is drawn evenly from 0 to min(cap, base·2ⁿ) seconds
    ("full jitter": workers that failed together do not come back together). A node's `retry_after_secs` is honoured
    if the deadline allows it; else the error is raised at once. `sleep` returns True to give up (we are closing).
    """

    attempts: int = 3
    base_secs: float = 0.2
    cap_secs: float = 3.0
    deadline_secs: float = 20.0
    sleep: Callable[[float], bool | None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform
    clock: Callable[[], float] = time.monotonic

    def run(self, question: Callable[[], T]) -> T:
        """The answer, or the last error."""
        deadline = self.clock() + self.deadline_secs
        for attempt in range(1, self.attempts):
            try:
                return question()
            except RETRIED as error:
                pause = self.pause_secs(attempt, error)
                if self.clock() + pause > deadline or self.sleep(pause):
                    raise
        return question()

    def pause_secs(self, attempt: int, error: TransientError) -> float:
        """How long to wait after try number `attempt` (from 1) ended in `error`."""
        drawn = self.uniform(0.0, min(self.cap_secs, self.base_secs * 2.0**attempt))
        asked = error.retry_after_secs if isinstance(error, RateLimited) else None
        return max(drawn, asked or 0.0)
