"""Statements that are compiled once do what the same statements do when they are built at each call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import bindparam, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from walletwatch.store import Store, open_store
from walletwatch.store import tables as t
from walletwatch.store.statements import Statement, inserting_new, overwriting

NOW = datetime(2026, 11, 22, 1, 2, 3, 456_789, tzinfo=UTC)
UNITS = 2**256 - 1
ROW = {"chain": "a", "wallet": "hot", "asset": "x", "height": 7, "hash": bytes(32), "amount": UNITS, "taken_at": NOW}
FIND = Statement(lambda _: select(*t.balances.columns).where(t.balances.c.height == bindparam("height")))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path}/w.db")
    store.upgrade()
    return store


def test_values_are_written_and_read_by_the_column_types(store: Store) -> None:
    with store.engine.begin() as connection:
        assert inserting_new(t.balances).run(connection, ROW) == 1
        assert FIND.rows(connection, height=7) == [tuple(ROW[c.name] for c in t.balances.columns)]
        assert FIND.rows(connection, height=7) == [tuple(connection.execute(select(t.balances)).one())]
        assert FIND.row(connection, height=8) is None


def test_a_taken_key_is_left_or_overwritten(store: Store) -> None:
    with store.engine.begin() as connection:
        new, over = inserting_new(t.balances), overwriting(t.balances, ("chain", "wallet", "asset", "height"))
        new.run_all(connection, [ROW, {**ROW, "amount": 1}, {**ROW, "height": 8}])
        assert [row[5] for row in FIND.rows(connection, height=7)] == [UNITS]
        assert new.run(connection, {**ROW, "amount": 1}) == 0
        over.run(connection, {**ROW, "amount": 2})
        assert [row[5] for row in FIND.rows(connection, height=7)] == [2]


def test_what_is_no_amount_is_refused_before_the_database_sees_it(store: Store) -> None:
    with store.engine.begin() as connection, pytest.raises(ValueError, match="not an amount"):
        inserting_new(t.balances).run(connection, {**ROW, "amount": -1})


def test_it_is_part_of_the_transaction_and_is_undone_with_it(store: Store) -> None:
    with pytest.raises(KeyError), store.engine.begin() as connection:
        inserting_new(t.balances).run(connection, ROW)
        raise KeyError
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM balances")).scalar_one() == 0


def test_an_error_of_the_driver_is_that_of_every_other_statement_and_shows_no_values(store: Store) -> None:
    again = Statement(lambda _: insert(t.balances), [c.name for c in t.balances.columns])
    with store.engine.begin() as connection:
        again.run(connection, ROW)
        with pytest.raises(DBAPIError, match="UNIQUE constraint failed") as failed:
            again.run(connection, ROW)
    assert "hot" not in str(failed.value)


def test_who_listens_to_statements_hears_of_it(store: Store) -> None:
    heard: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _cursor, said, *_: heard.append(said))
    with store.engine.begin() as connection:
        FIND.rows(connection, height=7)
    assert any("FROM balances" in said for said in heard)
