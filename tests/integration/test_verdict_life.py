"""A verdict over a payment's life, on a real node: what is found of a transaction is always what is true of it now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from played_exchanges import ETHER, THIEF, Played, played_on

from nodes.anvils import Anvil
from walletwatch.domain.alerts import AlertState

pytestmark = pytest.mark.anvil

CUSTOMER, OTHER = "0x" + "c1" * 20, "0x" + "c2" * 20
JUST_NOW = timedelta(seconds=5)


@pytest.fixture
def played(fresh_anvil: Anvil, tmp_path: Path) -> Iterator[Played]:
    with played_on(fresh_anvil, tmp_path) as found:
        yield found


def rules(played: Played, tx: bytes) -> set[str]:
    return {f.rule for f in played.findings(tx)}


def test_a_theft_stays_one_when_the_request_it_resembled_is_paid(played: Played) -> None:
    """A theft had the amount of a pending request: `destination_mismatch`, as at DMM. The request was then paid, the
    finding was renamed, an unapproved request of the same amount turned it back, and `system` closed the alert as
    "approved before broadcast by its requests". In a busy wallet six of six thefts ended so within minutes.
    """
    played.write(*played.request(3 * ETHER, JUST_NOW, CUSTOMER))
    stolen = played.pay(3 * ETHER, THIEF)
    assert rules(played, stolen) == {"destination_mismatch"}
    paid = played.pay(3 * ETHER, CUSTOMER)
    assert rules(played, paid) == set()
    assert rules(played, stolen) >= {"destination_mismatch"}
    played.write(*played.request(3 * ETHER, JUST_NOW, OTHER, name="W-again")[:1])
    assert rules(played, stolen) & {"destination_mismatch", "unapproved"}
    assert played.alert_state() == [AlertState.OPEN]


def test_a_request_written_after_a_theft_is_no_near_miss_of_it(played: Played) -> None:
    """It gave the theft a second, new finding, as if somebody had mistyped a payment that was not yet asked for."""
    stolen = played.pay(2 * ETHER, THIEF)
    assert rules(played, stolen) == {"unapproved"}
    played.node.rpc("evm_increaseTime", [60])
    played.ahead += timedelta(seconds=60)
    played.write(*played.request(2 * ETHER, timedelta(), CUSTOMER))
    assert rules(played, stolen) == {"unapproved"}


def test_a_payment_that_was_cancelled_gives_its_request_back(played: Played) -> None:
    """A payment was cancelled by another transaction with its nonce. Paid again, it was called `approval_reused`."""
    played.node.automine(on=False)
    played.write(*played.request(4 * ETHER, JUST_NOW, CUSTOMER))
    hot = played.node.accounts[1]
    nonce = played.node.rpc("eth_getTransactionCount", [hot, "latest"])
    first = played.node.send(hot, CUSTOMER, value=4 * ETHER, nonce=nonce, gasPrice=hex(10 * 10**9))
    played.turn()
    played.node.send(hot, hot, value=0, nonce=nonce, gasPrice=hex(50 * 10**9))
    played.mine()
    paid = played.pay(4 * ETHER, CUSTOMER)
    assert rules(played, bytes.fromhex(first[2:])) == set()
    assert rules(played, paid) == set()


def test_of_two_payments_of_one_request_the_second_is_freed_when_the_first_is_cancelled(played: Played) -> None:
    """The second payment was judged while the first still waited: `approval_reused`, and it stayed so."""
    played.node.automine(on=False)
    played.write(*played.request(5 * ETHER, JUST_NOW, CUSTOMER))
    hot, other = played.node.accounts[1], CUSTOMER
    nonce = int(played.node.rpc("eth_getTransactionCount", [hot, "latest"]), 16)
    played.node.send(hot, other, value=5 * ETHER, nonce=hex(nonce), gasPrice=hex(10 * 10**9))
    played.turn()
    second = played.node.send(hot, other, value=5 * ETHER, nonce=hex(nonce + 1), gasPrice=hex(10 * 10**9))
    played.turn()
    assert rules(played, bytes.fromhex(second[2:])) == {"approval_reused"}
    played.node.send(hot, hot, value=0, nonce=hex(nonce), gasPrice=hex(50 * 10**9))
    played.mine()
    assert rules(played, bytes.fromhex(second[2:])) == set()
    assert played.alert_state() == [AlertState.CLOSED]
