"""One command's configuration and store, and the listings read from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import read_chain, read_choice, read_tx, read_window, read_zone
from walletwatch.domain.objects import Names
from walletwatch.labels.label_book import LabelBook
from walletwatch.output.tables import Format, Listing, Row, render, render_one, with_whole_units

if TYPE_CHECKING:
    from walletwatch.settings import Settings
    from walletwatch.store import Store, UnitOfWork

DEFAULT_CONFIG = Path("config/walletwatch.toml")
CONFIG_VARIABLE = "WALLETWATCH_CONFIG"


@dataclass
class Session:
    """One run of the command. `config` is what `--config` said."""

    config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def path(self) -> Path:
        """`--config`, else the variable, else `config/walletwatch.toml`."""
        if self.config is not None:
            return self.config
        named = self.environ.get(CONFIG_VARIABLE)
        return Path(named) if named else DEFAULT_CONFIG

    @cached_property
    def settings(self) -> Settings:
        """The configuration without the addresses in files; secrets are looked for when they are used. Raises
        SettingsError.
        """
        return self.load(need_secrets=False, need_addresses=False)

    def load(self, *, need_secrets: bool, need_addresses: bool = True) -> Settings:
        """The configuration, rules included. Raises SettingsError with every fault."""
        from walletwatch.service.deployment import check_rule
        from walletwatch.settings import load

        return load(
            self.path,
            environ=self.environ,
            need_secrets=need_secrets,
            need_addresses=need_addresses,
            rule_check=check_rule,
        )

    @contextmanager
    def store(self, *, current: bool = True) -> Iterator[Store]:
        """The database. Raises StoreError if it cannot be used, or, with `current`, is not at the newest revision."""
        from walletwatch.store import open_store

        store = open_store(self.settings.store.url.reveal())
        try:
            if current:
                store.require_current()
            yield store
        finally:
            store.close()

    @contextmanager
    def reading(self) -> Iterator[UnitOfWork]:
        """A view of the database that changes nothing."""
        with self.store() as store, store.reading() as unit:
            yield unit

    @contextmanager
    def writing(self) -> Iterator[UnitOfWork]:
        """A transaction; its audit entries are written with it."""
        with self.store() as store, store.transaction() as unit:
            yield unit

    def zone(self, tz: str | None) -> ZoneInfo:
        """The zone of `--tz`, else the configured one."""
        return self.settings.zone if tz is None else read_zone(tz)

    def chain_ids(self) -> dict[str, str]:
        """CAIP-2 ids by configured name."""
        return {chain.name: str(chain.id) for chain in self.settings.chains}

    def names(self, labels: Mapping[str, str] | None = None) -> Names:
        """What chains, assets and addresses are called."""
        chains = {str(chain.id): chain.name for chain in self.settings.chains}
        return Names(self.settings.asset_index, chains, labels or {})


def session_of(context: typer.Context) -> Session:
    """The session the main callback made."""
    session = context.obj
    return session if isinstance(session, Session) else Session()


if TYPE_CHECKING:
    from chains.model import ChainId
    from walletwatch.store import UnitOfWork
    from walletwatch.store.statements import Filter

SEVERITIES = ("critical", "high", "medium", "low", "info")
VERDICTS = ("violation", "undetermined")
STATES = {
    "outflows": ("seen", "included", "final", "orphaned", "replaced"),
    "alerts": ("open", "acknowledged", "silenced", "closed"),
}


def make_filter(
    session: Session,
    *,
    since: str | None = None,
    until: str | None = None,
    tz: str | None = None,
    chain: str | None = None,
    tx: str | None = None,
    severity: str | None = None,
    verdict: str | None = None,
    **equal: Any,
) -> Filter:
    """The store's filter for these options; `equal` are taken as they are. Raises UsageProblem."""
    from walletwatch.store.statements import Filter

    start, end = read_window(since, until, session.zone(tz))
    return Filter(
        since=start,
        until=end,
        chain=read_chain(chain, session.chain_ids()),
        tx=read_tx(tx),
        severity=read_choice(severity, SEVERITIES, "--severity"),
        verdict=read_choice(verdict, VERDICTS, "--verdict"),
        **equal,
    )


def show_rows(rows: Iterable[Row], listing: Listing, form: Format) -> None:
    """Write a listing."""
    sys.stdout.write(render(list(rows), listing, form))


def show_object(row: Row, form: Format) -> None:
    """Write one object; tables and Markdown say amounts in whole units too."""
    sys.stdout.write(render_one(with_whole_units(row) if form in (Format.TABLE, Format.MD) else row, form))


def not_found(what: str, name: str, command: str) -> UsageProblem:
    """There is no such thing; `command` lists those there are."""
    return UsageProblem(f'there is no {what} "{name[:80]}"', hint=f"`walletwatch {command}` lists them")


def labels_of(unit: UnitOfWork, addresses: Iterable[tuple[ChainId, str]], at: datetime) -> dict[str, str]:
    """The surest label of each address that has one, as of `at`."""
    wanted = list(dict.fromkeys(addresses))
    texts = {form for _, text in wanted for form in (text, text.lower())}
    book = LabelBook(unit.labels.of_addresses(texts))
    found = {text: book.lookup(chain, text, at) for chain, text in wanted}
    return {text: labels[0].label for text, labels in found.items() if labels}


def by_fields(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The fields of rows whose objects differ, in order of first sight."""
    return tuple(dict.fromkeys(key for row in rows for key in row))
