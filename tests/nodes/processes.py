"""A node as a child process: on a leash, on a port of its own, ready when it answers, its log at hand when it dies."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_LEASH = Path(__file__).with_name("leash.py")
_POLL_SECS = 0.02
_START_SECS = 60.0
_STOP_SECS = 60.0

# below the kernel's range for outgoing connections, so that no client of a test takes a port before its node does
_PORTS = range(18_500, 32_000)


class NodeDied(Exception):
    """A node ended, or never came up; the text carries the end of its log."""


@dataclass(frozen=True)
class User:
    """Whom a node runs as, where it refuses to be root."""

    uid: int
    gid: int


def leash(command: Sequence[str], user: User | None, death_signal: signal.Signals) -> list[str]:
    """The command that becomes `command` as `user`, and is sent `death_signal` when this process ends."""
    become = [str(user.uid), str(user.gid)] if user else ["-", "-"]
    return [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(int(death_signal)), *become, *command]


@dataclass
class NodeProcess:
    """One run after another of one command. Start it from the main thread: the leash is held by the starting thread."""

    command: Sequence[str]
    log: Path
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The running node's process id. Raises NodeDied if it is not running."""
        if self._child is None or self._child.poll() is not None:
            raise NodeDied(f"{self.command[0]} is not running")
        return self._child.pid

    def start(self, is_ready: Callable[[], bool], within_secs: float = _START_SECS) -> None:
        """Start and poll `is_ready` until it says True. Raises NodeDied, with the log, if that does not happen."""
        command = leash(self.command, self.user, self.death_signal)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + within_secs
        while not is_ready():
            if self._child.poll() is not None:
                raise NodeDied(f"{self.command[0]} ended with {self._child.returncode}:\n{self.read_log_end()}")
            if time.monotonic() > deadline:
                self.kill()
                raise NodeDied(f"{self.command[0]} did not answer in {within_secs:.0f} s:\n{self.read_log_end()}")
            time.sleep(_POLL_SECS)

    def stop(self) -> None:
        """Ask the node to end and wait for it; nothing if it has ended already."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.send_signal(self.stop_signal)
        try:
            self._child.wait(_STOP_SECS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the node as a power cut would."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def read_log_end(self, lines: int = 30) -> str:
        """The last lines of what the node printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


_reserved: list[IO[bytes]] = []


def reserve_port() -> int:
    """A free TCP port of 127.0.0.1 that no other run of these tests will take while this process lives."""
    folder = Path(tempfile.gettempdir()) / f"walletwatch-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        port = random.choice(_PORTS)  # noqa: S311  a place to listen, not a secret
        lock = (folder / str(port)).open("wb")
        if try_lock(lock) and _is_free(port):
            _reserved.append(lock)
            return port
        lock.close()


def try_lock(file: IO[bytes]) -> bool:
    """Take the file's lock, which is held until the file is closed or this process ends; False if another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
