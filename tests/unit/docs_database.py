"""A database set up by the operator guide's own statements, for whoever shows that they are enough and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg

from unit.docs_pages import ROOT, fences
from walletwatch.store import open_store

OWNER, DAEMON = "walletwatch_owner", "walletwatch"


def guide() -> tuple[str, str, str]:
    """The guide's SQL: roles and database, rights in the database, grants after each upgrade."""
    roles, database, grants = (block.text for block in fences(ROOT / "docs/operators.md", "sql"))
    return roles, database, grants


@contextmanager
def granted(postgres_url: str) -> Iterator[str]:
    """The URL of the daemon's role, in a fresh database of which only the name is the test's."""
    name = urlsplit(postgres_url).path.strip("/")
    server = postgres_url.removesuffix(name) + "postgres"
    roles, database, grants = (text.replace("DATABASE walletwatch", f"DATABASE {name}") for text in guide())
    _run(server, f"DROP DATABASE {name}; {roles}")
    _run(postgres_url, database)
    store = open_store(_as(postgres_url, OWNER))
    store.upgrade()
    store.close()
    _run(_as(postgres_url, OWNER), grants)
    try:
        yield _as(postgres_url, DAEMON)
    finally:
        _run(
            server, f"DROP DATABASE {name} WITH (FORCE); CREATE DATABASE {name}; DROP ROLE {OWNER}; DROP ROLE {DAEMON}"
        )


def _as(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def _run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(None, (part.strip() for part in statements.split(";"))):
            connection.execute(statement.encode())
