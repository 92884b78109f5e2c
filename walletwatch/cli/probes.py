"""Whether database, nodes, prices, approval feeds and sinks answer as the configuration says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chains.errors import ChainError, PermanentError, WrongChain
from chains.model import AssetId, format_units
from chains.registry import family_of, open_source
from chains.source import ChainSource, WatchSet
from walletwatch.alerts.ports import Notifier, Sent, SinkRefused
from walletwatch.approvals.act_sources import ActSource, FeedUnreadable, PostedFeed
from walletwatch.cli.errors import Exit, Unavailable, UsageProblem
from walletwatch.domain.prices import Unknown
from walletwatch.domain.times import format_utc, utc_now
from walletwatch.service.application import Application
from walletwatch.service.live_warnings import warn_of_decimals, warn_of_gaps, warn_of_prices
from walletwatch.service.prices import ConfiguredPrices, open_prices
from walletwatch.settings import Problem, Settings
from walletwatch.settings.chains import ChainSettings
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.store import Store, StoreError, open_store


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer of one part. `code` is FINE, USAGE (configured wrongly) or UNREACHABLE."""

    what: str
    said: str
    code: Exit = Exit.FINE


def probe(settings: Settings, tables: PartialSettings, tell: Callable[[Probe | Problem], None]) -> None:
    """Check every part and `tell` each answer, and each warning of what contradicts the configuration. Raises if an
    answer is bad.
    """
    answers: list[Probe] = []
    for answer in _check(settings, tables):
        tell(answer)
        if isinstance(answer, Probe):
            answers.append(answer)
    bad = [answer for answer in answers if answer.code is not Exit.FINE]
    if any(answer.code is Exit.UNREACHABLE for answer in bad):
        raise Unavailable(f"{len(bad)} of {len(answers)} checks failed", where=", ".join(a.what for a in bad))
    if bad:
        raise UsageProblem(f"{len(bad)} of {len(answers)} checks failed", where=", ".join(a.what for a in bad))


def _check(settings: Settings, tables: PartialSettings) -> Iterator[Probe | Problem]:
    database = _check_store(settings)
    yield database
    for chain in settings.chains:
        yield from _check_chain(settings, chain)
    yield from warn_of_decimals(settings, tables)
    yield from _check_prices(settings)
    yield from warn_of_prices(settings, tables)
    if database.code is Exit.FINE:
        with Application.open(settings) as application:
            yield from warn_of_gaps(settings, tables, application.store)
            for feed in application.feeds.sources:
                yield _check_feed(feed, application.store)
            for name in application.sinks:
                yield _check_sink(application.notifier(name))


def _check_store(settings: Settings) -> Probe:
    store = open_store(settings.store.url.reveal())
    try:
        store.require_current()
    except StoreError as error:
        return Probe("database", str(error), Exit.USAGE if "db upgrade" in str(error) else Exit.UNREACHABLE)
    else:
        return Probe("database", f"{store.public_url}, revision {store.revision()}")
    finally:
        store.close()


def _check_chain(settings: Settings, chain: ChainSettings) -> Iterator[Probe]:
    """Identity first: a node of another chain is not asked further."""
    source = open_source(settings.source_spec(chain))
    try:
        identity = _try(f"{chain.name} identity", source, _identify)
        yield identity
        if identity.code is Exit.FINE:
            yield _try(f"{chain.name} blocks", source, _read_blocks)
            yield _try(f"{chain.name} mempool", source, _read_pending)
            for wallet in settings.wallets_of(chain.id):
                yield _try(f"{chain.name} balance of {wallet.name}", source, _balance_reader(settings, wallet.name))
        for endpoint in source.health():
            trouble = f": {endpoint.last_error}" if endpoint.last_error else ""
            code = Exit.FINE if endpoint.state == "ok" else Exit.UNREACHABLE
            yield Probe(f"{chain.name} node {endpoint.name}", f"{endpoint.state}{trouble}", code)
    finally:
        source.close()


def _try(what: str, source: ChainSource, ask: Callable[[ChainSource], str]) -> Probe:
    try:
        return Probe(what, ask(source))
    except WrongChain as error:
        return Probe(what, str(error), Exit.UNREACHABLE)
    except PermanentError as error:
        return Probe(what, f"the node cannot answer: {error}", Exit.USAGE)
    except ChainError as error:
        return Probe(what, str(error), Exit.UNREACHABLE)


def _identify(source: ChainSource) -> str:
    source.identify()
    return f"follows {source.chain}"


def _read_blocks(source: ChainSource) -> str:
    tip = source.tip()
    facts = source.block(tip.height, WatchSet())
    gaps = f"; does not show: {', '.join(facts.gaps)}" if facts.gaps else ""
    return f"tip {tip}, final up to {source.final_height()}{gaps}"


def _read_pending(source: ChainSource) -> str:
    return "shown" if source.pending(WatchSet()).supported else "not shown: outflows are seen when included"


def _balance_reader(settings: Settings, wallet: str) -> Callable[[ChainSource], str]:
    """Asks what the first address of a wallet holds: the conservation check depends on it (account chains)."""

    def ask(source: ChainSource) -> str:
        addresses = settings.addresses_of(wallet)
        if family_of(source.chain).keeps_coins:
            return "read from unspent outputs" if addresses else "no address"
        units = source.balance(addresses[0], source.native.id, source.tip())
        return f"{addresses[0].text} holds {units} base units of {source.native.symbol}"

    return ask


def _check_prices(settings: Settings) -> Iterator[Probe]:
    """Each price from a feed or a file, as it is now: a limit in USD is undetermined without it."""
    prices = open_prices(settings)
    try:
        for price in settings.prices:
            if price.source != "fixed":
                yield _check_price(prices, price.asset, settings.priced_assets(price)[0].id)
    finally:
        prices.close()


def _check_price(prices: ConfiguredPrices, name: str, asset: AssetId) -> Probe:
    try:
        found = prices.price(asset, utc_now())
    except Unknown as unknown:
        return Probe(f"price of {name}", str(unknown), Exit.UNREACHABLE)
    of = "" if found.at is None else f", of {format_utc(found.at)}"
    return Probe(f"price of {name}", f"{format_units(found.usd_e8, 8)} USD{of}, {found.source}")


def _check_feed(feed: ActSource, store: Store) -> Probe:
    """Reads what is new and keeps none of it."""
    what = f"approval feed {feed.name}"
    if isinstance(feed, PostedFeed):
        return Probe(what, f"is taken at {feed.location} while the daemon runs")
    with store.reading() as unit:
        known = unit.approvals.feed(feed.name)
    try:
        taken = feed.read_new({} if known is None else known.position, store.clock())
    except FeedUnreadable as error:
        return Probe(what, str(error), Exit.UNREACHABLE)
    if taken is not None and taken.rewritten:
        return Probe(what, f"{feed.location}: {taken.rewritten['change']}", Exit.UNREACHABLE)
    new = "nothing new" if taken is None else f"{len(taken.acts)} new acts, {len(taken.malformed)} malformed lines"
    return Probe(what, f"{feed.location}: {new}{' and more' if taken is not None and taken.more else ''}")


def _check_sink(notifier: Notifier) -> Probe:
    answer = notifier.check()
    if isinstance(answer, Sent):
        return Probe(f"sink {notifier.name}", "would take a message")
    code = Exit.USAGE if isinstance(answer, SinkRefused) else Exit.UNREACHABLE
    return Probe(f"sink {notifier.name}", answer.reason, code)
