"""`demo`: the whole job on a real recorded incident."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from walletwatch.cli.errors import UsageProblem

EXAMPLE = "walletwatch demo -o dmm"


def demo(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder to make; default: the next free walletwatch-demo.")
    ] = None,
) -> None:
    """Play the DMM Bitcoin theft offline, from the first block to the signed evidence."""
    from rich.console import Console

    from walletwatch.demo.screens import DEFAULT_FOLDER, run_demo

    folder = output or _next_free(DEFAULT_FOLDER)
    try:
        status = run_demo(folder, Console())
    except FileExistsError as error:
        raise UsageProblem(f"{folder} exists, and is not empty", hint="name another folder with -o") from error
    raise typer.Exit(status)


def _next_free(folder: Path) -> Path:
    """`walletwatch-demo`, or `walletwatch-demo-2` …: an earlier demonstration is never overwritten."""
    names = (folder if n == 1 else folder.with_name(f"{folder.name}-{n}") for n in count(1))
    return next(name for name in names if not name.exists())
