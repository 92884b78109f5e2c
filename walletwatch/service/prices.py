"""Prices as configured: fixed, from a file, or from a Chainlink contract."""

from __future__ import annotations

import csv
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chains.errors import ChainError, Unsupported
from chains.family import PriceOracle, PriceRound
from chains.model import Asset, AssetId, parse_units
from chains.registry import family_of
from walletwatch.domain.prices import USD_SCALE, Price, Unknown
from walletwatch.domain.times import Clock, format_utc, parse_utc, utc_now
from walletwatch.settings import SecretMissing, Settings
from walletwatch.settings.chains import PriceSettings

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


FEED_TIMEOUT_SECS = 5.0
"""An answer of one word; somebody may be waiting to judge."""

_MAX_BYTES = 64 * 1024 * 1024
_DECIMALS = len(str(USD_SCALE)) - 1

Quote = Callable[[datetime], tuple[int, str, datetime | None]]
"""Of a moment: 1e-8 USD for one whole unit, the source's name, and as of when. Raises Unknown."""

Edition = Callable[[], object]
"""Another answer whenever that of the source about some moment may be another; None if not known."""


@dataclass(slots=True)
class PriceFile:
    """A CSV file with the columns `at` (ISO 8601 with offset) and `usd`, one row a price, in any order."""

    path: Path
    max_age: timedelta | None = None
    _stamp: tuple[int, int] | None = None
    _rows: list[tuple[datetime, int]] = field(default_factory=list)

    def quote(self, at: datetime) -> tuple[int, str, datetime | None]:
        """The last price at or before `at`. Raises Unknown if there is none or it is older than `max_age`."""
        self._read()
        place = bisect_right(self._rows, (at, 2**256))
        if not place:
            raise Unknown(f"{self.path.name} has no price at or before {format_utc(at)}")
        moment, usd_e8 = self._rows[place - 1]
        if self.max_age is not None and at - moment > self.max_age:
            raise Unknown(f"the price in {self.path.name} is stale: of {format_utc(moment)}")
        return usd_e8, self.path.name, moment

    def edition(self) -> object:
        """Which rows are read now; None while they cannot be."""
        try:
            self._read()
        except Unknown:
            return None
        return self._stamp

    def _read(self) -> None:
        try:
            found = self.path.stat()
        except OSError as error:
            raise Unknown(f"the price file {self.path.name} cannot be read: {error.strerror}") from error
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        if found.st_size > _MAX_BYTES:
            raise Unknown(f"the price file {self.path.name} is larger than {_MAX_BYTES} bytes")
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                self._rows = sorted(_parse(row) for row in csv.DictReader(file))
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise Unknown(f"the price file {self.path.name} cannot be read: {error}") from error
        self._stamp = stamp


def _parse(row: dict[str, str]) -> tuple[datetime, int]:
    return parse_utc(row["at"]).astimezone(UTC), parse_units(row["usd"], _DECIMALS)


class ConfiguredPrices:
    """`PriceBook` over the configured sources; the first that names an asset serves it. `editions` says of each source
    when it changes (`DatedPrices`).
    """

    def __init__(
        self,
        sources: Iterable[tuple[Asset, Quote]],
        editions: Iterable[Edition] = (lambda: None,),
        feeds: Iterable[OraclePrices] = (),
    ) -> None:
        self._editions = tuple(editions)
        self._feeds = tuple(feeds)
        self._quotes: dict[AssetId, tuple[Asset, Quote]] = {}
        for asset, quote in sources:
            self._quotes.setdefault(asset.id, (asset, quote))

    def edition(self) -> object:
        """Another one whenever a price of the past may be another; None while some source does not know."""
        found = tuple(edition() for edition in self._editions)
        return None if None in found else found

    def refresh(self) -> None:
        """Read every feed, so that judging need not wait for a node."""
        for feed in self._feeds:
            feed.read()

    def close(self) -> None:
        """Give back the connections of feeds."""
        for feed in self._feeds:
            feed.close()

    def price(self, asset: AssetId, at: datetime) -> Price:
        """The price in force at `at`."""
        if asset not in self._quotes:
            raise Unknown(f"no price is configured for {asset}")
        known, quote = self._quotes[asset]
        usd_e8, source, as_of = quote(at)
        return Price(asset, usd_e8, known.decimals, source, as_of)


def open_prices(settings: Settings) -> ConfiguredPrices:
    """The price book of a configuration."""
    sources: list[tuple[Asset, Quote]] = []
    editions: list[Edition] = []
    feeds: list[OraclePrices] = []
    for price in settings.prices:
        quote: Quote
        edition: Edition = _no_edition
        if price.path is not None:
            file = PriceFile(price.path, price.max_age)
            quote, edition = file.quote, file.edition
        elif price.usd is not None:
            quote, edition = _fixed(price.usd), _fixed_edition
        else:
            feed = _open_feed(settings, price)
            quote, edition = feed.quote, feed.edition
            feeds.append(feed)
        editions.append(edition)
        sources += [(asset, quote) for asset in settings.priced_assets(price)]
    return ConfiguredPrices(sources, editions, feeds)


def _no_edition() -> object:
    return None


def _fixed_edition() -> object:
    return "fixed"


def _fixed(usd_e8: int) -> Quote:
    return lambda _at: (usd_e8, "configuration", None)


def _open_feed(settings: Settings, price: PriceSettings) -> OraclePrices:
    """By the nodes of its chain; they are asked for a price and nothing else, and soon."""
    chain, address = settings.feed_of(price)

    def open_now() -> PriceOracle:
        endpoints = tuple(replace(endpoint, notifier_url="") for endpoint in settings.source_spec(chain).endpoints)
        spec = replace(settings.source_spec(chain), endpoints=endpoints, timeout_secs=FEED_TIMEOUT_SECS)
        return family_of(spec.chain).open_price_oracle(spec, address)

    return OraclePrices(f"chainlink {address} on {chain.name}", open_now, price.max_age)
