"""The database as a whole: open it, migrate it, begin transactions on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from walletwatch.domain.times import Clock, utc_now
from walletwatch.store.engines import open_engine
from walletwatch.store.units_of_work import UnitOfWork


class StoreError(Exception):
    """The database cannot be used; the message says why and what to do, without the password."""


class Store:
    """Hands out units of work. Safe to share between threads; each transaction has its own connection."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self.engine = engine
        self.clock = clock
        self.failures = 0
        """Transactions that were undone: what they taught anybody is not so."""

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """A writing transaction: commits at the end, with its audit entries last; rolls back on any exception."""
        try:
            with self.engine.begin() as connection:
                unit = UnitOfWork(connection, self.clock(), self.failures)
                yield unit
                unit.audit.flush()
        except BaseException:
            self.failures += 1
            raise

    @contextmanager
    def reading(self) -> Iterator[UnitOfWork]:
        """A consistent view that takes no write lock and is always rolled back."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(walletwatch_reading=True)
            transaction = connection.begin()
            try:
                yield UnitOfWork(connection, self.clock())
            finally:
                transaction.rollback()

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on it at the same time: PostgreSQL is, SQLite belongs to one daemon."""
        return self.engine.dialect.name != "sqlite"

    @property
    def public_url(self) -> str:
        """The URL with its password starred out."""
        return self.engine.url.render_as_string(hide_password=True)

    # --- migrations ---------------------------------------------------------------------------------------------------

    def revision(self) -> str | None:
        """The revision the database is at, None if empty."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    @staticmethod
    def newest_revision() -> str | None:
        """The revision this program needs."""
        return ScriptDirectory.from_config(_alembic()).get_current_head()

    def upgrade(self) -> None:
        """Bring the database to the newest revision; nothing if it is there."""
        config = _alembic()
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def require_current(self) -> None:
        """Raise StoreError unless the database is at the newest revision."""
        try:
            revision = self.revision()
        except SQLAlchemyError as error:
            raise unusable(self.public_url, error) from error
        if revision != self.newest_revision():
            found = "is empty" if revision is None else f"is at revision {revision}"
            raise StoreError(
                f"the database {self.public_url} {found}, this program needs {self.newest_revision()}: "
                "run `walletwatch db upgrade`"
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def unusable(url: str, error: SQLAlchemyError) -> StoreError:
    """What to tell a person of a database error: the driver's own words, without statement, parameters or password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    words = str(cause).strip().splitlines()
    return StoreError(f"the database {url} cannot be used: {words[0] if words else type(error).__name__}")


def open_store(url: str, clock: Clock = utc_now) -> Store:
    """The store at `url`; SQLite's folder is made. Raises StoreError for a URL that names no usable database."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = open_engine(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"not a database URL (sqlite:///PATH or postgresql://…): {type(error).__name__}") from error
    return Store(engine, clock)
