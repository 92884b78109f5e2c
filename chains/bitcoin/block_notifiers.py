"""bitcoind's ZMQ notices as a doorbell: they say that it is worth asking now, and are never believed beyond that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import zmq

_TX_PAUSE_SECS: Final = 0.25
"""Mainnet announces ten transactions a second: after a ring, wait this long before a transaction rings again."""
_DRAIN_LIMIT: Final = 10_000


class BlockNotifier:
    """Waits for `hashblock` and `hashtx` at any of `urls`. One thread waits; `close` may come from another.

    Without urls it only waits. ZMQ reconnects by itself; a publisher that is down is silence, and polling goes on.
    """

    def __init__(self, urls: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed = threading.Event()
        self._in_use = threading.Lock()
        self._urls = tuple(url for url in urls if url)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._poller: zmq.Poller | None = None
        self._bells: list[zmq.Socket[bytes]] = []
        self._waker: zmq.Socket[bytes] | None = None
        self._quiet_until = 0.0
        if self._urls:
            self._connect()

    def wait(self, timeout_secs: float) -> None:
        """Return when it rang, was closed, or after the timeout."""
        with self._in_use:
            if self._poller is None:
                self._closed.wait(max(0.0, timeout_secs))
            else:
                self._listen(self._poller, self._clock() + max(0.0, timeout_secs))

    def close(self) -> None:
        """End a wait under way and every later one, and give the sockets back."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._waker is not None:
            self._waker.send(b"")
        with self._in_use:
            self._poller = None
            if self._context is not None:
                self._context.destroy(linger=0)

    def _listen(self, poller: zmq.Poller, deadline: float) -> None:
        while not self._closed.is_set():
            left = deadline - self._clock()
            rung = dict(poller.poll(int(left * 1000))) if left > 0 else {}
            if not rung or self._heard_block(rung):
                return
            pause = min(self._quiet_until, deadline) - self._clock()
            if pause <= 0 or self._closed.wait(pause):
                self._quiet_until = self._clock() + _TX_PAUSE_SECS
                return

    def _connect(self) -> None:
        self._context = context = zmq.Context()
        self._poller = zmq.Poller()
        for url in self._urls:
            bell = context.socket(zmq.SUB)
            bell.setsockopt(zmq.RCVHWM, 1000)
            bell.setsockopt(zmq.MAXMSGSIZE, 1024)
            bell.setsockopt(zmq.SUBSCRIBE, b"hashblock")
            bell.setsockopt(zmq.SUBSCRIBE, b"hashtx")
            bell.connect(url)
            self._poller.register(bell, zmq.POLLIN)
            self._bells.append(bell)
        wake = context.socket(zmq.PAIR)
        address = f"inproc://wake-{id(self)}"
        wake.bind(address)
        self._poller.register(wake, zmq.POLLIN)
        self._waker = context.socket(zmq.PAIR)
        self._waker.connect(address)

    def _heard_block(self, rung: dict[zmq.Socket[bytes], int]) -> bool:
        """Take all notices off the bells that rang. True if one was of a block."""
        heard = [_drain(bell) for bell in self._bells if bell in rung]
        return any(heard)


def _drain(bell: zmq.Socket[bytes]) -> bool:
    block = False
    for _ in range(_DRAIN_LIMIT):
        try:
            parts = bell.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            break
        block = block or parts[0] == b"hashblock"
    return block
