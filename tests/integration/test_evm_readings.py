"""Requests for transfers that an outflow's net payments do not show one by one, on a real node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from exchanges import ANVIL, Exchange

from nodes.anvils import Anvil
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.anvil

ETHER = 10**18
ALICE, BOB, VAULT, THIEF = ("0x" + byte * 20 for byte in ("c1", "c2", "c3", "7e"))
BATCH, DEPOSIT, OTHER_DEPOSIT = ("0x" + byte * 20 for byte in ("b1", "d1", "d2"))

_NO_DATA = "6000" * 4
_ALL_OF_IT = "34"


def _paying(*transfers: tuple[str, int | None]) -> str:
    """Code of a contract that pays these on any call; None is all it was sent."""
    parts = (
        _NO_DATA
        + (_ALL_OF_IT if amount is None else "7f" + amount.to_bytes(32, "big").hex())
        + "73"
        + to[2:]
        + "5af150"
        for to, amount in transfers
    )
    return "0x" + "".join(parts) + "00"


class Played:
    """A hot wallet of one account, and what was found of what it paid."""

    def __init__(self, node: Anvil, folder: Path) -> None:
        self.node, self.hot = node, node.accounts[1]
        wallet = f'[[wallet]]\nname = "hot"\nrole = "hot"\nchain = "anvil"\naddresses = ["{self.hot}"]\n'
        chain = f'[[chain]]\nname = "anvil"\nid = "{ANVIL}"\nendpoints = ["{node.url}"]\nfinality = 1\n'
        self.exchange = Exchange(folder / "exchange", chain + wallet)

    def has_code(self, contract: str, *transfers: tuple[str, int | None]) -> None:
        self.node.rpc("anvil_setCode", [contract, _paying(*transfers)])

    def approve(self, *requests: tuple[str, int]) -> None:
        asset = f"{ANVIL}/slip44:60"
        for n, (payee, ether) in enumerate(requests):
            for line in self.exchange.sign_request(f"W-{n}", ANVIL, asset, ether * ETHER, payee):
                with self.exchange.log.open("ab") as log:
                    log.write(line)

    def pay(self, app: Application, payee: str, ether: int) -> tuple[set[str], Sequence[str]]:
        """Pay; the types of what was found, and the requests that the payment used up."""
        (worker,) = app.workers()
        with app.approvals.held():
            app.feeds.read()
        worker.tick()
        tx = bytes.fromhex(self.node.send(self.hot, payee, value=ether * ETHER)[2:])
        self.node.mine(1)
        for _ in range(60):
            worker.tick()
            if worker.synced:
                break
        assert worker.synced, worker.last_error
        with app.store.reading() as unit:
            found = {f.rule for f in unit.findings.find(Filter(tx=tx))}
            (outflow,) = unit.outflows.find(Filter(tx=tx))
            return found, sorted(a.request_id for a in unit.approvals.allocations_of(outflow.chain, tx))


@pytest.fixture
def played(fresh_anvil: Anvil, tmp_path: Path) -> Played:
    return Played(fresh_anvil, tmp_path)


def test_a_batch_that_pays_one_payee_twice_pays_two_requests(played: Played) -> None:
    """Two withdrawals of one customer went out in one batch. Net it was one payment of their sum, which nobody had
    asked for: `amount_mismatch`, critical.
    """
    played.has_code(BATCH, (ALICE, 3 * ETHER), (ALICE, 4 * ETHER), (BOB, 3 * ETHER))
    played.approve((ALICE, 3), (ALICE, 4), (BOB, 3))
    with Application.open(played.exchange.settings()) as app:
        assert played.pay(app, BATCH, 10) == (set(), ["W-0", "W-1", "W-2"])


def test_a_payee_that_passes_the_value_on_at_once_is_paid(played: Played) -> None:
    """A deposit address of another exchange was a contract that sends all it gets to that exchange's vault. The payment
    came to rest at the vault: `destination_mismatch`.
    """
    played.has_code(DEPOSIT, (VAULT, None))
    played.approve((DEPOSIT, 5))
    with Application.open(played.exchange.settings()) as app:
        assert played.pay(app, DEPOSIT, 5) == (set(), ["W-0"])


def test_a_request_for_where_the_value_came_to_rest_is_paid_too(played: Played) -> None:
    """It was right before payees on the way counted, and stays so."""
    played.has_code(DEPOSIT, (VAULT, None))
    played.approve((VAULT, 5))
    with Application.open(played.exchange.settings()) as app:
        assert played.pay(app, DEPOSIT, 5) == (set(), ["W-0"])


def test_a_batch_may_pay_payees_that_pass_it_on_beside_others(played: Played) -> None:
    """One batch paid a contract that passes on, and two withdrawals of one customer."""
    played.has_code(DEPOSIT, (VAULT, None))
    played.has_code(BATCH, (DEPOSIT, 5 * ETHER), (ALICE, 1 * ETHER), (ALICE, 2 * ETHER))
    played.approve((DEPOSIT, 5), (ALICE, 1), (ALICE, 2))
    with Application.open(played.exchange.settings()) as app:
        assert played.pay(app, BATCH, 8) == (set(), ["W-0", "W-1", "W-2"])


def test_one_request_explains_its_value_once_however_it_is_read(played: Played) -> None:
    """A batch pays the customer and a thief alike; a request for the customer explains neither the thief's part nor,
    read as a payment to the batch, the whole.
    """
    played.has_code(BATCH, (ALICE, 3 * ETHER), (ALICE, 3 * ETHER), (THIEF, 3 * ETHER))
    played.approve((ALICE, 3))
    with Application.open(played.exchange.settings()) as app:
        found, used = played.pay(app, BATCH, 9)
    assert used == ["W-0"]
    assert found == {"approval_reused", "unapproved"}
