"""From settings to what is watched: rules, policies, feeds, labels."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from chains.model import Address, ChainId
from chains.registry import parse_address
from walletwatch.alerts.ports import AlertNames
from walletwatch.approvals.act_sources import ActSource, PostedFeed
from walletwatch.approvals.feeds import Feed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.table_feed import TableFeed
from walletwatch.approvals.vendors.exports import ExportFeed
from walletwatch.approvals.vendors.records import RequestTerms
from walletwatch.deployment import Deployment, TraceDefaults, WatchedChain
from walletwatch.domain.findings import Severity
from walletwatch.domain.labels import Label
from walletwatch.domain.times import Clock, utc_now
from walletwatch.labels.imports import LabelFileError
from walletwatch.labels.label_book import LabelBook
from walletwatch.labels.sources import import_source
from walletwatch.rules.registry import RuleConfig, RuleErrors, configure, default_rules, rules_digest, rules_in_force
from walletwatch.service.act_endpoint import ActEndpoint, EndpointError, LineRate, PostSecret, Rules
from walletwatch.service.prices import open_prices
from walletwatch.settings import AmountReader, Review, Settings, review
from walletwatch.settings.approvals import FeedSettings
from walletwatch.settings.chains import ChainSettings
from walletwatch.store import Store
from walletwatch.store.act_tables import ActTable
from walletwatch.watch.feed_reader import LineAnswer

_log = logging.getLogger(__name__)


def load_labels(settings: Settings, store: Store) -> LabelBook:
    """Every label there is. A source that cannot be read is logged, and the rest is used: labels only add knowledge."""
    with store.reading() as unit:
        book = LabelBook(unit.labels.find())
    for source in settings.labels.sources:
        try:
            found = import_source(source, parse_address)
        except LabelFileError as error:
            _log.error("labels: %s", error)
            continue
        book.extend(found.labels)
        if found.problem_count:
            _log.warning("labels: %s: %d bad rows are left out", source.name, found.problem_count)
    return book


_CHAIN_IN_DOMAIN = (1, 3, 0)
"""From this version on what a Safe's owners sign names the chain."""


def open_feeds(settings: Settings, closing: ExitStack) -> Sequence[ActSource]:
    """One a configured feed, in order. Nothing is read yet; what they open ends with `closing`."""
    ring = KeyRing(settings.people())
    return tuple(_open(settings, feed, ring, closing) for feed in settings.feeds)


def _open(settings: Settings, feed: FeedSettings, ring: KeyRing, closing: ExitStack) -> ActSource:
    if feed.url is not None and feed.table is not None:
        rows = ActTable(feed.url.reveal, feed.table, feed.sequence, feed.line)
        closing.callback(rows.close)
        place = f"{feed.url.shown}, table {feed.table}"
        return TableFeed(
            feed.label, place, rows, feed.signatures, ring, parse_address, feed.silent_after, feed.max_late
        )
    if feed.path is not None and feed.is_vendor:
        return open_export(settings, feed, feed.path, feed.label, ring)
    if feed.path is not None:
        return Feed(feed.label, feed.path, feed.signatures, ring, parse_address, feed.silent_after, feed.max_late)
    return PostedFeed(feed.label, feed.listen, ring, parse_address, feed.silent_after, feed.max_late)


def open_export(settings: Settings, feed: FeedSettings, path: Path, name: str, ring: KeyRing) -> ExportFeed:
    """A vendor's export at `path`, its words read as `feed` says."""
    chain = None if feed.chain is None else settings.chain(feed.chain).id
    terms = RequestTerms(
        people={name.lower() if feed.type == "safe" else name: ours for name, ours in (feed.people or {}).items()},
        assets={theirs: settings.reader.assets(ours)[0] for theirs, ours in (feed.assets or {}).items()},
        wallets=feed.wallets or {},
        chain=chain,
        chain_bound=tuple(int(part) for part in feed.safe_version.split(".")) >= _CHAIN_IN_DOMAIN,
        tokens=tuple(asset for asset in settings.asset_index.values() if asset.id.chain == chain),
    )
    return ExportFeed(name, path, feed.type, terms, ring, parse_address, feed.silent_after, feed.max_late)


