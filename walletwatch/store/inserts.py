"""INSERT … ON CONFLICT, spelled alike for both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def _insert(connection: Connection, table: Table) -> Any:
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    return module.insert(table)


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert unless any unique key is taken; True if the row is new."""
    # Without preserve_rowcount an INSERT through psycopg reports -1 rows, new or not.
    statement = _insert(connection, table).values(dict(row)).on_conflict_do_nothing()
    statement = statement.execution_options(preserve_rowcount=True)
    return bool(connection.execute(statement).rowcount == 1)


def insert_all_if_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those rows whose keys are free."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), [dict(r) for r in rows])


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Insert, or overwrite every other column where `keys` are taken."""
    statement = _insert(connection, table).values(dict(row))
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))
