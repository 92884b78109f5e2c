"""One deployment, put together: store, rules, approvals, alert_writer, workers, dispatcher."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from chains.registry import format_hash, open_source
from chains.source import ChainSource
from walletwatch import __version__
from walletwatch.alerts.alert_writer import AlertWriter
from walletwatch.alerts.console import ConsoleNotifier
from walletwatch.alerts.dispatcher import Dispatcher, Sink, StoreOutbox
from walletwatch.alerts.ports import Notifier
from walletwatch.alerts.slack import SlackNotifier
from walletwatch.alerts.webhook import WebhookNotifier
from walletwatch.audit.notes import SigningKey, sign_checkpoint
from walletwatch.domain.times import Clock, utc_now
from walletwatch.labels.label_book import LabelBook
from walletwatch.service.deployment import deploy, load_labels, names_of, open_feeds
from walletwatch.service.prices import ConfiguredPrices
from walletwatch.settings import Settings
from walletwatch.settings.chains import ChainSettings
from walletwatch.store import Store, UnitOfWork, open_store
from walletwatch.watch.approval_service import ApprovalService
from walletwatch.watch.feed_reader import FeedReader
from walletwatch.watch.judging import Judge
from walletwatch.watch.unpaid_check import UnpaidCheck
from walletwatch.watch.worker import ChainWorker


class Application:
    """Everything that works for one deployment. Opens connections only when they are needed; close it when done."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        console: TextIO | None = None,
        labels: LabelBook | None = None,
        before: Application | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.labels = load_labels(settings, store) if labels is None else labels
        self.deployment = deploy(settings, self.labels, store.clock)
        self.names = names_of(settings)
        self.sinks = dict(zip(settings.sink_names, settings.sinks, strict=True))
        self.alert_writer = AlertWriter(tuple(self.sinks), self.names)
        self.approvals: ApprovalService = ApprovalService(
            settings.people(),
            settings.approval_policies(),
            self.deployment.prices.price,
            configured=bool(settings.feeds),
            before=None if before is None else before.approvals,
        )
        self.judge = Judge(self.deployment, self.approvals, self.alert_writer)
        self._open: ExitStack = ExitStack() if before is None else before._open  # noqa: SLF001 - of its own kind
        if before is None:
            self._open.callback(store.close)
        if isinstance(self.deployment.prices, ConfiguredPrices):
            self._open.callback(self.deployment.prices.close)
        self.feeds = FeedReader(store, self.judge, open_feeds(settings, self._open))
        self.unpaid = UnpaidCheck(store, self.judge)
        self._console = console or sys.stdout

    @classmethod
    def open(cls, settings: Settings, *, console: TextIO | None = None, clock: Clock = utc_now) -> Self:
        """Open the store, which must be at the newest revision. Raises StoreError."""
        store = open_store(settings.store.url.reveal(), clock)
        store.require_current()
        return cls(settings, store, console=console)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back everything that was opened, by those before and after it too."""
        self._open.close()

    def successor(self, settings: Settings) -> Application:
        """Another configuration on the same database, to take this one's place while both may judge. Raises what the
        parts of a configuration raise that do not fit together.
        """
        return Application(settings, self.store, console=self._console, before=self)

    # --- chains -------------------------------------------------------------------------------------------------------

    def source(self, chain: ChainSettings, record_to: Path | None = None) -> ChainSource:
        """A new source for the caller, closed with the application."""
        source = open_source(self.settings.source_spec(chain, record_to))
        self._open.callback(source.close)
        return source

    def worker(self, chain: ChainSettings, source: ChainSource | None = None) -> ChainWorker:
        """The worker of one chain."""
        watched = self.deployment.chains[chain.id]
        return ChainWorker(watched, source or self.source(chain), self.store, self.judge, self.feeds)

    def workers(self) -> list[ChainWorker]:
        """One a configured chain, in order."""
        return [self.worker(chain) for chain in self.settings.chains]

    def read_prices(self) -> None:
        """Read every price feed before it is needed. Raises nothing of a node's."""
        if isinstance(self.deployment.prices, ConfiguredPrices):
            self.deployment.prices.refresh()

    # --- telling ------------------------------------------------------------------------------------------------------

    def notifier(self, name: str) -> Notifier:
        """The way to one sink. Raises SecretMissing."""
        sink = self.sinks[name]
        if sink.type == "slack" and sink.token is not None and sink.channel is not None:
            return SlackNotifier(name, sink.token.reveal(), sink.channel, sink.slack_url().reveal())
        if sink.type == "webhook" and sink.url is not None:
            secret = b"" if sink.secret is None else sink.secret.reveal().encode()
            return WebhookNotifier(name, sink.url.reveal(), secret)
        return ConsoleNotifier(name, self._console)

    def dispatcher(self) -> Dispatcher:
        """Sends what is due to every sink."""
        outbox = StoreOutbox(self.store, self.names, self.deployment.labels)
        sinks = {name: Sink(self.notifier(name), sink.min_severity) for name, sink in self.sinks.items()}
        return Dispatcher(outbox, sinks, clock=self.store.clock)

    # --- proving ------------------------------------------------------------------------------------------------------

    def signing_key(self) -> SigningKey:
        """The audit log's key. Raises SecretMissing, or ValueError for what is no Ed25519 key."""
        audit = self.settings.audit
        return SigningKey.from_pem(audit.origin, audit.signing_key.reveal().encode())

    def checkpoint(self) -> str:
        """Sign the log's head, with where every chain stands recorded just before it."""
        key = self.signing_key()
        with self.store.transaction() as unit:
            unit.audit.append("walletwatch", "watch.progress", "chains", {"cursors": self._cursors(unit)})
            head = unit.audit.flush()
            note = sign_checkpoint(key, head.size, head.root)
            unit.audit.add_checkpoint(head.size, note)
        return note

    def _cursors(self, unit: UnitOfWork) -> dict[str, dict[str, int | str]]:
        found: dict[str, dict[str, int | str]] = {}
        for chain in self.settings.chains:
            cursor = unit.chain_state.cursor(chain.id)
            if cursor is not None:
                found[str(chain.id)] = {"height": cursor.ref.height, "hash": format_hash(chain.id, cursor.ref.hash)}
        return found

    def record(self, actor: str, action: str, subject: str, **payload: str) -> None:
        """One audit entry of its own: an administrative act."""
        with self.store.transaction() as unit:
            unit.audit.append(actor, action, subject, payload)

    def record_start(self) -> None:
        """The service began, with which configuration and rules."""
        self.record(
            "walletwatch",
            "service.started",
            "service",
            version=__version__,
            configuration=self.settings.digest,
            rules=self.deployment.rules_digest,
        )
        self.keep_policies()

    def keep_policies(self) -> None:
        """From now on approvals count by the policies of this configuration; earlier ones by those of their time."""
        with self.approvals.held(), self.store.transaction() as unit:
            self.approvals.keep_policies(unit)
