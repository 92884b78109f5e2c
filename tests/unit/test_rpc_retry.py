"""Backoff with full jitter, on a clock of our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chains.errors import (
    BlockGone,
    ChainError,
    LyingNode,
    NotReady,
    RateLimited,
    RpcError,
    Unreachable,
    Unsupported,
    WrongChain,
)
from chains.rpc.endpoints import Retry


@dataclass
class Sleeper:
    """A clock that moves by sleeping; jitter draws the upper end."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    stop: bool = False

    def sleep(self, secs: float) -> bool:
        self.slept.append(secs)
        self.now += secs
        return self.stop

    def retry(self, **options: float) -> Retry:
        base = Retry(sleep=self.sleep, uniform=lambda _low, high: high, clock=lambda: self.now)
        return Retry(
            attempts=int(options.get("attempts", 6)),
            base_secs=options.get("base", 1.0),
            cap_secs=options.get("cap", 5.0),
            deadline_secs=options.get("deadline", 100.0),
            sleep=base.sleep,
            uniform=base.uniform,
            clock=base.clock,
        )


def failing(*errors: ChainError) -> Callable[[], str]:
    left = list(errors)

    def question() -> str:
        if left:
            raise left.pop(0)
        return "fine"

    return question


def test_pauses_double_up_to_the_cap() -> None:
    sleeper = Sleeper()
    assert sleeper.retry().run(failing(*[Unreachable("x")] * 5)) == "fine"
    assert sleeper.slept == [2.0, 4.0, 5.0, 5.0, 5.0]


def test_the_jitter_is_drawn_from_zero() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    Retry(attempts=3, base_secs=1.0, sleep=lambda _s: None, uniform=uniform).run(failing(*[NotReady("x")] * 2))
    assert drawn == [(0.0, 2.0), (0.0, 3.0)]


def test_the_last_error_is_raised_when_the_tries_are_used_up() -> None:
    sleeper = Sleeper()
    with pytest.raises(Unreachable, match="third"):
        sleeper.retry(attempts=3).run(failing(Unreachable("1"), Unreachable("2"), Unreachable("third")))
    assert len(sleeper.slept) == 2


def test_the_deadline_ends_it_without_a_pause_that_would_pass_it() -> None:
    sleeper = Sleeper()
    with pytest.raises(Unreachable):
        sleeper.retry(attempts=9, deadline=10.0).run(failing(*[Unreachable("x")] * 9))
    assert sleeper.slept == [2.0, 4.0]


def test_what_the_node_asked_for_is_honoured() -> None:
    sleeper = Sleeper()
    sleeper.retry().run(failing(RateLimited("slow", retry_after_secs=30.0)))
    assert sleeper.slept == [30.0]


def test_a_node_that_asks_for_more_than_the_deadline_is_left_at_once() -> None:
    sleeper = Sleeper()
    with pytest.raises(RateLimited):
        sleeper.retry(deadline=20.0).run(failing(RateLimited("slow", retry_after_secs=30.0)))
    assert sleeper.slept == []


@pytest.mark.parametrize(
    "error",
    [BlockGone("x"), LyingNode("x"), WrongChain("x"), Unsupported("x"), RpcError("x", code=1)],
    ids=lambda e: type(e).__name__,
)
def test_nothing_else_is_tried_again(error: ChainError) -> None:
    sleeper = Sleeper()
    with pytest.raises(type(error)):
        sleeper.retry().run(failing(error))
    assert sleeper.slept == []


def test_closing_ends_the_pauses() -> None:
    sleeper = Sleeper(stop=True)
    with pytest.raises(Unreachable):
        sleeper.retry().run(failing(*[Unreachable("x")] * 3))
    assert len(sleeper.slept) == 1
