"""Warnings that need a node, a price feed or the database: what of the configuration contradicts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chains.errors import ChainError
from chains.model import AssetId
from chains.registry import family_of
from walletwatch.domain.prices import USD_SCALE, Unknown
from walletwatch.domain.times import Clock, utc_now
from walletwatch.domain.wallets import AddressRange, Perimeter, Wallet
from walletwatch.service.prices import open_prices
from walletwatch.settings import Problem, Settings
from walletwatch.settings.chains import PriceSettings
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.warnings.chains import DOLLARS
from walletwatch.store import Store

_FACTOR = 100
_WIDE_GAP = 1000
"""As far as an earlier configuration looked by default."""


def warn_of_decimals(settings: Settings, tables: PartialSettings) -> Iterator[Problem]:
    """Tokens whose contract has other decimals than the configuration: every amount and limit of them is wrong."""
    for entry in tables.lists["asset"]:
        asset: AssetId = entry.value.id
        read = family_of(asset.chain).decimals_reader
        if read is None or asset.namespace == "slip44":
            continue
        try:
            found = read(settings.source_spec(settings.chain(str(asset.chain))), asset)
        except ChainError:
            continue  # told by the probe of the node
        if found is not None and found != entry.value.decimals:
            message = f"the contract of {entry.value.symbol} says {found}: every amount of it would be wrong"
            yield entry.problem("decimals", message, f"decimals = {found}")


def warn_of_prices(settings: Settings, tables: PartialSettings, clock: Clock = utc_now) -> Iterator[Problem]:
    """Fixed prices off by a factor of a hundred from what a feed or file says of the same symbol; dollars that a feed
    or file prices at less than half or more than two.
    """
    read = dict(_read_prices(settings, clock))
    for entry in tables.lists["price"]:
        price: PriceSettings = entry.value
        symbols = {asset.symbol for asset in settings.priced_assets(price)}
        for symbol, (source, usd_e8) in read.items():
            if symbol not in symbols:
                continue
            low, high = sorted((price.usd or usd_e8, usd_e8))
            if price.usd is not None and high >= _FACTOR * low:
                message = f"{symbol} is worth a hundred times more or less by {source}"
                yield entry.problem("usd", message, "correct the price, or use the feed for both")
            if price.source != "fixed" and symbol in DOLLARS and not USD_SCALE // 2 <= usd_e8 <= 2 * USD_SCALE:
                key = "feed" if price.source == "chainlink" else "path"
                yield entry.problem(key, f"{symbol} stands for one dollar, and {source} says otherwise", "check it")


def _read_prices(settings: Settings, clock: Clock) -> Iterator[tuple[str, tuple[str, int]]]:
    """(symbol, (source, 1e-8 USD)) of every price that is read from somewhere now."""
    prices = open_prices(settings)
    try:
        for price in settings.prices:
            if price.source == "fixed":
                continue
            for asset in settings.priced_assets(price)[:1]:
                try:
                    found = prices.price(asset.id, clock())
                except Unknown:
                    continue  # told by the probe of the price
                yield asset.symbol, (found.source, found.usd_e8)
    finally:
        prices.close()


def warn_of_gaps(settings: Settings, tables: PartialSettings, store: Store) -> Iterator[Problem]:
    """Descriptors with a gap limit below the gaps between the addresses that were used."""
    for entry in tables.lists["wallet"]:
        name = entry.value.name
        branches = settings.branches_of(name)
        if not branches:
            continue
        chain = settings.reader.chain(entry.value.chain)
        perimeter = Perimeter(chain)
        for branch in branches:
            own = Wallet(name, entry.value.role, chain)
            perimeter.add_range(own, branch.derive, max(_WIDE_GAP, entry.value.gap_limit))
        with store.reading() as unit:
            used = frozenset(unit.ledger.used_addresses(chain))
        while perimeter.use(used):
            pass  # what lies beyond the first gap is known once that has moved
        widest = max(_widest_gap(perimeter, row, used) for row in perimeter.ranges)
        if widest > entry.value.gap_limit:
            message = f"{widest} addresses lie between two that were used: the later one is not watched"
            yield entry.problem("gap_limit", message, f"write at least {widest}; leave it out for {_WIDE_GAP}")


def _widest_gap(perimeter: Perimeter, row: AddressRange, used: frozenset[bytes]) -> int:
    indexes: Sequence[int] = sorted(
        index for key, (found, index) in perimeter.indices.items() if found is row and key in used
    )
    return max((later - before for before, later in zip((-1, *indexes), indexes, strict=False)), default=0)
