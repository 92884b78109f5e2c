"""What becomes of payments that wait in a real pool: behind a gap, dropped, sent again; and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from evm_watches import Deployed, OwnWallet, Watch, watch

from nodes.anvils import Anvil
from walletwatch.alerts.dispatcher import view_alert
from walletwatch.alerts.ports import AlertNames
from walletwatch.alerts.rendering import make_page
from walletwatch.domain.times import utc_now
from walletwatch.store.statements import Filter
from walletwatch.watch.mempool_tracker import ABSENT_AFTER

pytestmark = pytest.mark.anvil

PAYEE = "0x" + "a1" * 20


@pytest.fixture
def desk(fresh_anvil: Anvil, tmp_path: Path) -> Iterator[Watch]:
    deployed = Deployed(tmp_path, [fresh_anvil.url], [OwnWallet("eth-hot", [fresh_anvil.accounts[0]])])
    fresh_anvil.automine(on=False)
    with watch(deployed) as made:
        made.settle()
        yield made


def pay(node: Anvil, *, ahead: int = 0) -> str:
    nonce = int(node.rpc("eth_getTransactionCount", [node.accounts[0], "latest"]), 16) + ahead
    return node.send(node.accounts[0], PAYEE, value=5, nonce=hex(nonce), gasPrice=hex(3 * 10**9), gas=hex(21_000))


def page(desk: Watch) -> dict[str, str]:
    (alert,) = desk.alerts()
    with desk.app.store.reading() as unit:
        view = view_alert(unit, alert.id, AlertNames(), lambda _chain, _address, _at: ())
    assert view is not None
    return dict(make_page(view).facts)


def told(desk: Watch) -> list[str]:
    """What the alert said changed, and whether people were called."""
    (alert,) = desk.alerts()
    return [f"{'loud: ' if change.notable else ''}{change.what}" for change in alert.changes]


def audited(desk: Watch) -> list[str]:
    with desk.app.store.reading() as unit:
        return [e.action for e in unit.audit.find(Filter()) if e.action.startswith("outflow.")]


def later(desk: Watch, passed: timedelta) -> None:
    desk.app.store.clock = lambda: utc_now() + passed
    desk.settle()


def drop(node: Anvil, tx: str) -> None:
    assert node.rpc("anvil_dropTransaction", [tx]) == tx


def test_a_payment_behind_a_gap_in_the_nonces_says_so_until_the_gap_is_filled(fresh_anvil: Anvil, desk: Watch) -> None:
    pay(fresh_anvil, ahead=1)
    desk.settle()
    assert page(desk)["First block"] == "none before the gap in its sender's nonces is filled"
    waiting = desk.alerts()[0]
    fresh_anvil.send(fresh_anvil.accounts[0], fresh_anvil.accounts[0], gasPrice=hex(3 * 10**9), gas=hex(21_000))
    desk.settle()
    assert "First block" not in page(desk)
    assert [desk.alerts()[0].id, told(desk)] == [waiting.id, ["another outlook"]]


def test_a_payment_the_node_dropped_is_told_after_a_minute_and_once(fresh_anvil: Anvil, desk: Watch) -> None:
    drop(fresh_anvil, dropped := pay(fresh_anvil))
    desk.settle()
    assert desk.outflows() == []
    drop(fresh_anvil, pay_seen(fresh_anvil, desk))
    desk.settle()
    assert page(desk)["Life"] == "in the mempool, in no block yet"
    later(desk, ABSENT_AFTER)
    assert page(desk)["Life"].startswith("in no block, and dropped from our node's mempool at 20")
    later(desk, 2 * ABSENT_AFTER)
    assert told(desk) == ["loud: dropped from the mempool"]
    assert audited(desk) == ["outflow.seen", "outflow.dropped"]
    assert [str(o.state) for o in desk.outflows()] == ["seen"]
    assert dropped == "0x" + desk.outflows()[0].tx.hex()


def pay_seen(node: Anvil, desk: Watch) -> str:
    tx = pay(node)
    desk.settle()
    assert ["0x" + o.tx.hex() for o in desk.outflows()] == [tx]
    return tx


def test_a_dropped_payment_that_is_sent_again_waits_again_and_is_mined(fresh_anvil: Anvil, desk: Watch) -> None:
    drop(fresh_anvil, pay_seen(fresh_anvil, desk))
    desk.settle()
    later(desk, ABSENT_AFTER)
    pay(fresh_anvil)
    desk.settle()
    assert page(desk)["Life"] == "in the mempool, in no block yet"
    fresh_anvil.mine()
    desk.settle()
    assert [str(o.state) for o in desk.outflows()] == ["final"]
    assert told(desk)[:2] == ["loud: dropped from the mempool", "loud: in the mempool again"]
    assert len(desk.findings("unapproved")) == 1


def test_a_payment_that_was_mined_was_not_dropped(fresh_anvil: Anvil, desk: Watch) -> None:
    pay_seen(fresh_anvil, desk)
    fresh_anvil.mine()
    later(desk, ABSENT_AFTER)
    later(desk, 2 * ABSENT_AFTER)
    assert "outflow.dropped" not in audited(desk)
