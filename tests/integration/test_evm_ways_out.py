"""Every way out, through the whole pipeline on a real node: one outflow, one finding, and books that balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account
from evm_watches import (
    ANVIL,
    ETH,
    ETHER,
    Deployed,
    OwnWallet,
    Watch,
    calldata,
    crooked_token,
    erc20,
    made_for_tests,
    settled,
    watch,
    words,
)

from nodes.anvils import CHAIN_ID, Anvil
from nodes.contracts import (
    OPERATION_DELEGATECALL,
    Contract,
    Safe,
    deploy,
    deploy_erc20,
    deploy_safe,
    openzeppelin,
    safe,
    settle,
)
from walletwatch.domain.outflows import Outflow

pytestmark = pytest.mark.anvil

PAYEE = "0x" + "7e" * 20
KEY = "0x" + "43" * 32
RULES = ("unexplained_balance", "wallet_control_changed", "allowance_granted", "failed_transaction")


class Scene:
    """An exchange with an account, a paying contract, a Safe of two owners, and a token; and strangers."""

    def __init__(self, node: Anvil, folder: Path) -> None:
        self.node = node
        self.hot, self.stranger = node.accounts[0], node.accounts[5]
        self.delegated = Account.from_key(KEY).address
        self.payer: Contract = deploy(node, made_for_tests("payer"))
        self.safe: Safe = deploy_safe(node, node.accounts[1:4], 2)
        self.token = deploy_erc20(node, "TKN", 1_000 * ETHER, self.hot)
        self.taxed = crooked_token(node, self.hot, 10_000, 10)
        for address in (self.payer.address, self.safe.address):
            settled(node, node.send(node.accounts[9], address, value=50 * ETHER))
        self.deployed = Deployed(
            folder,
            [node.url],
            [
                OwnWallet("eth-hot", [self.hot]),
                OwnWallet("payout", [self.payer.address]),
                OwnWallet("eth-safe", [self.safe.address], "cold", "safe"),
                OwnWallet("delegated", [self.delegated]),
            ],
            tokens=[("TKN", self.token.address), ("TAX", self.taxed.address)],
            rules=RULES,
        )
        self.desk: Watch

    def lost(self, tx: str, wallet: str, asset: str, amount: int) -> Outflow:
        """The one outflow of `tx`, with one finding; nothing else left, and the books balance."""
        settled(self.node, tx)
        before = {o.id for o in self.desk.outflows()}
        self.desk.settle()
        assert self.desk.losses(tx) == Counter({(wallet, asset, amount): 1})
        (outflow,) = self.desk.outflows(tx)
        assert {o.id for o in self.desk.outflows()} - before == {outflow.id}
        (found,) = self.desk.findings("unapproved", tx)
        assert (found.wallet, found.outflow, found.severity) == (wallet, outflow.id, "critical")
        assert [f.id for alert in self.desk.alerts() for f in [found] if f.id in alert.findings] == [found.id]
        self.balanced()
        return outflow

    def balanced(self) -> None:
        self.desk.worker.conservation.check()
        assert self.desk.findings("unexplained_balance") == []


@pytest.fixture
def scene(fresh_anvil: Anvil, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(fresh_anvil, tmp_path)
    with watch(made.deployed) as desk:
        desk.settle()
        made.desk = desk
        yield made


def test_ether_sent(scene: Scene) -> None:
    outflow = scene.lost(scene.node.send(scene.hot, PAYEE, value=3 * ETHER), "eth-hot", ETH, 3 * ETHER)
    assert [(p.address.text.lower(), p.amount) for p in outflow.payments] == [(PAYEE, 3 * ETHER)]
    assert outflow.fee > 0


def test_a_token_sent(scene: Scene) -> None:
    scene.lost(scene.token.send(scene.hot, "transfer", PAYEE, 250), "eth-hot", erc20(scene.token.address), 250)


def test_a_token_pulled_by_a_stranger(scene: Scene) -> None:
    granted = scene.token.send(scene.hot, "approve", scene.stranger, 2**256 - 1)
    settled(scene.node, granted)
    scene.desk.settle()
    (found,) = scene.desk.findings(tx=granted)
    assert (found.rule, found.wallet, found.outflow) == ("allowance_granted", "eth-hot", None)
    pulled = scene.token.send(scene.stranger, "transferFrom", scene.hot, scene.stranger, 999)
    outflow = scene.lost(pulled, "eth-hot", erc20(scene.token.address), 999)
    assert outflow.fee == 0, "the stranger paid the gas"


def test_ether_paid_by_a_contract_at_a_strangers_call(scene: Scene) -> None:
    data = calldata("pay(address,uint256)", PAYEE, 7 * ETHER)
    scene.lost(scene.node.send(scene.stranger, scene.payer.address, data=data), "payout", ETH, 7 * ETHER)


def test_a_payout_to_fifty(scene: Scene) -> None:
    payees = ["0x" + (0xB000 + n).to_bytes(20, "big").hex() for n in range(50)]
    disperser = deploy(scene.node, made_for_tests("payer"))
    data = calldata("disperse(address[],uint256)", 64, 1_000, len(payees), *payees)
    tx = scene.node.send(scene.hot, disperser.address, data=data, value=50_000)
    outflow = scene.lost(tx, "eth-hot", ETH, 50_000)
    assert {(p.address.text.lower(), p.amount) for p in outflow.payments} == {(p, 1_000) for p in payees}


def test_a_contract_that_ends(scene: Scene) -> None:
    tx = scene.node.send(scene.stranger, scene.payer.address, data=calldata("end(address)", PAYEE))
    scene.lost(tx, "payout", ETH, 50 * ETHER)


def test_a_token_that_keeps_a_part_on_the_way(scene: Scene) -> None:
    """The wallet lost what was said; that less arrived is the payee's loss."""
    data = calldata("transfer(address,uint256)", PAYEE, 1_000)
    scene.lost(scene.node.send(scene.hot, scene.taxed.address, data=data), "eth-hot", erc20(scene.taxed.address), 1_000)
    held = scene.node.rpc("eth_call", [{"to": scene.taxed.address, "data": "0x" + _balance_of(PAYEE)}, "latest"])
    assert int(held, 16) == 900


