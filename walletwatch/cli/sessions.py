"""What every command starts from: the configuration and the database it names, opened only when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import typer

from walletwatch.cli.filters import read_zone
from walletwatch.domain.objects import Names

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
        from walletwatch.service.deploying import check_rule
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
