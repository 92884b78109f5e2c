"""Fixtures of real nodes. A node that is missing fails the test and says how to get it; nothing is skipped.

bitcoind, anvil, postgres            one for all tests of a run (of a worker, where there are several)
fresh_bitcoind, fresh_anvil          one for this test alone, to reorganise, kill and restart
bitcoinds, anvils                    as many as the test starts, each with options of its own
postgres_url                         an empty database for this test alone
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from nodes.anvils import Anvil
from nodes.bitcoinds import Bitcoind
from nodes.locations import MissingNode
from nodes.postgreses import Postgres

Node = TypeVar("Node", Bitcoind, Anvil)


@pytest.fixture(scope="session")
def bitcoind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bitcoind]:
    """A regtest node that tests share: it only grows; wallets and addresses are to be a test's own."""
    folder = tmp_path_factory.mktemp("bitcoind")
    node = _have(lambda: Bitcoind(folder))
    node.start()
    yield node
    node.stop()
    shutil.rmtree(folder)


@pytest.fixture
def bitcoinds(tmp_path: Path) -> Iterator[Callable[..., Bitcoind]]:
    """Start regtest nodes: `bitcoinds()` or `bitcoinds(options=["-blocksonly"])`."""
    yield from _starters(Bitcoind, tmp_path)


@pytest.fixture
def fresh_bitcoind(bitcoinds: Callable[..., Bitcoind]) -> Bitcoind:
    """A regtest node with an empty chain for this test alone."""
    return bitcoinds()


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """An anvil with instant mining that tests share."""
    folder = tmp_path_factory.mktemp("anvil")
    node = _have(lambda: Anvil(folder))
    node.start()
    yield node
    node.stop()


@pytest.fixture
def anvils(tmp_path: Path) -> Iterator[Callable[..., Anvil]]:
    """Start anvils: `anvils()`, `anvils(automine=False)` or `anvils(options=["--slots-in-an-epoch", "4"])`."""
    yield from _starters(Anvil, tmp_path)


@pytest.fixture
def fresh_anvil(anvils: Callable[..., Anvil]) -> Anvil:
    """An anvil with instant mining (see `Anvil.automine`) for this test alone."""
    return anvils()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that tests share; see `postgres_url` for a database."""
    server = _have(Postgres)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database, which is dropped after the test."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


def _starters(kind: Callable[..., Node], tmp_path: Path) -> Iterator[Callable[..., Node]]:
    started: list[Node] = []

    def start(**how: object) -> Node:
        folder = tmp_path / f"{kind.__name__.lower()}-{len(started)}"
        node = _have(lambda: kind(folder, **how))
        started.append(node)
        node.start()
        return node

    yield start
    for node in started:
        node.stop()


_Any = TypeVar("_Any")


def _have(make: Callable[[], _Any]) -> _Any:
    try:
        return make()
    except MissingNode as missing:
        pytest.fail(str(missing), pytrace=False)
