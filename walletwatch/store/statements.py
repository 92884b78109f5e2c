"""Statements compiled once, insertions that ignore or overwrite what is there, filters of listings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from chains.model import TxId


@dataclass(frozen=True, slots=True)
class Filter:
    """None means "any". Times are half-open [since, until); `chain` is the CAIP-2 text; no limit unless given."""

    since: datetime | None = None
    until: datetime | None = None
    chain: str | None = None
    tx: TxId | None = None
    wallet: str | None = None
    asset: str | None = None
    state: str | None = None
    rule: str | None = None
    severity: str | None = None
    verdict: str | None = None
    mode: str | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    request_id: str | None = None
    limit: int | None = None


def narrow(
    query: Select[Any], wanted: Filter, columns: Any, time: str, fields: Sequence[tuple[str, str]]
) -> Select[Any]:
    """Apply `wanted` to `query`: `time` names the time column, `fields` pairs a filter's name with its column."""
    if wanted.since is not None:
        query = query.where(columns[time] >= wanted.since)
    if wanted.until is not None:
        query = query.where(columns[time] < wanted.until)
    for name, column in fields:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[column] == value)
    return query if wanted.limit is None else query.limit(wanted.limit)


def _insert(dialect: str, table: Table) -> Any:
    module = postgresql if dialect == "postgresql" else sqlite
    return module.insert(table)


def inserting_new(table: Table, **made: Any) -> Statement:
    """Insert a row unless any unique key is taken. `made` columns are made by the database; rows give those that have
    no default.
    """
    names = [c.name for c in table.columns if c.name not in made and c.autoincrement is not True]

    def build(dialect: str) -> Any:
        statement = _insert(dialect, table)
        return (statement.values(made) if made else statement).on_conflict_do_nothing()

    return Statement(build, names)


def overwriting(table: Table, keys: Sequence[str]) -> Statement:
    """Insert a row, or overwrite every other column where `keys` are taken."""
    names = [c.name for c in table.columns]

    def build(dialect: str) -> Any:
        statement = _insert(dialect, table)
        changed = {name: statement.excluded[name] for name in names if name not in keys}
        return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)

    return Statement(build, names)


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert unless any unique key is taken; True if the row is new."""
    # Without preserve_rowcount an INSERT through psycopg reports -1 rows, new or not.
    statement = _insert(connection.dialect.name, table).values(dict(row)).on_conflict_do_nothing()
    statement = statement.execution_options(preserve_rowcount=True)
    return bool(connection.execute(statement).rowcount == 1)


def insert_all_if_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those rows whose keys are free."""
    if rows:
        connection.execute(_insert(connection.dialect.name, table).on_conflict_do_nothing(), [dict(r) for r in rows])


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Insert, or overwrite every other column where `keys` are taken."""
    statement = _insert(connection.dialect.name, table).values(dict(row))
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))


Convert = Callable[[Any], Any]
Build = Callable[[str], Executable]
"""Of a dialect's name. What is asked for is bound by name; an INSERT takes its table's columns."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    binds: tuple[tuple[str, Any, Convert | None], ...]
    """(name, what it is if not given, how to write it) in the order of the text."""
    results: tuple[tuple[int, Convert], ...]
    """(place in the row, how to read it) of the columns that are not the driver's own."""
    width: int

    def bind(self, given: Mapping[str, Any]) -> list[Any]:
        values = []
        for name, default, convert in self.binds:
            value = given.get(name, default)
            values.append(value if convert is None else convert(value))
        return values


class Statement:
    """One statement. Rows come as tuples, in the order of its columns."""

    def __init__(self, build: Build, columns: Sequence[str] | None = None) -> None:
        self._build = build
        self._columns = columns
        self._built: dict[str, Executable] = {}
        self._compiled: _Compiled | None = None

    def rows(self, connection: Connection, **given: Any) -> Sequence[Any]:
        """Every row."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._for(connection), given).all()
        compiled = self._compile(connection)
        cursor = _send(connection, compiled.text, compiled.bind(given))
        found = cursor.fetchall()
        cursor.close()
        return _read(compiled, found) if compiled.results else found

    def row(self, connection: Connection, **given: Any) -> Any:
        """The first row, or None."""
        found = self.rows(connection, **given)
        return found[0] if found else None

    def run(self, connection: Connection, given: Mapping[str, Any]) -> int:
        """Write; how many rows were."""
        if connection.dialect.name != "sqlite":
            # Without preserve_rowcount an INSERT through psycopg reports -1 rows, new or not.
            statement = self._for(connection).execution_options(preserve_rowcount=True)
            return int(connection.execute(statement, given).rowcount)
        compiled = self._compile(connection)
        cursor = _send(connection, compiled.text, compiled.bind(given))
        count = int(cursor.rowcount)
        cursor.close()
        return count

    def run_all(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write once for each of `rows`."""
        if connection.dialect.name != "sqlite":
            every = list(rows)
            if every:
                connection.execute(self._for(connection), every)
            return
        compiled = self._compile(connection)
        for given in rows:
            _send(connection, compiled.text, compiled.bind(given)).close()

    def _for(self, connection: Connection) -> Executable:
        name = connection.dialect.name
        if name not in self._built:
            self._built[name] = self._build(name)
        return self._built[name]

    def _compile(self, connection: Connection) -> _Compiled:
        if self._compiled is None:
            self._compiled = _compile(self._for(connection), connection.dialect, self._columns)
        return self._compiled


def _compile(statement: Any, dialect: Dialect, columns: Sequence[str] | None) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
    binds = []
    for name in compiled.positiontup or ():
        bound = compiled.binds[name]
        convert = bound.type.dialect_impl(dialect).bind_processor(dialect)
        binds.append((name, compiled.params.get(name), convert))
    found = list(statement.selected_columns) if isinstance(statement, Select) else []
    readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in found]
    results = tuple((n, reader) for n, reader in enumerate(readers) if reader is not None)
    return _Compiled(str(compiled), tuple(binds), results, len(found))


def _read(compiled: _Compiled, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    read = []
    for row in rows:
        values = list(row)
        for place, convert in compiled.results:
            values[place] = convert(values[place])
        read.append(tuple(values))
    return read


def _send(connection: Connection, text: str, values: Sequence[Any]) -> Any:
    """Through the driver, on the connection's own transaction. Who listens to statements hears of it."""
    driver = connection.connection.dbapi_connection
    cursor = driver.cursor()  # type: ignore[union-attr]
    for told in connection.dispatch.before_cursor_execute:
        told(connection, cursor, text, values, None, False)
    module = connection.dialect.loaded_dbapi
    try:
        cursor.execute(text, values)
    except module.Error as error:
        raise DBAPIError.instance(text, None, error, module.Error, hide_parameters=True) from error
    return cursor
