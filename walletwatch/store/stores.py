"""Opening a database, and transactions on it: one unit of work each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from walletwatch.domain.times import Clock, utc_now
from walletwatch.store.alerts import AlertRepository
from walletwatch.store.approvals import ApprovalRepository
from walletwatch.store.audits import AuditRepository
from walletwatch.store.cases import CaseRepository
from walletwatch.store.chain_state import ChainStateRepository
from walletwatch.store.findings import FindingRepository
from walletwatch.store.history import HistoryRepository
from walletwatch.store.labels import LabelRepository
from walletwatch.store.ledger import LedgerRepository
from walletwatch.store.outflows import OutflowRepository

BUSY_TIMEOUT_MS = 30_000


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///…` or `postgresql://…` (psycopg 3). Raises ValueError for anything else."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "options": "-c timezone=utc"},
        )
    if backend != "sqlite":
        raise ValueError(f"the store needs sqlite or postgresql, not {backend}")
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    """WAL and synchronous=FULL: a committed alert survives a power cut."""
    connection.isolation_level = None  # the driver must not begin transactions on its own
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """BEGIN IMMEDIATE for writers: six threads x 100 read-then-append gave 600 rows and no error; a plain BEGIN 138
    rows and 462 errors in spite of a 10 s busy timeout.
    """
    mode = "" if connection.get_execution_options().get("walletwatch_reading") else " IMMEDIATE"
    connection.exec_driver_sql(f"BEGIN{mode}")


class UnitOfWork:
    """`now` is the one time at which everything in this transaction happens.

    `failures` counts the transactions of this process that were undone before; `alone` tells that nobody else can write
    meanwhile (SQLite).
    """

    def __init__(self, connection: Connection, now: datetime, failures: int = 0) -> None:
        self.now = now
        self.failures = failures
        self.alone = connection.dialect.name == "sqlite"
        self.chain_state = ChainStateRepository(connection)
        self.ledger = LedgerRepository(connection)
        self.outflows = OutflowRepository(connection)
        self.history = HistoryRepository(connection)
        self.approvals = ApprovalRepository(connection)
        self.findings = FindingRepository(connection)
        self.alerts = AlertRepository(connection)
        self.labels = LabelRepository(connection)
        self.cases = CaseRepository(connection)
        self.audit = AuditRepository(connection, now)


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
