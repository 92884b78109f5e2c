"""A progress bar over one piece of work, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progressed = Callable[[int, int | None], None]
"""Called with what is done, and how much there is in all where that is known."""


@contextmanager
def progress_bar(what: str) -> Iterator[Progressed]:
    """A bar over `what`; it is gone when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
