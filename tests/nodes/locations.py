"""Where the real nodes are: in a variable, on PATH, or as `make nodes` fetched them. Standard library only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Self

PROJECT = Path(__file__).resolve().parents[2]
FETCHED = PROJECT / ".nodes"


class MissingNode(Exception):
    """A real node is not on this machine, or not where a variable says; the text says how to get it."""

    @classmethod
    def nowhere(cls, name: str, variable: str) -> Self:
        """It is in none of the places where it is looked for."""
        return cls(f"no {name}: neither in ${variable}, nor on PATH, nor in .nodes/. Get it with: make nodes")


def find_bitcoind(*, system: bool = True) -> Path:
    """The bitcoind to start. `system=False` looks at what was fetched only. Raises MissingNode."""
    return _first_program("bitcoind", "BITCOIND", system=system)


def find_anvil(*, system: bool = True) -> Path:
    """The anvil to start. `system=False` looks at what was fetched only. Raises MissingNode."""
    return _first_program("anvil", "ANVIL", system=system)


def find_postgres_bin(*, system: bool = True) -> Path:
    """The folder that holds both `postgres` and `initdb`. `system=False` looks at what was fetched only.

    Raises MissingNode.
    """
    for folder in _postgres_folders(system=system):
        if all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
            return folder
        if system and str(folder) == os.environ.get("POSTGRES_BIN"):
            raise MissingNode(f"$POSTGRES_BIN is {folder}, which holds no postgres and initdb")
    raise MissingNode.nowhere("PostgreSQL server", "POSTGRES_BIN")


def find_compiled_contracts() -> Path:
    """The `node_modules` that holds the compiled OpenZeppelin and Safe contracts. Raises MissingNode."""
    folder = FETCHED / "npm" / "node_modules"
    if not (folder / "@openzeppelin" / "contracts").is_dir():
        raise MissingNode("no compiled contracts in .nodes/. Get them with: make nodes")
    return folder


def _programs(name: str, variable: str, *, system: bool) -> Iterator[Path]:
    named = os.environ.get(variable) if system else None
    if named:
        if not os.access(named, os.X_OK):
            raise MissingNode(f"${variable} is {named}, which is no program")
        yield Path(named)
    on_path = shutil.which(name) if system else None
    if on_path:
        yield Path(on_path)
    yield FETCHED / "bin" / name


def _postgres_folders(*, system: bool) -> Iterator[Path]:
    if system and os.environ.get("POSTGRES_BIN"):
        yield Path(os.environ["POSTGRES_BIN"])
    on_path = shutil.which("postgres") if system else None
    if on_path:
        yield Path(on_path).resolve().parent
    if system:
        # Debian keeps the server of each major version in a folder that is not on PATH
        yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major_version, reverse=True)
    yield from sorted((FETCHED / "postgres").glob("*/pginstall*/bin"), reverse=True)  # pginstall18, pginstall (16)


def _major_version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def _first_program(name: str, variable: str, *, system: bool) -> Path:
    for candidate in _programs(name, variable, system=system):
        if os.access(candidate, os.X_OK):
            return candidate
    raise MissingNode.nowhere(name, variable)
