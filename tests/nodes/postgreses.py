"""A PostgreSQL server of one's own, with an empty database for whoever asks."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg

from nodes.locations import FETCHED, find_postgres_bin
from nodes.processes import NodeDied, NodeProcess, User, leash, reserve_port, try_lock

_PREFIX, _LOCK = "walletwatch-postgres-", "lock"

# a server whose clock is not UTC finds times that were written without their zone
_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "Asia/Tokyo", "fsync": "off"}


class Postgres:
    """One server in a temporary folder. PostgreSQL refuses to be root, so root runs it as an unprivileged user."""

    def __init__(self) -> None:
        _sweep()
        # not below pytest's own folder, which no other user may enter
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = (self._folder / _LOCK).open("wb")
        try_lock(self._lock)
        self._user = _choose_user()
        if self._user:
            os.chown(self._folder, self._user.uid, self._user.gid)
        self._bin = self._reachable_bin()
        self._port = reserve_port()
        settings = [
            part for key, value in (_SETTINGS | {"port": self._port}).items() for part in ("-c", f"{key}={value}")
        ]
        command = [str(self._bin / "postgres"), "-D", str(self._folder / "data"), *settings]
        # SIGQUIT is its own immediate shutdown, which frees shared memory; SIGINT disconnects clients and ends in order
        self.process = NodeProcess(
            command, self._folder / "node.log", self._user, stop_signal=signal.SIGINT, death_signal=signal.SIGQUIT
        )

    def start(self) -> None:
        """Make the cluster if there is none, start the server and wait until it answers. Raises NodeDied."""
        if not (self._folder / "data").exists():
            self._initialise()
        self.process.start(self._answers)

    def stop(self) -> None:
        """End it in order; its databases stay for the next start()."""
        self.process.stop()

    def remove(self) -> None:
        """End it and delete what it stored."""
        self.process.stop()
        shutil.rmtree(self._folder)
        self._lock.close()

    def url(self, database: str) -> str:
        """How a client reaches one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def create_database(self) -> str:
        """A new empty database; its name."""
        name = f"walletwatch_{uuid.uuid4().hex}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is still connected to it."""
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _initialise(self) -> None:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        done = self._run(str(self._bin / "initdb"), *options, "-D", str(self._folder / "data"))
        if done.returncode != 0:
            raise NodeDied(f"initdb ended with {done.returncode}:\n{done.stderr}{done.stdout}")

    def _reachable_bin(self) -> Path:
        """The server's programs, copied first if its user may not enter the folder into which they were fetched."""
        found = find_postgres_bin()
        if self._run(str(found / "postgres"), "--version").returncode == 0:
            return found
        if FETCHED not in found.parents:
            raise NodeDied(f"{found}/postgres does not run as the user whom PostgreSQL needs (it refuses to be root)")
        copy = self._folder / "program"
        shutil.copytree(FETCHED / "postgres", copy, symlinks=True)
        return copy / found.relative_to(FETCHED / "postgres")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        leashed = leash(command, self._user, signal.SIGKILL)
        return subprocess.run(leashed, cwd=self._folder, capture_output=True, text=True, check=False)

    def _answers(self) -> bool:
        try:
            self._administer("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _sweep() -> None:
    """Delete what killed runs left: folders of this user whose lock nobody holds any more."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        if left.stat().st_uid == os.getuid():
            with left.open("wb") as lock:
                if try_lock(lock):
                    shutil.rmtree(left.parent)


def _choose_user() -> User | None:
    """None where this process is not root; else somebody who is not: `postgres` if there is one, or `nobody`."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return User(entry.pw_uid, entry.pw_gid)
