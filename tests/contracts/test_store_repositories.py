"""What each repository keeps comes back, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from stores_samples import ACCOUNT_TX, CHAIN, ETH, NOW, THEM, US, UTXO_TX, make_block, make_outflow

from chains.model import (
    MAX_AMOUNT,
    BlockRef,
    Outpoint,
    TxOutput,
)
from walletwatch.domain.alerts import Alert, AlertChange, AlertState, Decision, Silence
from walletwatch.domain.findings import Severity
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Movement, OutflowState
from walletwatch.domain.withdrawals import Act, ActKind, Intent
from walletwatch.store import Store
from walletwatch.store.approvals import Allocation, FeedState
from walletwatch.store.history import LAST_ORDINAL
from walletwatch.store.ledger import Balance, StoredTransaction

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
        unit.alerts.enqueue(alert, ["slack"], NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        assert unit.alerts.claim_due("slack", NOW, 30, 10) == []
        assert [r.interrupted for r in unit.alerts.claim_due("slack", NOW + timedelta(seconds=30), 30, 10)] == [True]
        unit.alerts.mark_notified(row.id, 2, "ts-1", NOW)
    with store.reading() as unit:
        kept = unit.alerts.by_fingerprint("f")
        assert kept is not None
        assert replace(kept, deliveries=()) == alert
        assert [(d.sink, d.outcome, d.remote_id) for d in kept.deliveries] == [("slack", "delivered", "ts-1")]


def test_a_version_that_comes_while_one_is_told_stays_due(store: Store) -> None:
    alert = Alert("alr_1", "f", Severity.HIGH, AlertState.OPEN, "t", (), (), NOW)
    with store.transaction() as unit:
        unit.alerts.save(alert)
        unit.alerts.enqueue(alert, ["slack"], NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        unit.alerts.enqueue(replace(alert, version=2), ["slack"], NOW)
        unit.alerts.mark_notified(row.id, 1, "ts-1", NOW)
        (again,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        assert (again.version, again.notified_version, again.remote_id) == (2, 1, "ts-1")


def test_a_lease_of_the_dead_is_ended_and_remembered(store: Store) -> None:
    """Killed between claim and record, an alert waited 180 s for its lease to end."""
    alert = Alert("alr_1", "f", Severity.HIGH, AlertState.OPEN, "t", (), (), NOW)
    with store.transaction() as unit:
        unit.alerts.save(alert)
        unit.alerts.enqueue(alert, ["slack"], NOW)
        unit.alerts.claim_due("slack", NOW, 180, 10)
        assert not unit.alerts.has_due("slack", NOW)
        unit.alerts.release("slack", NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 180, 10)
        assert row.interrupted


def test_what_a_sink_refused_is_due_again_once_it_is_mended(store: Store) -> None:
    alert = Alert("alr_1", "f", Severity.HIGH, AlertState.OPEN, "t", (), (), NOW)
    with store.transaction() as unit:
        unit.alerts.save(alert)
        unit.alerts.enqueue(alert, ["slack", "pager"], NOW)
        (row,) = unit.alerts.claim_due("slack", NOW, 30, 10)
        unit.alerts.failed(row.id, 1, "invalid_auth", NOW)
        assert not unit.alerts.has_due("slack", NOW)
        assert unit.alerts.revive("slack", NOW) == 1
        assert unit.alerts.has_due("slack", NOW)
        assert unit.alerts.revive("slack", NOW) == 0


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
    ten = make_block(10, start)
    with store.transaction() as unit:
        unit.chain_state.start(CHAIN, start, NOW)
        unit.chain_state.advance(ten, start, NOW)
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


def test_sums_and_balances_are_remembered_in_a_transaction_only_until_they_change(store: Store) -> None:
    start = BlockRef(9, b"\x09" * 32)
    ten = make_block(10, start)
    with store.transaction() as unit:
        unit.chain_state.start(CHAIN, start, NOW)
        unit.chain_state.advance(ten, start, NOW)
        said: list[object] = []
        for number in range(3):
            tx = replace(UTXO_TX, txid=bytes([number]) * 32)
            unit.ledger.save(StoredTransaction(CHAIN, tx, OutflowState.INCLUDED, NOW, tx.txid, ten.ref, NOW))
            unit.ledger.add_movements(ten, tx, [Movement("hot", ETH, 10, 2, 1)])
            unit.ledger.save_balance(CHAIN, Balance("hot", ETH, BlockRef(number, b"\x01" * 32), number), NOW)
            said += [unit.ledger.net_since("hot", ETH, above) for above in (9, 10)]
            said += [unit.ledger.net_since("hot", ETH, 9, 9), unit.ledger.latest_balance(CHAIN, "hot", ETH)]
        assert said == [7, 0, 0, (0, 0), 14, 0, 0, (1, 1), 21, 0, 0, (2, 2)]
        unit.ledger.roll_back(CHAIN, 2)
        assert unit.ledger.net_since("hot", ETH, 9) == 0
        assert unit.ledger.latest_balance(CHAIN, "hot", ETH) == (1, 1)


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
        last, until = (3).to_bytes(32, "big"), NOW + timedelta(seconds=9)
        third, second = unit.history.ordinal_of(CHAIN, last), NOW + timedelta(seconds=1)
        assert unit.history.first_paid_at(CHAIN, THEM, until, last, third) == NOW
        assert unit.history.last_paid_at(CHAIN, THEM, until, last, third) == second + timedelta(seconds=1)
        assert unit.history.last_paid_at(CHAIN, THEM, second, last, third) == second
        nobody = bytes(32)
        assert unit.history.first_paid_at(CHAIN, THEM, until, nobody, unit.history.ordinal_of(CHAIN, nobody)) is None
        receipts = unit.history.receipts(CHAIN, THEM, NOW, until, own=b"", ordinal=third)
        assert [r.row.id for r in receipts] == ["out_1", "out_2", "out_3"]
        assert unit.history.ordinal_of(CHAIN, b"\x0c" * 32) == LAST_ORDINAL
