"""Prices of a Chainlink feed, looked at again and again, remembered round by round: judging seldom waits for a node.

The price of a moment is that of the last round written by then, by the chain's clock. How old a round may be is the
feed's promise (its heartbeat), so that a price stays good for that long though the node is away.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from chains.errors import ChainError, Unsupported
from chains.price_oracles import PriceOracle, PriceRound
from walletwatch.domain.prices import USD_SCALE, Unknown
from walletwatch.domain.times import Clock, format_utc, utc_now
from walletwatch.settings import SecretMissing

_log = logging.getLogger(__name__)

MAX_AGE = timedelta(hours=1)
"""Of a round, where the configuration gives no other: the heartbeat of the feeds of the large coins."""
REFRESH = timedelta(seconds=15)
"""A moment that lies less after the latest reading needs no other."""
PAUSE_SECS = 5.0
"""A node that failed is not asked again by a judgement for so long."""
STEP, MOST_ROUNDS = 100, 5_000
"""Rounds read at once, and kept."""


class OraclePrices:
    """Quotes of one feed. `name` says in evidence which feed it is; `open_feed` is called when first needed."""

    def __init__(
        self,
        name: str,
        open_feed: Callable[[], PriceOracle],
        max_age: timedelta | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._open = open_feed
        self._max_age = max_age or MAX_AGE
        self._clock = clock
        self._monotonic = monotonic
        self._feed: PriceOracle | None = None
        self._rounds: tuple[PriceRound, ...] = ()
        """Without a gap, oldest first; never changed, only exchanged."""
        self._complete = False
        """There is none before the oldest."""
        self._looked = datetime(1970, 1, 1, tzinfo=UTC)
        self._tried = -PAUSE_SECS
        self._trouble = ""
        self._broken = False
        """The feed itself gives no price now, though the node is well."""
        self._asking = threading.Lock()

    def quote(self, at: datetime) -> tuple[int, str, datetime | None]:
        """The price in force at `at`. Raises Unknown if there is none, or it is stale."""
        if at > self._looked + REFRESH and self._monotonic() - self._tried >= PAUSE_SECS:
            self.read()
        if self._broken and at > self._looked:
            raise Unknown(self._trouble)
        found = self._round_of(at)
        if at - found.updated_at > self._max_age:
            why = f": {self._trouble}" if self._trouble else ""
            raise Unknown(f"the price of {self._name} is stale, of {format_utc(found.updated_at)}{why}")
        return self._usd_e8(found), self._source(found), found.updated_at

    def edition(self) -> object:
        """Which rounds are known; None while the feed cannot be read."""
        rounds = self._rounds
        return None if self._trouble or not rounds else (rounds[0].number, rounds[-1].number)

    def read(self) -> None:
        """Read the round in force now, unless somebody does so already. A failure is kept for the next caller,
        and logged once for each reason.
        """
        if not self._asking.acquire(blocking=False):
            return
        try:
            self._tried = self._monotonic()
            now = self._clock()
            self._take(self._opened().latest())
        except (ChainError, SecretMissing) as error:
            self._broken = isinstance(error, Unsupported)
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("the price of %s cannot be read: %s", self._name, error)
        else:
            self._looked, self._trouble, self._broken = now, "", False
        finally:
            self._asking.release()

    def close(self) -> None:
        """Give back connections."""
        if self._feed is not None:
            self._feed.close()

    def _opened(self) -> PriceOracle:
        if self._feed is None:
            self._feed = self._open()
        return self._feed

    def _take(self, latest: PriceRound) -> None:
        """Keep the latest round, with those that were written since the last reading. Raises ChainError."""
        known = self._rounds[-1] if self._rounds else None
        if known is not None and _content(known) == _content(latest):
            return
        if known is not None and known.number < latest.number <= known.number + STEP:
            missed = tuple(self._opened().before(latest, latest.number - known.number))
            if missed and _content(missed[-1]) == _content(known):
                self._rounds = (*self._rounds, *reversed(missed[:-1]), latest)[-MOST_ROUNDS:]
                return
        # The first reading, a long pause, another phase, or a reorg: what was known is no beginning for this.
        self._rounds, self._complete = (latest,), False

    def _round_of(self, at: datetime) -> PriceRound:
        """The last round written by `at`. Raises Unknown."""
        while self._rounds and self._rounds[0].updated_at > at and not self._complete:
            self._reach_back()
        rounds = self._rounds
        place = bisect_right(rounds, at, key=lambda r: r.updated_at)
        if not place:
            raise Unknown(self._trouble or f"{self._name} has no round at or before {format_utc(at)}")
        return rounds[place - 1]

    def _reach_back(self) -> None:
        with self._asking:
            oldest = self._rounds[0]
            try:
                earlier = self._opened().before(oldest, STEP)
            except ChainError as error:
                raise Unknown(f"earlier prices of {self._name} cannot be read: {error}") from error
            self._complete = len(earlier) < STEP or len(self._rounds) + len(earlier) >= MOST_ROUNDS
            self._rounds = (*reversed(earlier), *self._rounds)

    def _usd_e8(self, found: PriceRound) -> int:
        usd_e8: int = found.answer * USD_SCALE // 10**found.decimals
        if not usd_e8:
            raise Unknown(f"{self._name} gives less than 1e-8 USD: {found.answer} of {found.decimals} decimals")
        return usd_e8

    def _source(self, found: PriceRound) -> str:
        """Everything that pins the price, for the evidence."""
        said = f"round {found.number}, answer {found.answer} ({found.decimals} decimals)"
        return f"{self._name}: {said}, read at block {found.at.height} 0x{found.at.hash.hex()}"


def _content(found: PriceRound) -> tuple[int, int, datetime]:
    return found.number, found.answer, found.updated_at
