"""The operator guide's GRANTs, run as they stand there on a real PostgreSQL: enough for the daemon, and not more."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from pipeline_chains import BTC, CHAIN, FakeChain, payment
from pipeline_worlds import Clock, MortalStore, Pager, Process, approved_request
from sqlalchemy import Engine, event
from sqlalchemy.exc import ProgrammingError

from chains.model import BlockRef
from contracts import test_stores as store_contract
from unit.docs_pages import ROOT, fences
from walletwatch.domain.cases import Case, CaseState
from walletwatch.store import Store, open_store
from walletwatch.store.approvals import FeedState
from walletwatch.store.cases import StoredCase
from walletwatch.store.ledgers import Balance
from walletwatch.store.tables import metadata

OWNER, DAEMON = "walletwatch_owner", "walletwatch"
SEALED = ("audit_entries", "audit_checkpoints")
CONTRACT = [
    test
    for name, test in vars(store_contract).items()
    if name.startswith("test_") and list(inspect.signature(test).parameters) == ["store"]
]
_WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")


def as_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(None, (part.strip() for part in statements.split(";"))):
            connection.execute(statement.encode())


@pytest.fixture
def guide() -> tuple[str, str, str]:
    roles, database, grants = (block.text for block in fences(ROOT / "docs/operators.md", "sql"))
    return roles, database, grants


@pytest.fixture
def url(postgres_url: str, guide: tuple[str, str, str]) -> Iterator[str]:
    """A database set up by the guide's own statements; only its name is the test's."""
    name = urlsplit(postgres_url).path.strip("/")
    roles, database, grants = (text.replace("DATABASE walletwatch", f"DATABASE {name}") for text in guide)
    run(postgres_url, f"DROP ROLE IF EXISTS {OWNER}; DROP ROLE IF EXISTS {DAEMON}")
    server = postgres_url.removesuffix(name) + "postgres"
    run(server, f"DROP DATABASE {name}")
    run(server, roles)
    run(postgres_url, database)
    store = open_store(as_user(postgres_url, OWNER))
    store.upgrade()
    store.close()
    run(as_user(postgres_url, OWNER), grants)
    yield as_user(postgres_url, DAEMON)
    run(server, f"DROP DATABASE {name} WITH (FORCE); CREATE DATABASE {name}; DROP ROLE {OWNER}; DROP ROLE {DAEMON}")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, lambda: store_contract.NOW)
    yield opened
    opened.close()


@pytest.mark.postgres
@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: test.__name__.removeprefix("test_"))
def test_the_daemons_role_can_do_what_the_store_promises(test: Callable[[Store], None], store: Store) -> None:
    if test is store_contract.test_migrations_from_empty_equal_the_metadata:
        store.require_current()
    else:
        test(store)


@pytest.mark.postgres
@pytest.mark.parametrize("table", SEALED)
@pytest.mark.parametrize(
    "change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}", "ALTER TABLE {} DISABLE TRIGGER ALL"]
)
def test_the_daemons_role_cannot_touch_what_was_sealed(url: str, table: str, change: str) -> None:
    column = {"audit_entries": "actor = 'x'", "audit_checkpoints": "note = 'x'"}[table]
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(change.format(table, column).encode())


@pytest.mark.postgres
def test_the_daemons_role_cannot_change_the_schema(store: Store) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), store.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (id int)")


@pytest.mark.postgres
def test_every_grant_is_needed(url: str, guide: tuple[str, str, str]) -> None:
    """A life of the pipeline with reorgs, an alert and a case, then what only people's commands do."""
    opened = open_store(url, Clock())
    done = listen(opened.engine)
    live_through_reorgs(MortalStore(opened.engine, opened.clock))
    work_by_hand(opened)
    opened.close()
    granted = {verb: names(guide[2], verb) for verb in ("UPDATE", "DELETE")}
    assert {verb: sorted(done[verb]) for verb in granted} == {verb: sorted(granted[verb]) for verb in granted}
    assert granted["UPDATE"] | granted["DELETE"] <= set(metadata.tables)


def names(grants: str, verb: str) -> set[str]:
    """The tables on which the guide grants `verb`."""
    found = re.search(rf"GRANT {verb} ON ([\w,\s]+) TO", grants)
    assert found
    return set(re.findall(r"\w+", found[1]))


def listen(engine: Engine) -> dict[str, set[str]]:
    """What is written from here on: tables by verb. A row lock and an upsert need UPDATE as well."""
    done: dict[str, set[str]] = defaultdict(set)

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        wrote = _WRITES.match(statement)
        if wrote:
            done[wrote[1].split()[0]].add(wrote[2])
        if wrote and "DO UPDATE" in statement:
            done["UPDATE"].add(wrote[2])
        locked = re.search(r"FROM (\w+).*FOR UPDATE", statement, re.DOTALL) or re.search(r"LOCK TABLE (\w+)", statement)
        if locked:
            done["UPDATE"].add(locked[1])

    event.listen(engine, "before_cursor_execute", note)
    return done


def live_through_reorgs(store: MortalStore) -> None:
    """Approved and unapproved payments, mined, orphaned, replaced by rivals, and told."""
    with store.transaction() as unit:
        for act in approved_request(0, 10, 1_000):
            unit.approvals.add_act(act, unit.now)
    fake = FakeChain()
    process = Process(store, fake, Pager(store, {}), max_reorg=3)

    def mine(parent: bytes, *numbers: int) -> bytes:
        fake.best = fake.add(parent, tuple(payment(n, to=10 + n, amount=1_000 + n) for n in numbers))
        for _ in range(20):
            process.worker.tick()
            process.dispatcher.run_once()
        return fake.best

    root = mine(fake.best)
    mine(mine(root, 0, 1))
    fork = fake.add(root, (payment(7, to=90, amount=5_000, coin=1),))
    fake.add(fork, ())
    for n in range(5):
        fork = mine(fork, *([n + 2] if n < 2 else []))


def work_by_hand(store: Store) -> None:
    """Feeds and their repairs, balances, checkpoints, labels, silences, and a case rolled back with its chain."""
    base, hand = BlockRef(0, bytes(32)), BlockRef(1, bytes(32))
    with store.transaction() as unit:
        unit.approvals.save_feed(FeedState("feed", {}, unit.now, unit.now, ""))
        unit.approvals.add_malformed("feed", 1, "no act", b"{", unit.now)
        unit.approvals.forget_malformed("feed", 1)
        unit.ledger.save_balance(CHAIN, Balance("hot", BTC.id, hand, 5), unit.now)
        unit.audit.add_checkpoint(1, "note")
        case = Case("case_1", "theft", CHAIN, (), CaseState.OPEN, unit.now, "compliance-1", 1)
        unit.cases.save(StoredCase(case, hand, live=True))
        assert unit.cases.roll_back(CHAIN, 1, base) == ["case_1"]
    store_contract.test_labels_are_renewed_not_doubled(store)
    store_contract.test_silences_are_found_while_in_force(store)
