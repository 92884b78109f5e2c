"""The guide's GRANTs, run as they stand there on a real PostgreSQL: what the daemon's role can and cannot do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import psycopg
import pytest
import test_store_repositories
import test_stores
from sqlalchemy.exc import ProgrammingError
from stores_samples import NOW

from unit.docs_database import granted
from walletwatch.store import Store, open_store

CONTRACT = [
    test
    for module in (test_stores, test_store_repositories)
    for name, test in vars(module).items()
    if name.startswith("test_") and list(inspect.signature(test).parameters) == ["store"]
]
OF_THE_OWNER = ("test_migrations_from_empty_equal_the_metadata", "test_upgrading_twice_changes_nothing")
"""They look at the schema or change it, which is not the daemon's part."""

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with granted(postgres_url) as role:
        yield role


@pytest.fixture
def daemon(url: str) -> Iterator[Store]:
    opened = open_store(url, lambda: NOW)
    opened.require_current()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "test",
    [test for test in CONTRACT if test.__name__ not in OF_THE_OWNER],
    ids=lambda test: test.__name__.removeprefix("test_"),
)
def test_the_daemons_role_can_do_what_the_store_promises(test: Callable[[Store], None], daemon: Store) -> None:
    test(daemon)


def test_the_whole_contract_was_found() -> None:
    assert len(CONTRACT) > 15


@pytest.mark.parametrize("table", ["audit_entries", "audit_checkpoints"])
@pytest.mark.parametrize(
    "change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}", "ALTER TABLE {} DISABLE TRIGGER ALL"]
)
def test_the_daemons_role_cannot_touch_what_was_sealed(url: str, table: str, change: str) -> None:
    column = {"audit_entries": "actor = 'x'", "audit_checkpoints": "note = 'x'"}[table]
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(change.format(table, column).encode())


def test_the_daemons_role_cannot_change_the_schema(daemon: Store) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), daemon.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (id int)")
