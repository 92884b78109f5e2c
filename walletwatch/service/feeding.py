"""The approval feeds of a deployment, opened as its configuration names them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from chains.registry import parse_address
from walletwatch.approvals.feeds import Feed
from walletwatch.approvals.posts import PostedFeed
from walletwatch.approvals.signatures import KeyRing
from walletwatch.approvals.sources import ActSource
from walletwatch.approvals.tables import TableFeed
from walletwatch.approvals.vendors.exports import ExportFeed
from walletwatch.approvals.vendors.records import Terms
from walletwatch.pipeline.feeds import LineAnswer
from walletwatch.service.admissions import LineRate, Secret
from walletwatch.service.endpoints import ActEndpoint, EndpointError, Rules
from walletwatch.settings import Settings
from walletwatch.settings.feeds import FeedSettings
from walletwatch.store.act_tables import ActTable

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
        return TableFeed(feed.label, place, rows, feed.signatures, ring, parse_address, feed.silent_after)
    if feed.path is not None and feed.is_vendor:
        return open_export(settings, feed, feed.path, feed.label, ring)
    if feed.path is not None:
        return Feed(feed.label, feed.path, feed.signatures, ring, parse_address, feed.silent_after)
    return PostedFeed(feed.label, feed.listen, ring, parse_address, feed.silent_after)


def open_export(settings: Settings, feed: FeedSettings, path: Path, name: str, ring: KeyRing) -> ExportFeed:
    """A vendor's export at `path`, its words read as `feed` says."""
    chain = None if feed.chain is None else settings.chain(feed.chain).id
    terms = Terms(
        people={name.lower() if feed.type == "safe" else name: ours for name, ours in (feed.people or {}).items()},
        assets={theirs: settings.reader.assets(ours)[0] for theirs, ours in (feed.assets or {}).items()},
        wallets=feed.wallets or {},
        chain=chain,
        chain_bound=tuple(int(part) for part in feed.safe_version.split(".")) >= _CHAIN_IN_DOMAIN,
        tokens=tuple(asset for asset in settings.asset_index.values() if asset.id.chain == chain),
    )
    return ExportFeed(name, path, feed.type, terms, ring, parse_address, feed.silent_after)


def open_endpoints(settings: Settings, post: Callable[[str, bytes], list[LineAnswer]]) -> Sequence[ActEndpoint]:
    """One a feed of type `http`, not listening yet; `post` keeps a body for the feed of a name. Raises EndpointError
    for a certificate that is none, SecretMissing.
    """
    return tuple(_endpoint(feed, partial(post, feed.label)) for feed in settings.feeds if feed.type == "http")


def _endpoint(feed: FeedSettings, post: Callable[[bytes], list[LineAnswer]]) -> ActEndpoint:
    secret = Secret(b"" if feed.secret is None else feed.secret.reveal().encode())
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