def _balance_of(account: str) -> str:
    return calldata("balanceOf(address)", account).hex()


def test_an_item_of_a_collection(scene: Scene) -> None:
    items = deploy(scene.node, openzeppelin("ERC721PresetMinterPauserAutoId"), "Items", "ITM", "")
    settle(scene.node, items.send(scene.node.accounts[0], "mint", scene.hot))
    tx = items.send(scene.hot, "transferFrom", scene.hot, PAYEE, 0)
    scene.lost(tx, "eth-hot", f"{ANVIL}/erc721:{items.address.lower()}%2f0", 1)


def test_logs_of_a_strangers_token_in_our_name_are_nothing(scene: Scene) -> None:
    """Address poisoning: each day thousands of tokens log transfers from wallets they do not hold to look-alikes."""
    spam = crooked_token(scene.node, scene.stranger, 10**30)
    data = calldata("pretend(address,address,uint256)", scene.hot, PAYEE, 5_000)
    tx = scene.node.send(scene.stranger, spam.address, data=data)
    settled(scene.node, tx)
    scene.desk.settle()
    assert scene.desk.outflows() == []
    assert scene.desk.findings() == []
    scene.lost(scene.node.send(scene.hot, PAYEE, value=1), "eth-hot", ETH, 1)


def test_the_same_token_sent_by_ourselves_is_an_outflow(scene: Scene) -> None:
    """An airdropped token nobody configured is still ours to lose."""
    drop = deploy_erc20(scene.node, "AIR", 10_000, scene.hot)
    scene.lost(drop.send(scene.hot, "transfer", PAYEE, 40), "eth-hot", erc20(drop.address), 40)


