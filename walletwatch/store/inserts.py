"""INSERT … ON CONFLICT, spelled alike for both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from walletwatch.store.statements import Statement


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
