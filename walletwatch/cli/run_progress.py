"""How far `run --until-synced` has come: a bar a chain on a terminal, else a line now and then. On stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from chains.model import BlockRef

LINE_EVERY_SECS: Final = 10.0
_RATE_OVER_SECS: Final = 30.0


class Named(Protocol):
    """What is watched."""

    @property
    def name(self) -> str:
        """The configured name of the chain."""


class Follows(Protocol):
    """A chain's worker, as far as its progress goes."""

    @property
    def watched(self) -> Named:
        """The chain."""

    @property
    def position(self) -> BlockRef | None:
        """The last block judged."""

    @property
    def tip(self) -> BlockRef | None:
        """The node's best block, as last seen."""


@dataclass(slots=True)
class Course:
    """One chain's way from where this run found it. Heights."""

    first: int
    place: int
    tip: int

    @property
    def done(self) -> int:
        """Blocks judged by this run; 0 if a reorg took them back."""
        return max(0, self.place - self.first)

    @property
    def total(self) -> int:
        """Blocks from where this run began to the tip."""
        return max(self.done, self.tip - self.first)


class Courses:
    """Every chain's course, told from looks at its worker."""

    def __init__(self) -> None:
        self.by_name: dict[str, Course] = {}

    def look(self, workers: Iterable[Follows]) -> None:
        """Take in where the workers stand; one that has not looked at its node yet has no course."""
        for worker in workers:
            place, tip = worker.position, worker.tip
            if place is None or tip is None:
                continue
            course = self.by_name.setdefault(worker.watched.name, Course(place.height, place.height, tip.height))
            course.place, course.tip = place.height, tip.height


class RateColumn(ProgressColumn):
    """Blocks a second."""

    def render(self, task: Task) -> Text:
        """As rich asks for it."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} blocks/s")


class Bars:
    """For a terminal."""

    def __init__(self, file: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, console=Console(file=file), speed_estimate_period=_RATE_OVER_SECS, get_time=clock
        )
        self._courses = Courses()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, workers: Iterable[Follows]) -> None:
        """Show where the workers stand."""
        self._progress.start()
        self._courses.look(workers)
        for name, course in self._courses.by_name.items():
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=None)
            self._progress.update(self._tasks[name], completed=course.done, total=course.total)

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()


class Lines:
    """For a log: a line for each chain that moved, every so often, and one at the end."""

    def __init__(self, file: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._courses = Courses()
        self._began = self._said_at = clock()
        self._said: dict[str, int] = {}

    def __call__(self, workers: Iterable[Follows]) -> None:
        """Take in where the workers stand, and say it if it is time."""
        self._courses.look(workers)
        if self._clock() - self._said_at >= LINE_EVERY_SECS:
            self._say()

    def close(self) -> None:
        """Say how it ended."""
        self._say()

    def _say(self) -> None:
        now = self._clock()
        for name, course in self._courses.by_name.items():
            if course.done != self._said.get(name, 0):
                self._file.write(line_of(name, course, now - self._began) + "\n")
                self._said[name] = course.done
        self._file.flush()
        self._said_at = now


def line_of(name: str, course: Course, secs: float) -> str:
    """`bitcoin: 1,200 of 5,000 blocks, at 905200 of 909000, 60 blocks/s, 0:01:03 left`."""
    rate = course.done / secs if secs > 0 else 0.0
    left = course.total - course.done
    eta = f", {timedelta(seconds=round(left / rate))} left" if rate and left else ""
    return (
        f"{name}: {course.done:,} of {course.total:,} blocks, at {course.place} of {course.tip}, "
        f"{rate:,.0f} blocks/s{eta}"
    )


def show_on(file: TextIO) -> Bars | Lines:
    """Bars if `file` is a terminal, else lines."""
    return Bars(file) if file.isatty() else Lines(file)
