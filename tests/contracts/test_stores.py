"""The store on SQLite and on PostgreSQL: schema, exactness, one transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stores_samples import ACCOUNT_TX, AMOUNTS, CHAIN, ETH, NOW, THEM, UTXO_TX, make_block, make_finding, make_outflow

from chains.model import (
    MAX_AMOUNT,
    AccountTransaction,
    BlockRef,
    UtxoTransaction,
)
from walletwatch.audit.merkle import Frontier
from walletwatch.domain.findings import VerdictKind
from walletwatch.domain.outflows import OutflowState
from walletwatch.domain.withdrawals import Payment
from walletwatch.store import Store, StoreError, open_store
from walletwatch.store.chain_state import CursorMoved
from walletwatch.store.ledger import Balance, StoredTransaction
from walletwatch.store.statements import Filter
from walletwatch.store.tables import metadata

# --- schema -----------------------------------------------------------------------------------------------------------


def test_migrations_from_empty_equal_the_metadata(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert store.revision() == store.newest_revision()


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    store.upgrade()
    store.require_current()


def test_an_empty_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    empty = open_store(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(StoreError, match="walletwatch db upgrade"):
        empty.require_current()
    empty.close()


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    away = open_store("postgresql://watch:s3cret@127.0.0.1:1/none")
    with pytest.raises(StoreError) as told:
        away.require_current()
    assert "s3cret" not in str(told.value)
    assert "127.0.0.1" in str(told.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:/"])
def test_a_url_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url).require_current()


# --- exactness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", AMOUNTS)
def test_amounts_come_back_to_the_unit(store: Store, amount: int) -> None:
    sent = make_outflow(amount=amount, fee=amount, payments=(Payment(3, THEM, amount),))
    with store.transaction() as unit:
        assert unit.outflows.save(sent)
        unit.ledger.save_balance(CHAIN, Balance("hot", ETH, BlockRef(1, bytes(32)), amount), NOW)
    with store.reading() as unit:
        assert unit.outflows.get(sent.id) == sent
        assert [b.amount for b in unit.ledger.balances(CHAIN, "hot", ETH)] == [amount]


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1])
def test_what_is_no_amount_never_reaches_the_database(store: Store, amount: int) -> None:
    with pytest.raises(Exception, match="not an amount"), store.transaction() as unit:
        unit.outflows.save(make_outflow(amount=amount))


def test_amounts_sort_like_numbers(store: Store) -> None:
    with store.transaction() as unit:
        for number, amount in enumerate(reversed(AMOUNTS)):
            unit.outflows.save(make_outflow(number, amount=amount))
    with store.engine.connect() as connection:
        found = connection.execute(text("SELECT amount FROM outflows ORDER BY amount")).scalars()
        assert [int(a) for a in found] == AMOUNTS


def test_times_keep_their_microseconds_and_their_order(store: Store) -> None:
    moments = [NOW, NOW + timedelta(microseconds=1), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]
    with store.transaction() as unit:
        for number, moment in enumerate(moments):
            unit.outflows.save(make_outflow(number, first_seen=moment, block_time=None, block=None))
    with store.reading() as unit:
        assert [o.first_seen for o in unit.outflows.find(Filter())] == moments


@pytest.mark.parametrize("tx", [UTXO_TX, ACCOUNT_TX])
def test_transactions_of_both_families_come_back_whole(store: Store, tx: UtxoTransaction | AccountTransaction) -> None:
    stored = StoredTransaction(CHAIN, tx, OutflowState.INCLUDED, NOW, tx.txid, BlockRef(5, b"\x09" * 32), NOW)
    with store.transaction() as unit:
        unit.ledger.save(stored)
    with store.reading() as unit:
        assert unit.ledger.transaction(CHAIN, tx.txid) == stored


# --- one transaction --------------------------------------------------------------------------------------------------


def test_the_cursor_moves_by_compare_and_set(store: Store) -> None:
    start = BlockRef(9, b"\x09" * 32)
    with store.transaction() as unit:
        unit.chain_state.start(CHAIN, start, NOW)
        unit.chain_state.advance(make_block(10, start), start, NOW)
    with pytest.raises(CursorMoved), store.transaction() as unit:
        unit.outflows.save(make_outflow())
        unit.chain_state.advance(make_block(10, start), start, NOW)
    with store.reading() as unit:
        cursor = unit.chain_state.cursor(CHAIN)
        assert cursor is not None
        assert cursor.ref.height == 10
        assert unit.outflows.get("out_1") is None


def test_nothing_of_a_failed_transaction_is_kept(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as unit:
        unit.findings.add(make_finding())
        unit.audit.append("a", "b", "c", {})
        raise RuntimeError
    with store.reading() as unit:
        assert list(unit.findings.find(Filter())) == []
        assert unit.audit.head().size == 0


def test_reading_leaves_no_trace(store: Store) -> None:
    with store.reading() as unit:
        unit.findings.add(make_finding())
    with store.reading() as unit:
        assert unit.findings.get("fnd_1") is None


def test_a_finding_is_kept_once_and_only_an_undetermined_one_is_settled(store: Store) -> None:
    unclear = make_finding(verdict=VerdictKind.UNDETERMINED, summary="the feed is dead")
    with store.transaction() as unit:
        assert unit.findings.add(unclear)
        assert not unit.findings.add(unclear)
        assert unit.findings.settle(make_finding())
        assert not unit.findings.settle(make_finding(summary="again"))
        assert unit.findings.get("fnd_1") == make_finding()


def test_threads_that_append_to_the_log_at_once_lose_nothing(store: Store) -> None:
    """Six threads x 100 read-then-append under a plain BEGIN gave 138 rows and 462 errors on SQLite."""

    def append(thread: int) -> None:
        for n in range(25):
            with store.transaction() as unit:
                unit.audit.append("thread", "append", str(thread), {"n": n})

    threads = [threading.Thread(target=append, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as unit:
        entries = list(unit.audit.entries())
        head = unit.audit.head()
    assert [e.seq for e in entries] == list(range(100))
    assert head.root == Frontier().extend(e.leaf_hash for e in entries).root()


@pytest.mark.parametrize("table", ["audit_entries", "audit_checkpoints"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = 'forged'", "DELETE FROM {}"])
def test_the_sealed_tables_refuse_to_change(store: Store, table: str, change: str) -> None:
    with store.transaction() as unit:
        unit.audit.append("a", "b", "c", {"n": 1})
        unit.audit.flush()
        unit.audit.add_checkpoint(1, "note")
    column = "actor" if table == "audit_entries" else "note"
    with pytest.raises(DBAPIError, match="append-only"), store.engine.begin() as connection:
        connection.exec_driver_sql(change.format(table, column))