def test_a_failed_transaction_is_no_outflow_and_is_told(scene: Scene) -> None:
    data = calldata("pay_then_fail(address,uint256)", PAYEE, 1)
    tx = scene.node.send(scene.hot, scene.payer.address, data=data, gas=hex(100_000))
    settled(scene.node, tx)
    scene.desk.settle()
    assert scene.desk.outflows() == []
    assert [(f.rule, f.wallet) for f in scene.desk.findings(tx=tx)] == [("failed_transaction", "eth-hot")]
    scene.balanced()


def test_code_given_to_an_own_account(scene: Scene) -> None:
    delegate = "0x" + "de" * 20
    signed = Account.sign_authorization({"chainId": CHAIN_ID, "address": delegate, "nonce": 0}, KEY)
    row = {"chainId": hex(CHAIN_ID), "address": delegate, "nonce": "0x0", "yParity": hex(signed.y_parity)}
    row |= {"r": hex(signed.r), "s": hex(signed.s)}
    tx = scene.node.send(scene.stranger, PAYEE, authorizationList=[row], gas=hex(200_000))
    settled(scene.node, tx)
    scene.desk.settle()
    (found,) = scene.desk.findings()
    assert (found.rule, found.severity, found.wallet) == ("wallet_control_changed", "critical", "delegated")
    assert found.evidence["changes"][0]["after"] == delegate


def test_a_takeover_like_bybits_is_critical_in_its_block_before_value_moves(scene: Scene) -> None:
    """Bybit, 2025-02-21: a delegated `transfer` wrote slot 0; the drain came 13 blocks later."""
    attacker = deploy(scene.node, made_for_tests("slot_writer"))
    data = bytes.fromhex("a9059cbb") + words(attacker.address, 0)
    taken = scene.safe.execute(attacker.address, data=data, operation=OPERATION_DELEGATECALL)
    height = settled(scene.node, taken)
    scene.desk.settle()
    (found,) = scene.desk.findings()
    assert (found.rule, found.severity, found.tx) == ("wallet_control_changed", "critical", bytes.fromhex(taken[2:]))
    assert {c["kind"] for c in found.evidence["changes"]} == {"singleton", "delegatecall"}
    assert (scene.desk.report()["tip"]["height"], scene.desk.outflows()) == (height, [])
    (alert,) = scene.desk.alerts()
    assert (alert.severity, alert.findings) == ("critical", (found.id,))
    drained = scene.node.send(
        scene.stranger, scene.safe.address, data=calldata("sweepETH(address)", PAYEE), gas=hex(200_000)
    )
    scene.lost(drained, "eth-safe", ETH, 50 * ETHER)


@pytest.mark.parametrize("library", ["libraries/MultiSend", "libraries/MultiSendCallOnly"])
def test_an_approved_multi_send_is_silent(scene: Scene, library: str) -> None:
    multi = deploy(scene.node, safe(library))
    settled(scene.node, scene.token.send(scene.hot, "transfer", scene.safe.address, 1_000))
    scene.desk.settle()
    pay = scene.token.calldata("transfer", "0x" + "6e" * 20, 400)
    parts = [("0x" + "5f" * 20, 7, b""), (scene.token.address, 0, pay)]
    blob = b"".join(b"\0" + bytes.fromhex(to[2:]) + words(value, len(data)) + data for to, value, data in parts)
    scene.desk.exchange.approve(ANVIL, ETH, 7, "0x" + "5f" * 20)
    scene.desk.exchange.approve(ANVIL, erc20(scene.token.address), 400, "0x" + "6e" * 20)
    tx = scene.safe.execute(multi.address, data=multi.calldata("multiSend", blob), operation=OPERATION_DELEGATECALL)
    settled(scene.node, tx)
    scene.desk.settle()
    assert scene.desk.losses(tx) == Counter({("eth-safe", ETH, 7): 1, ("eth-safe", erc20(scene.token.address), 400): 1})
    assert scene.desk.findings() == []
    assert scene.desk.alerts() == []
    scene.balanced()