def open_endpoints(settings: Settings, post: Callable[[str, bytes], list[LineAnswer]]) -> Sequence[ActEndpoint]:
    """One a feed of type `http`, not listening yet; `post` keeps a body for the feed of a name. Raises EndpointError
    for a certificate that is none, SecretMissing.
    """
    return tuple(_endpoint(feed, partial(post, feed.label)) for feed in settings.feeds if feed.type == "http")


def _endpoint(feed: FeedSettings, post: Callable[[bytes], list[LineAnswer]]) -> ActEndpoint:
    secret = PostSecret(b"" if feed.secret is None else feed.secret.reveal().encode())
    rate = LineRate(feed.lines_per_minute)
    return ActEndpoint(*feed.address, Rules(secret, rate, feed.timeout.total_seconds(), _tls(feed)), post)


def _tls(feed: FeedSettings) -> ssl.SSLContext | None:
    if feed.tls_cert is None or feed.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(feed.tls_cert, feed.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(f"{feed.tls_cert}, {feed.tls_key}: {error.strerror or 'no certificate and key'}") from None
    return context


Labels = Callable[[ChainId, Address, datetime], tuple[Label, ...]]


def check_rule(table: Mapping[str, Any], amounts: AmountReader) -> Iterable[tuple[str, str]]:
    """Everything wrong with one `[[rule]]` table, by key; handed to `settings.load`."""
    try:
        configure(table, amounts=amounts)
    except RuleErrors as wrong:
        return wrong.errors
    return ()


def review_configuration(path: Path, environ: Mapping[str, str], now: datetime) -> Review:
    """Every error and every warning of a configuration, rules included."""
    types = {rule.type for rule in default_rules(feed_configured=True)}
    return review(path, now, environ=environ, rule_check=check_rule, default_rules=types)


def rules_of(settings: Settings) -> tuple[RuleConfig, ...]:
    """The rules in force: the named ones, and those that are on without being named."""
    named = [configure(rule.table(), amounts=settings.reader) for rule in settings.rules]
    return rules_in_force(named, feed_configured=bool(settings.feeds))


def watched_chain(settings: Settings, chain: ChainSettings) -> WatchedChain:
    """One chain and what is ours on it."""
    return WatchedChain(
        chain=chain.id,
        name=chain.name,
        native=settings.native_of(chain.id),
        perimeter=settings.perimeter(chain.id),
        tokens=settings.tokens_of(chain.id),
        start=None if chain.start == "tip" else int(chain.start),
        max_reorg=chain.max_reorg,
        poll_secs=chain.poll.total_seconds(),
        check_balances_secs=chain.check_balances.total_seconds(),
    )


def deploy(settings: Settings, labels: LabelBook, clock: Clock = utc_now) -> Deployment:
    """Everything the pipeline has to know."""
    rules = rules_of(settings)
    return Deployment(
        chains={c.id: watched_chain(settings, c) for c in settings.chains},
        assets=settings.asset_index,
        roles={wallet.name: wallet.role for wallet in settings.wallets},
        rules=rules,
        rules_digest=rules_digest(rules),
        prices=open_prices(settings),
        labels=lambda chain, address, at: labels.lookup(chain, address.text, at),
        feed_configured=bool(settings.feeds),
        trace=_trace_defaults(settings),
        clock=clock,
    )


def _trace_defaults(settings: Settings) -> TraceDefaults:
    trace, least = settings.trace, settings.trace_threshold()
    return TraceDefaults(
        auto_open=None if trace.auto_open == "never" else Severity(trace.auto_open),
        model=trace.model,
        min_usd_e8=least.units if least is not None and least.asset is None else 0,
        min_units=() if least is None or least.asset is None else ((least.asset.id, least.units),),
        max_hops=trace.max_hops,
    )


def names_of(settings: Settings) -> AlertNames:
    """What assets, chains and wallets are called in alerts."""
    return AlertNames(
        assets=settings.asset_index,
        chains={str(c.id): c.name for c in settings.chains},
        roles={wallet.name: wallet.role for wallet in settings.wallets},
    )
