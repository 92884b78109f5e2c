"""The table of another database that holds approval acts: read, never written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from walletwatch.approvals.act_sources import FeedUnreadable
from walletwatch.approvals.acts import MAX_LINE
from walletwatch.approvals.table_feed import Row

CONNECT_SECS = 2
"""The shortest that PostgreSQL's client knows."""
STATEMENT_MS = 5_000


class ActTable:
    """`RowReader` by keyset: rows behind a number, in its order. Opens a connection when it is first asked."""

    def __init__(self, url: Callable[[], str], table: str, sequence: str, line: str) -> None:
        schema, _, name = table.rpartition(".")
        # What is not described is not selected: the table may have columns that are nobody's business here.
        described = Table(name, MetaData(schema=schema or None), Column(sequence, BigInteger), Column(line, Text))
        self._number = described.c[sequence]
        # A line that is too long is refused, not fetched: one row must not fill the memory.
        self._line = func.substr(cast(described.c[line], Text), 1, MAX_LINE + 1)
        self._url = url
        self._engine: Engine | None = None

    def rows_after(self, number: int, limit: int) -> Sequence[Row]:
        """Rows with higher numbers, lowest first. Raises FeedUnreadable."""
        return self._rows(self._select(limit).where(self._number > number))

    def rows_between(self, low: int, high: int, limit: int) -> Sequence[Row]:
        """Rows with numbers in (low, high], lowest first. Raises FeedUnreadable."""
        return self._rows(self._select(limit).where(self._number > low, self._number <= high))

    def close(self) -> None:
        """Give back the connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _select(self, limit: int) -> Select[Any]:
        return select(self._number, self._line).order_by(self._number).limit(limit)

    def _rows(self, query: Select[Any]) -> Sequence[Row]:
        if self._engine is None:
            self._engine = _open(self._url())
        try:
            with self._engine.connect() as connection:
                return [_row(*found) for found in connection.execute(query)]
        except (SQLAlchemyError, UnicodeError) as error:
            # Only the kind: the words of a driver may hold user, host and the statement.
            kind = type(getattr(error, "orig", None) or error).__name__
            raise FeedUnreadable(f"the table cannot be read ({kind})") from None


def _row(number: Any, line: Any) -> Row:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise FeedUnreadable("the sequence is no column of whole numbers from 0 on")
    return number, (line if isinstance(line, str) else "").encode("utf-8", "surrogatepass")


def _open(url: str) -> Engine:
    """An engine that can only read. Raises ValueError for another database than SQLite or PostgreSQL."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        options = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_MS}"
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECS, "options": options},
        )
    if backend != "sqlite" or not parsed.database:
        raise ValueError(f"a feed's table is read from sqlite or postgresql, not {backend}")
    engine = create_engine(
        f"sqlite:///file:{quote(parsed.database)}?mode=ro&uri=true", connect_args={"timeout": CONNECT_SECS}
    )
    event.listen(engine, "connect", _only_read)
    return engine


def _only_read(connection: Any, _entry: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()
