"""The store on SQLite and on PostgreSQL: one contract, both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chains.model import (
    MAX_AMOUNT,
    AccountTransaction,
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    Outpoint,
    SigningFacts,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from walletwatch.audit.merkle import Frontier
from walletwatch.domain.alerts import Alert, AlertChange, AlertState, Decision, Silence
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Movement, Outflow, OutflowState
from walletwatch.domain.payments import Payment
from walletwatch.domain.withdrawals import Act, ActKind, Intent
from walletwatch.store import Store, StoreError, open_store
from walletwatch.store.approvals import Allocation, FeedState
from walletwatch.store.filters import Filter
from walletwatch.store.ledgers import Balance, StoredTransaction
from walletwatch.store.places import CursorMoved
from walletwatch.store.tables import metadata

CHAIN = ChainId.parse("eip155:1")
ETH = AssetId.parse("eip155:1/slip44:60")
NOW = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
THEM = Address(b"\x22" * 20, "0xThem")
US = Address(b"\x11" * 20, "0xUs")
AMOUNTS = [0, 1, 10**18 + 1, 2**63 - 1, 2**63, 2**64 + 7, 10**77, MAX_AMOUNT]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    opened = open_store(url, lambda: NOW)
    opened.upgrade()
    yield opened
    opened.close()


def make_outflow(number: int = 1, **changes: Any) -> Outflow:
    base = Outflow(
        id=f"out_{number}",
        chain=CHAIN,
        tx=number.to_bytes(32, "big"),
        state=OutflowState.INCLUDED,
        wallet="hot",
        asset=ETH,
        amount=5,
        payments=(Payment(0, THEM, 5),),
        fee=2,
        first_seen=NOW + timedelta(seconds=number),
        block=BlockRef(100 + number, b"\x0a" * 32),
        block_time=NOW + timedelta(seconds=number),
        family=number.to_bytes(32, "big"),
    )
    return replace(base, **changes)


def make_finding(number: int = 1, **changes: Any) -> Finding:
    base = Finding(
        id=f"fnd_{number}",
        rule="unapproved",
        rule_id="unapproved",
        verdict=VerdictKind.VIOLATION,
        severity=Severity.CRITICAL,
        mode=Mode.ENFORCE,
        chain=str(CHAIN),
        tx=number.to_bytes(32, "big"),
        wallet="hot",
        asset=str(ETH),
        outflow=f"out_{number}",
        summary="nobody approved it",
        evidence={"amount": str(MAX_AMOUNT), "deep": [{"é": True}, None]},
        rules_digest="sha256:00",
        found_at=NOW,
    )
    return replace(base, **changes)


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


UTXO_TX = UtxoTransaction(
    b"\x01" * 32,
    4,
    (TxInput(Outpoint(b"\x02" * 32, 1), None, None, 7), TxInput(Outpoint(b"\x03" * 32, 0), MAX_AMOUNT, US)),
    (TxOutput(0, 2**63, THEM),),
    None,
    141,
    2,
    800_000,
    SigningFacts(("02aa",), (("low_r", 1), ("type", "p2wpkh"), ("wei", 2**70))),
)
ACCOUNT_TX = AccountTransaction(
    b"\x04" * 32,
    0,
    US,
    None,
    2**63,
    True,
    2**200,
    (Transfer(ETH, US, THEM, MAX_AMOUNT, TransferKind.INTERNAL, 2, None),),
    True,
    None,
)


@pytest.mark.parametrize("tx", [UTXO_TX, ACCOUNT_TX])
def test_transactions_of_both_families_come_back_whole(store: Store, tx: UtxoTransaction | AccountTransaction) -> None:
    stored = StoredTransaction(CHAIN, tx, OutflowState.INCLUDED, NOW, tx.txid, BlockRef(5, b"\x09" * 32), NOW)
    with store.transaction() as unit:
        unit.ledger.save(stored)
    with store.reading() as unit:
        assert unit.ledger.transaction(CHAIN, tx.txid) == stored


# --- one transaction --------------------------------------------------------------------------------------------------


def block(height: int, parent: BlockRef) -> BlockFacts:
    return BlockFacts(CHAIN, BlockRef(height, height.to_bytes(32, "big")), parent.hash, NOW, ())


def test_the_cursor_moves_by_compare_and_set(store: Store) -> None:
    start = BlockRef(9, b"\x09" * 32)
    with store.transaction() as unit:
        unit.places.start(CHAIN, start, NOW)
        unit.places.advance(block(10, start), start, NOW)
    with pytest.raises(CursorMoved), store.transaction() as unit:
        unit.outflows.save(make_outflow())
        unit.places.advance(block(10, start), start, NOW)
    with store.reading() as unit:
        cursor = unit.places.cursor(CHAIN)
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


# --- repositories -----------------------------------------------------------------------------------------------------


def test_alerts_come_back_with_their_deliveries_and_are_claimed_once(store: Store) -> None:
    alert = Alert(
        id="alr_1",
        fingerprint="f",
        severity=Severity.HIGH,
        state=AlertState.ACKNOWLEDGED,
        title="t",
        findings=("fnd_1",),
        outflows=("out_1",),
        opened_at=NOW,
        version=2,
        acknowledged=Decision("alice", NOW, "mine"),
        changes=(AlertChange(2, NOW, "acknowledged", notable=True),),
    )
    with store.transaction() as unit:
        unit.alerts.save(alert)
        unit.alerts.tell(alert, ["slack"], NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        assert unit.alerts.claim_due("slack", NOW, 30, 10) == []
        assert [r.interrupted for r in unit.alerts.claim_due("slack", NOW + timedelta(seconds=30), 30, 10)] == [True]
        unit.alerts.told(row.id, 2, "ts-1", NOW)
    with store.reading() as unit:
        kept = unit.alerts.by_fingerprint("f")
        assert kept is not None
        assert replace(kept, deliveries=()) == alert
        assert [(d.sink, d.outcome, d.remote_id) for d in kept.deliveries] == [("slack", "delivered", "ts-1")]


def test_a_version_that_comes_while_one_is_told_stays_due(store: Store) -> None:
    alert = Alert("alr_1", "f", Severity.HIGH, AlertState.OPEN, "t", (), (), NOW)
    with store.transaction() as unit:
        unit.alerts.save(alert)
        unit.alerts.tell(alert, ["slack"], NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        unit.alerts.tell(replace(alert, version=2), ["slack"], NOW)
        unit.alerts.told(row.id, 1, "ts-1", NOW)
        (again,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        assert (again.version, again.told_version, again.remote_id) == (2, 1, "ts-1")


def test_silences_are_found_while_in_force(store: Store) -> None:
    silence = Silence("s1", "bob", "maintenance", NOW, NOW + timedelta(hours=1), ("r",), ("w",), (), ("alr_1",))
    with store.transaction() as unit:
        unit.alerts.save_silence(silence)
        assert unit.alerts.silences(NOW) == (silence,)
        assert unit.alerts.silences(NOW + timedelta(hours=1)) == ()


def test_acts_are_kept_once_and_a_forged_copy_beside_the_good_one(store: Store) -> None:
    intent = Intent(CHAIN, ETH, MAX_AMOUNT, THEM, "sha256:aa", expires_at=NOW)
    act = Act(ActKind.REQUEST, "W-1", "alice", NOW, b"\x07" * 32, "feed", 1, kid="k", intent=intent, read_at=NOW)
    forged = replace(act, line=2, refused="invalid_signature", reason="bad")
    with store.transaction() as unit:
        assert unit.approvals.add_act(act, NOW)
        assert not unit.approvals.add_act(replace(act, line=9), NOW)
        assert unit.approvals.add_act(forged, NOW)
        assert [a for _, a in unit.approvals.acts_after(0)] == [act, forged]


def test_a_request_is_spent_by_the_first_transaction_of_another_family(store: Store) -> None:
    with store.transaction() as unit:
        for number in (1, 2):
            tx = replace(ACCOUNT_TX, txid=bytes([number]) * 32, nonce=number)
            seen = NOW + timedelta(seconds=number)
            unit.ledger.save(StoredTransaction(CHAIN, tx, OutflowState.SEEN, seen, tx.txid, None, None))
            unit.approvals.allocate([Allocation(CHAIN, tx.txid, ETH, 0, "W-1", tx.txid)])
        assert unit.approvals.spent_by("W-1", b"\x09" * 32) == b"\x01" * 32
        assert unit.approvals.spent_by("W-1", b"\x01" * 32) == b"\x02" * 32
        assert unit.approvals.spent_by("W-2", b"\x01" * 32) is None


def test_a_feed_in_trouble_blinds_the_approvals(store: Store) -> None:
    with store.transaction() as unit:
        unit.approvals.save_feed(FeedState("a", {"offset": 1}, NOW, NOW, ""))
        assert unit.approvals.trouble() == ""
        unit.approvals.save_feed(FeedState("b", {}, NOW, NOW, "gone"))
        assert unit.approvals.trouble() == "b: gone"


def test_labels_are_renewed_not_doubled(store: Store) -> None:
    label = Label("*", "addr", "Binance", "exchange", "pack", 900)
    with store.transaction() as unit:
        unit.labels.save([label, replace(label, confidence_milli=100)])
        assert unit.labels.of_address("addr") == [replace(label, confidence_milli=100)]


def test_a_rollback_undoes_movements_outputs_and_states_from_its_height_on(store: Store) -> None:
    start = BlockRef(9, b"\x09" * 32)
    ten = block(10, start)
    with store.transaction() as unit:
        unit.places.start(CHAIN, start, NOW)
        unit.places.advance(ten, start, NOW)
        stored = StoredTransaction(CHAIN, UTXO_TX, OutflowState.INCLUDED, NOW, UTXO_TX.txid, ten.ref, NOW)
        unit.ledger.save(stored)
        unit.ledger.add_movements(ten, UTXO_TX, [Movement("hot", ETH, 1, 2, 3)])
        unit.ledger.add_outputs(CHAIN, 8, b"\x0b" * 32, [TxOutput(0, 7, US)])
        unit.ledger.spend(CHAIN, 10, [Outpoint(b"\x0b" * 32, 0)])
        unit.ledger.add_outputs(CHAIN, 10, UTXO_TX.txid, [TxOutput(0, 8, US)])
        unit.outflows.save(make_outflow(tx=UTXO_TX.txid, block=ten.ref))
    with store.transaction() as unit:
        assert unit.ledger.roll_back(CHAIN, 10) == (UTXO_TX.txid,)
    with store.reading() as unit:
        assert list(unit.ledger.movements()) == []
        assert unit.ledger.unspent(CHAIN) == {Outpoint(b"\x0b" * 32, 0): TxOutput(0, 7, US)}
        kept = unit.ledger.transaction(CHAIN, UTXO_TX.txid)
        outflow = unit.outflows.get("out_1")
    assert kept is not None
    assert outflow is not None
    assert (kept.state, outflow.state, outflow.block) == (OutflowState.ORPHANED, OutflowState.ORPHANED, None)


def test_windows_are_open_to_the_left_and_closed_to_the_right(store: Store) -> None:
    with store.transaction() as unit:
        for number in range(4):
            unit.outflows.save(make_outflow(number))
        gone = make_outflow(9, first_seen=NOW + timedelta(seconds=2), state=OutflowState.ORPHANED)
        unit.outflows.save(replace(gone, block=None, block_time=None))
        found = unit.outflows.in_window(NOW, NOW + timedelta(seconds=2), wallet="hot", asset=ETH)
        assert [o.id for o in found] == ["out_2", "out_1"]
        paid = unit.outflows.in_window(NOW, NOW + timedelta(seconds=9), chain=CHAIN, destination=THEM)
        assert [o.id for o in paid] == ["out_3", "out_2", "out_1"]
        first = unit.outflows.first_paid_at(CHAIN, THEM, NOW + timedelta(seconds=9), (0).to_bytes(32, "big"), None)
        assert first == NOW + timedelta(seconds=1)
