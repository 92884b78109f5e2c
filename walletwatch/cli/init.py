"""`init`: a place to start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from walletwatch.cli.errors import UsageProblem

EXAMPLE = "walletwatch init config --origin audit.exchange.example/log"


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.")] = Path("config"),
    origin: Annotated[str | None, typer.Option(help="The audit log's name; it stands in every checkpoint.")] = None,
) -> None:
    """Write a configuration, keys and a database. The audit log's key pair, that is; nothing is overwritten."""
    from walletwatch.audit.notes import SigningKey
    from walletwatch.settings.loading import DEFAULT_ORIGIN, render_template
    from walletwatch.store import open_store

    config, keys = directory / "walletwatch.toml", directory / "keys"
    targets = [config, keys / "audit.key", keys / "audit.vkey", directory / "walletwatch.db"]
    there = [str(path) for path in targets if path.exists()]
    if there:
        raise UsageProblem(
            "files are there already, and nothing was written", where=", ".join(there), hint="another DIR"
        )
    name = origin or DEFAULT_ORIGIN
    key = SigningKey.generate(name)
    _make_folder(keys)
    key.save(targets[1])
    _write_new(targets[2], f"{key.verifying_key}\n")
    _write_new(config, render_template(name))
    store = open_store(f"sqlite:///{targets[3].resolve()}")
    try:
        store.upgrade()
    finally:
        store.close()
    typer.echo("".join(f"wrote {path}\n" for path in targets) + _next_steps(config))


def _next_steps(config: Path) -> str:
    return (
        "\nNext: name your nodes and wallets in the configuration, then\n"
        f"  walletwatch --config {config} check\n"
        f"  walletwatch --config {config} run"
    )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageProblem(f"cannot make the folder: {error.strerror}", where=str(path)) from None


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
