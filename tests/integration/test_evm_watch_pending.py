"""What waits in a real node's pool, through the whole pipeline: judged before any block, and replaced in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from evm_watches import Deployed, OwnWallet, Watch, erc20, watch

from nodes.anvils import Anvil
from nodes.contracts import Contract, deploy_erc20
from walletwatch.domain.alerts import Alert

pytestmark = pytest.mark.anvil

FIRST, SECOND = "0x" + "a1" * 20, "0x" + "a2" * 20
GWEI = 10**9


@pytest.fixture
def token(fresh_anvil: Anvil) -> Contract:
    return deploy_erc20(fresh_anvil, "TKN", 10**20, fresh_anvil.accounts[0])


@pytest.fixture
def desk(fresh_anvil: Anvil, token: Contract, tmp_path: Path) -> Iterator[Watch]:
    wallets = [OwnWallet("eth-hot", [fresh_anvil.accounts[0]])]
    deployed = Deployed(tmp_path, [fresh_anvil.url], wallets, tokens=[("TKN", token.address)])
    fresh_anvil.automine(on=False)
    with watch(deployed) as made:
        made.settle()
        yield made


def pay(node: Anvil, to: str, value: int, *, nonce: int, gwei: int) -> str:
    return node.send(node.accounts[0], to, value=value, nonce=hex(nonce), gasPrice=hex(gwei * GWEI), gas=hex(21_000))


def next_nonce(node: Anvil) -> int:
    return int(node.rpc("eth_getTransactionCount", [node.accounts[0], "latest"]), 16)


def states(desk: Watch) -> dict[str, str]:
    return {"0x" + o.tx.hex(): str(o.state) for o in desk.outflows()}


def only_alert(desk: Watch) -> Alert:
    (alert,) = desk.alerts()
    return alert


def test_a_waiting_payment_is_judged_and_its_alert_follows_its_replacement(fresh_anvil: Anvil, desk: Watch) -> None:
    nonce = next_nonce(fresh_anvil)
    first = pay(fresh_anvil, FIRST, 5, nonce=nonce, gwei=3)
    desk.settle()
    assert states(desk) == {first: "seen"}
    (found,) = desk.findings()
    assert (found.rule, found.tx) == ("unapproved", bytes.fromhex(first[2:]))
    seen = only_alert(desk)

    second = pay(fresh_anvil, SECOND, 7, nonce=nonce, gwei=30)
    desk.settle()
    assert states(desk) == {first: "replaced", second: "seen"}
    replaced = only_alert(desk)
    assert (replaced.id, replaced.version > seen.version) == (seen.id, True)
    assert {f.tx for f in desk.findings()} == {bytes.fromhex(t[2:]) for t in (first, second)}
    assert set(replaced.findings) == {f.id for f in desk.findings()}

    fresh_anvil.mine()
    desk.settle()
    assert states(desk) == {first: "replaced", second: "final"}
    assert only_alert(desk).id == seen.id
    assert len(desk.findings()) == 2
    assert desk.worker.conservation.check() == ()


def test_a_replacement_that_nobody_saw_waiting_replaces_at_inclusion(fresh_anvil: Anvil, desk: Watch) -> None:
    nonce = next_nonce(fresh_anvil)
    first = pay(fresh_anvil, FIRST, 5, nonce=nonce, gwei=3)
    desk.settle()
    second = pay(fresh_anvil, SECOND, 7, nonce=nonce, gwei=30)
    fresh_anvil.mine()
    desk.settle()
    assert states(desk) == {first: "replaced", second: "final"}
    assert len(only_alert(desk).findings) == 2


def test_a_cancellation_leaves_no_outflow_in_the_chain(fresh_anvil: Anvil, desk: Watch) -> None:
    """A wallet takes a payment back by paying itself nothing with the same nonce."""
    nonce = next_nonce(fresh_anvil)
    first = pay(fresh_anvil, FIRST, 5, nonce=nonce, gwei=3)
    desk.settle()
    pay(fresh_anvil, fresh_anvil.accounts[0], 0, nonce=nonce, gwei=30)
    fresh_anvil.mine()
    desk.settle()
    assert states(desk) == {first: "replaced"}


def test_a_payment_behind_a_gap_in_the_nonces_is_seen_too(fresh_anvil: Anvil, desk: Watch) -> None:
    nonce = next_nonce(fresh_anvil)
    queued = pay(fresh_anvil, FIRST, 5, nonce=nonce + 2, gwei=3)
    desk.settle()
    assert states(desk) == {queued: "seen"}
    fresh_anvil.mine()
    desk.settle()
    assert states(desk) == {queued: "seen"}
    for gap in (nonce, nonce + 1):
        pay(fresh_anvil, SECOND, 1, nonce=gap, gwei=3)
    fresh_anvil.mine()
    desk.settle()
    assert states(desk)[queued] == "final"
    assert len(desk.outflows()) == 3


def test_a_waiting_pull_of_tokens_by_a_stranger_is_seen(fresh_anvil: Anvil, desk: Watch, token: Contract) -> None:
    hot, stranger = fresh_anvil.accounts[0], fresh_anvil.accounts[5]
    token.send(hot, "approve", stranger, 900)
    fresh_anvil.mine()
    desk.settle()
    pulled = token.send(stranger, "transferFrom", hot, stranger, 900)
    desk.settle()
    assert states(desk) == {pulled: "seen"}
    assert desk.losses(pulled) == {("eth-hot", erc20(token.address), 900): 1}
    fresh_anvil.mine()
    desk.settle()
    assert states(desk) == {pulled: "final"}


def test_what_a_waiting_transaction_announced_gives_way_to_what_it_did(
    fresh_anvil: Anvil, desk: Watch, token: Contract
) -> None:
    """A transfer of more than there is was announced and failed; it was listed as final, and counted in limits."""
    sent = fresh_anvil.send(
        fresh_anvil.accounts[0],
        token.address,
        data=token.calldata("transfer", FIRST, 10**21),
        gas=hex(100_000),
    )
    desk.settle()
    assert states(desk) == {sent: "seen"}
    fresh_anvil.mine()
    desk.settle()
    assert fresh_anvil.receipt(sent)["status"] == "0x0"
    assert states(desk) == {sent: "replaced"}
    assert desk.worker.conservation.check() == ()
