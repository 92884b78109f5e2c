"""Prices as configured: fixed, from a CSV file that somebody keeps (read again when it changes), or from a feed."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chains.model import Asset, AssetId, parse_units
from chains.price_oracles import PriceOracle
from chains.registry import family_of
from walletwatch.domain.prices import USD_SCALE, Price, Unknown
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.service.price_oracles import OraclePrices
from walletwatch.settings import Settings
from walletwatch.settings.chains import PriceSettings

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
