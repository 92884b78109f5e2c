"""What `run --until-synced` says of its way: bars on a terminal, lines in a log."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from chains.model import BlockRef
from walletwatch.cli.run_progress import LINE_EVERY_SECS, Bars, ChainProgress, Lines, line_of, show_on


@dataclass
class Worker:
    name: str
    at: int | None
    top: int | None = 1_000
    watched: Any = field(init=False)

    def __post_init__(self) -> None:
        self.watched = SimpleNamespace(name=self.name)

    @property
    def position(self) -> BlockRef | None:
        return None if self.at is None else BlockRef(self.at, bytes(32))

    @property
    def tip(self) -> BlockRef | None:
        return None if self.top is None else BlockRef(self.top, bytes(32))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_tells_blocks_done_the_rate_and_the_time_left() -> None:
    course = ChainProgress(first=904_000, height=905_200, tip=909_000)
    assert line_of("bitcoin", course, 20.0) == (
        "bitcoin: 1,200 of 5,000 blocks, at 905200 of 909000, 60 blocks/s, 0:01:03 left"
    )


def test_at_the_tip_and_at_the_first_look_no_time_is_left_to_tell() -> None:
    assert line_of("a", ChainProgress(5, 9, 9), 2.0) == "a: 4 of 4 blocks, at 9 of 9, 2 blocks/s"
    assert line_of("a", ChainProgress(5, 5, 9), 0.0) == "a: 0 of 4 blocks, at 5 of 9, 0 blocks/s"


def test_a_log_gets_a_line_now_and_then_for_each_chain_that_moved() -> None:
    now, log = [0.0], io.StringIO()
    lines = Lines(log, lambda: now[0])
    bitcoin, ethereum = Worker("bitcoin", 100), Worker("ethereum", None, None)
    lines([bitcoin, ethereum])
    bitcoin.at = 150
    now[0] = LINE_EVERY_SECS / 2
    lines([bitcoin, ethereum])
    assert log.getvalue() == ""
    now[0] = LINE_EVERY_SECS
    lines([bitcoin, ethereum])
    assert log.getvalue() == "bitcoin: 50 of 900 blocks, at 150 of 1000, 5 blocks/s, 0:02:50 left\n"
    now[0] = 2 * LINE_EVERY_SECS
    lines([bitcoin, ethereum])
    assert log.getvalue().count("\n") == 1


def test_the_end_is_said_without_waiting() -> None:
    now, log = [0.0], io.StringIO()
    lines = Lines(log, lambda: now[0])
    worker = Worker("bitcoin", 100)
    lines([worker])
    worker.at, now[0] = 1_000, 3.0
    lines([worker])
    lines.close()
    assert log.getvalue() == "bitcoin: 900 of 900 blocks, at 1000 of 1000, 300 blocks/s\n"


def test_nothing_is_said_where_nothing_had_to_be_caught_up() -> None:
    log = io.StringIO()
    lines = Lines(log)
    lines([Worker("bitcoin", 1_000)])
    lines.close()
    assert log.getvalue() == ""


def test_a_reorg_below_where_the_run_began_is_no_negative_progress() -> None:
    assert (ChainProgress(100, 95, 110).done, ChainProgress(100, 95, 110).total) == (0, 10)
    assert ChainProgress(100, 120, 110).total == 20


def test_a_terminal_gets_a_bar_a_chain() -> None:
    now, screen = [0.0], Terminal()
    bars = Bars(screen, lambda: now[0])
    workers = [Worker("bitcoin", 100), Worker("ethereum", 40, 50)]
    bars(workers)
    for now[0], workers[0].at, workers[1].at in ((1.0, 400, 45), (2.0, 550, 50)):
        bars(workers)
    bars.close()
    assert "450/900" in screen.getvalue()
    assert "10/10" in screen.getvalue()
    assert "150 blocks/s" in screen.getvalue()


def test_a_terminal_is_told_from_a_log() -> None:
    assert isinstance(show_on(io.StringIO()), Lines)
    assert isinstance(show_on(Terminal()), Bars)
