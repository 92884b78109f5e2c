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


class NamedChain(Protocol):
    """The chain a worker watches."""

    @property
    def name(self) -> str:
        """The configured name of the chain."""


class TrackedWorker(Protocol):
    """A chain's worker, as far as its progress goes."""

    @property
    def watched(self) -> NamedChain:
        """The chain."""

    @property
    def position(self) -> BlockRef | None:
        """The last block judged."""

    @property
    def tip(self) -> BlockRef | None:
        """The node's best block, as last seen."""


@dataclass(slots=True)
class ChainProgress:
    """The progress of one chain since this run began, in heights."""

    first: int
    height: int
    tip: int

    @property
    def done(self) -> int:
        """Blocks judged by this run; 0 if a reorg took them back."""
        return max(0, self.height - self.first)

    @property
    def total(self) -> int:
        """Blocks from where this run began to the tip."""
        return max(self.done, self.tip - self.first)


class AllProgress:
    """The progress of every chain, read from its worker."""

    def __init__(self) -> None:
        self.by_name: dict[str, ChainProgress] = {}

    def update(self, workers: Iterable[TrackedWorker]) -> None:
        """Read how far the workers are; one that has not reached its node yet is left out."""
        for worker in workers:
            position, tip = worker.position, worker.tip
            if position is None or tip is None:
                continue
            chain = self.by_name.setdefault(
                worker.watched.name, ChainProgress(position.height, position.height, tip.height)
            )
            chain.height, chain.tip = position.height, tip.height


class RateColumn(ProgressColumn):
    """Blocks a second."""

    def render(self, task: Task) -> Text:
        """The rate of `task`, for rich."""
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
        self._chains = AllProgress()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, workers: Iterable[TrackedWorker]) -> None:
        """Show how far the workers are."""
        self._progress.start()
        self._chains.update(workers)
        for name, chain in self._chains.by_name.items():
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=None)
            self._progress.update(self._tasks[name], completed=chain.done, total=chain.total)

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()


class Lines:
    """For a log: a line for each chain that moved, every so often, and one at the end."""

    def __init__(self, file: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._chains = AllProgress()
        self._began = self._written_at = clock()
        self._written: dict[str, int] = {}

    def __call__(self, workers: Iterable[TrackedWorker]) -> None:
        """Read how far the workers are, and write lines when they are due."""
        self._chains.update(workers)
        if self._clock() - self._written_at >= LINE_EVERY_SECS:
            self._write()

    def close(self) -> None:
        """Write the last lines."""
        self._write()

    def _write(self) -> None:
        now = self._clock()
        for name, chain in self._chains.by_name.items():
            if chain.done != self._written.get(name, 0):
                self._file.write(line_of(name, chain, now - self._began) + "\n")
                self._written[name] = chain.done
        self._file.flush()
        self._written_at = now


def line_of(name: str, chain: ChainProgress, secs: float) -> str:
    """`bitcoin: 1,200 of 5,000 blocks, at 905200 of 909000, 60 blocks/s, 0:01:03 left`."""
    rate = chain.done / secs if secs > 0 else 0.0
    left = chain.total - chain.done
    eta = f", {timedelta(seconds=round(left / rate))} left" if rate and left else ""
    return (
        f"{name}: {chain.done:,} of {chain.total:,} blocks, at {chain.height} of {chain.tip}, {rate:,.0f} blocks/s{eta}"
    )


def show_on(file: TextIO) -> Bars | Lines:
    """Bars if `file` is a terminal, else lines."""
    return Bars(file) if file.isatty() else Lines(file)
