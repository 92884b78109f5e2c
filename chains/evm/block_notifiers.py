"""newHeads over WebSocket as a doorbell: it says that it is worth asking now, and is never believed beyond that."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import orjson
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
MAX_MESSAGE_BYTES = 1 << 16  # a header with its bloom is 2 kB
OPEN_TIMEOUT_SECS = 10.0
PAUSES_SECS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before each new connection; the last for ever after. Meanwhile polling goes on."""


class BlockNotifier:
    """Waits for a new head at any of `urls` (`ws://`, `wss://`). Without urls it only waits.

    A thread an url listens from the first wait on; a node that is down is silence. `close` may come from any thread.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(url for url in urls if url)
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self.last_error = ""
        """Why the last connection ended; the url, which may hold a key, is not in it."""

    def wait(self, timeout_secs: float) -> None:
        """Return when it rang since the last wait, was closed, or after the timeout."""
        if not self._threads and not self._closed.is_set():
            self._threads = [threading.Thread(target=self._listen, args=(url,), daemon=True) for url in self._urls]
            for thread in self._threads:
                thread.start()
        self._rung.wait(max(0.0, timeout_secs))
        if not self._closed.is_set():
            self._rung.clear()

    def close(self) -> None:
        """End a wait under way and every later one; the threads end with their next message or pause."""
        self._closed.set()
        self._rung.set()

    def _listen(self, url: str) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                failures = self._follow(url)
            except (OSError, WebSocketException, ValueError) as error:
                self.last_error = type(error).__name__
            self._closed.wait(PAUSES_SECS[min(failures, len(PAUSES_SECS) - 1)])
            failures += 1

    def _follow(self, url: str) -> int:
        """Listen until the connection ends; 0, for it had begun well."""
        with connect(url, open_timeout=OPEN_TIMEOUT_SECS, max_size=MAX_MESSAGE_BYTES) as socket:
            socket.send(SUBSCRIBE)
            while not self._closed.is_set():
                try:
                    message = socket.recv(timeout=1.0)
                except TimeoutError:
                    continue  # a second without a block; look whether we were closed
                notice = orjson.loads(message)
                if isinstance(notice, dict) and notice.get("method") == "eth_subscription":
                    self._rung.set()
        return 0
