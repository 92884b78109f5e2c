"""Who may post, and how much: the shared secret of an endpoint, and its rate of lines."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from walletwatch.alerts.webhook import verify_signature
from walletwatch.domain.times import Clock, utc_now

SIGNATURE_HEADER = "walletwatch-signature"


class RequestRefused(Exception):
    """The request is answered with `status` and these words, and nothing of it is kept."""

    def __init__(self, status: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class PostSecret:
    """What whoever posts must know: as bearer token, or as key of an HMAC-SHA256 over `TIME.BODY`, as our own webhooks
    sign, at most five minutes old. Empty: everybody may post, and the acts' own signatures are all there is.
    """

    key: bytes = field(repr=False)
    clock: Clock = utc_now

    def check_head(self, headers: Mapping[str, str]) -> None:
        """Before the body is read: there must be a credential, and a token must be right. Raises Refused."""
        if not self.key or SIGNATURE_HEADER in headers:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self.key):
            raise _unknown()

    def check_body(self, headers: Mapping[str, str], body: bytes) -> None:
        """With the body at hand: a signature over it must be right and fresh. Raises Refused."""
        if not self.key or SIGNATURE_HEADER not in headers:
            return
        if not verify_signature(self.key, headers[SIGNATURE_HEADER], body, self.clock()):
            raise _unknown()


def _unknown() -> RequestRefused:
    return RequestRefused(401, "the secret is missing or wrong", **{"WWW-Authenticate": "Bearer"})


class LineRate:
    """So many lines a minute, in bursts of a minute's worth. A batch that begins within the rate is taken whole, and
    the next one waits for it.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._left = float(per_minute)
        self._since = clock()

    def take(self, lines: int) -> None:
        """Count `lines`. Raises Refused (429) with the seconds to wait."""
        with self._lock:
            now = self._clock()
            grown = (now - self._since) * self._per_minute / 60
            self._left, self._since = min(float(self._per_minute), self._left + grown), now
            if self._left <= 0:
                wait = int(-self._left * 60 / self._per_minute) + 1
                raise RequestRefused(429, f"more than {self._per_minute} lines a minute", **{"Retry-After": str(wait)})
            self._left -= max(1, lines)
