"""What accounts and Safes of a real node are about to sign: judged before, sent, held to what the chain then said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rlp
from evm_watches import ANVIL, ETH, ETHER, Deployed, OwnWallet, Watch, erc20, settled, watch
from exchanges import Exchange
from typer.testing import CliRunner

from chains.evm.safe import read_execution
from data.ethereum.samples import BYBIT_SAFE, bybit_raw
from nodes.anvils import Anvil
from nodes.contracts import NOBODY, OPERATION_DELEGATECALL, Contract, Safe, deploy, deploy_erc20, deploy_safe, safe
from walletwatch.cli.main import app

pytestmark = pytest.mark.anvil

PAYEE = "0x" + "5e" * 20
RULES = ("wallet_control_changed", "allowance_granted")


class House:
    """A hot account, a Safe, a token, and the watch over them."""

    def __init__(self, folder: Path, node: Anvil) -> None:
        self.node = node
        self.safe: Safe = deploy_safe(node, node.accounts[:3], 2)
        self.hot = node.accounts[5]
        self.token: Contract = deploy_erc20(node, "USDX", 1000 * ETHER, self.safe.address)
        settled(node, node.send(node.accounts[9], self.safe.address, value=50 * ETHER))
        wallets = (OwnWallet("eth-hot", [self.hot]), OwnWallet("eth-safe", [self.safe.address], "cold", "safe"))
        self.deployed = Deployed(folder, [node.url], wallets, [("USDX", self.token.address)], RULES)


@pytest.fixture
def house(tmp_path: Path, anvil: Anvil) -> House:
    return House(tmp_path, anvil)


@pytest.fixture
def watched(house: House) -> Iterator[Watch]:
    with watch(house.deployed) as seen:
        seen.settle()
        yield seen


def preflight(exchange: Exchange, content: str, *more: str, chain: str = "anvil") -> tuple[int, dict[str, Any]]:
    """Exit status and answer of the command."""
    arguments = ["--config", str(exchange.config), "preflight", "-", "--chain", chain, "--format", "json"]
    done = CliRunner().invoke(app, [*arguments, *more], input=content)
    return done.exit_code, json.loads(done.stdout)


def proposal(house: House, to: str, *, value: int = 0, data: bytes = b"", operation: int = 0) -> str:
    """As the transaction service gives it."""
    nonce = house.safe.contract.call("nonce")
    arguments = (to, value, data, operation, 0, 0, 0, NOBODY, NOBODY, nonce)
    told = house.safe.contract.call("getTransactionHash", *arguments)
    fields = {"safe": house.safe.address, "to": to, "value": str(value), "data": "0x" + data.hex(), "nonce": nonce}
    return json.dumps(fields | {"operation": operation, "safeTxHash": "0x" + told.hex()})


def test_the_safe_itself_gives_the_hash_that_is_told(house: House, watched: Watch) -> None:
    """`getTransactionHash` of the real contract, on the real chain id."""
    request = watched.exchange.approve(ANVIL, ETH, 3 * ETHER, PAYEE)
    text = proposal(house, PAYEE, value=3 * ETHER)
    code, answer = preflight(watched.exchange, text)
    assert (answer["reasons"], answer["verdict"], code) == ([], "pass", 0)
    assert answer["safe_tx_hash"] == json.loads(text)["safeTxHash"]
    assert answer["requests"] == [request]
    tx = house.safe.execute(PAYEE, value=3 * ETHER)
    settled(house.node, tx)
    watched.settle()
    assert watched.findings(tx=tx) == []
    assert [o.amount for o in watched.outflows(tx)] == [3 * ETHER]


def test_an_unapproved_token_payment_through_a_multi_send_is_told_as_when_it_is_seen(
    house: House, watched: Watch
) -> None:
    multi = deploy(house.node, safe("libraries/MultiSendCallOnly"))
    pay = house.token.calldata("transfer", PAYEE, 7 * ETHER)
    packed = b"\0" + bytes.fromhex(house.token.address[2:]) + bytes(32) + len(pay).to_bytes(32, "big") + pay
    data = multi.calldata("multiSend", packed)
    code, answer = preflight(
        watched.exchange, proposal(house, multi.address, data=data, operation=OPERATION_DELEGATECALL)
    )
    assert code == 1
    texts = {r["rule"]: r["summary"] for r in answer["reasons"]}
    assert "no known MultiSend" in texts.pop("draft"), "this one was deployed for the test, at an account of its own"
    tx = house.safe.execute(multi.address, data=data, operation=OPERATION_DELEGATECALL)
    settled(house.node, tx)
    watched.settle()
    assert texts == {f.rule: f.summary for f in watched.findings(tx=tx)}
    assert [p["asset"] for p in answer["payments"]] == [erc20(house.token.address)]


def test_an_owner_more_is_critical_before_and_after(house: House, watched: Watch) -> None:
    data = house.safe.contract.calldata("addOwnerWithThreshold", house.node.accounts[8], 1)
    code, answer = preflight(watched.exchange, proposal(house, house.safe.address, data=data))
    (reason,) = answer["reasons"]
    assert (code, reason["rule"], reason["severity"]) == (1, "wallet_control_changed", "critical")
    tx = house.safe.execute(house.safe.address, data=data)
    settled(house.node, tx)
    watched.settle()
    (found,) = watched.findings(tx=tx)
    assert (found.rule, found.wallet) == ("wallet_control_changed", reason["wallet"])


def test_an_allowance_of_the_hot_account_is_told_before_it_is_signed(house: House, watched: Watch) -> None:
    data = "0x" + house.token.calldata("approve", PAYEE, 5).hex()
    raw = house.node.rpc(
        "eth_signTransaction",
        [{"from": house.hot, "to": house.token.address, "data": data, "gas": hex(90_000), "gasPrice": hex(2 * 10**9)}],
    )
    code, answer = preflight(watched.exchange, raw if isinstance(raw, str) else raw["raw"])
    (reason,) = answer["reasons"]
    assert (code, reason["rule"], reason["wallet"]) == (1, "allowance_granted", "eth-hot")
    sent = house.node.rpc("eth_sendRawTransaction", [raw if isinstance(raw, str) else raw["raw"]])
    assert answer["tx"] == sent
    settled(house.node, sent)
    watched.settle()
    (found,) = watched.findings(tx=sent)
    assert (found.rule, found.summary) == (reason["rule"], reason["summary"])


def test_an_unsigned_payment_needs_to_know_who_signs(house: House, watched: Watch) -> None:
    watched.exchange.approve(ANVIL, ETH, 2, PAYEE)
    raw = "02" + rlp.encode([31337, 0, 1, 10**10, 21_000, bytes.fromhex(PAYEE[2:]), 2, b"", []]).hex()
    arguments = ["--config", str(watched.exchange.config), "preflight", "-", "--chain", "anvil"]
    done = CliRunner().invoke(app, arguments, input=raw)
    assert done.exit_code != 0
    assert "name the wallet" in str(done.exception)
    code, answer = preflight(watched.exchange, raw, "--wallet", "eth-hot")
    assert (code, answer["verdict"]) == (0, "pass")
    code, answer = preflight(watched.exchange, raw, "--address", house.hot.lower())
    assert code == 0
    assert answer["payments"][0]["approved"] is True


def test_the_takeover_of_bybit_s_safe_is_critical_before_anybody_signs(tmp_path: Path) -> None:
    """2025-02-21: the owners' screens showed a payment. The file they signed says what it is, without any node."""
    chain = '[[chain]]\nname = "ethereum"\nid = "eip155:1"\nendpoints = ["http://127.0.0.1:9"]\n'
    wallet = '[[wallet]]\nname = "eth-cold"\nrole = "cold"\nchain = "ethereum"\nkind = "safe"\n'
    wallet += f'addresses = ["{BYBIT_SAFE}"]\n'
    rule = '[[rule]]\nid = "wallet-control"\ntype = "wallet_control_changed"\n'
    execution = read_execution(rlp.decode(bybit_raw())[5])
    assert execution is not None
    told = execution.operation
    text = json.dumps(
        {
            "safe": BYBIT_SAFE,
            "to": "0x" + told.to.hex(),
            "value": str(told.value_wei),
            "data": "0x" + told.data.hex(),
            "operation": told.operation,
            "safeTxGas": str(execution.safe_tx_gas),
            "baseGas": str(execution.base_gas),
            "gasPrice": str(execution.gas_price),
            "nonce": 71,
        }
    )
    exchange = Exchange(tmp_path / "with", chain + wallet, rules=rule)
    code, answer = preflight(exchange, text, chain="ethereum")
    (reason,) = answer["reasons"]
    assert (code, answer["verdict"], reason["rule"]) == (1, "violation", "wallet_control_changed")
    assert (reason["severity"], reason["wallet"]) == ("critical", "eth-cold")
    assert answer["outflows"] == [], "there is no payment in it"
    (change,) = reason["evidence"]["changes"]
    assert (change["kind"], change["detail"]["selector"]) == ("delegatecall", "0xa9059cbb")
    without = Exchange(tmp_path / "without", chain + wallet)
    code, answer = preflight(without, text, chain="ethereum")
    assert (code, answer["verdict"]) == (1, "undetermined"), "a rule that nobody named does not make it fine"
    assert "wallet_control_changed is configured" in answer["reasons"][0]["summary"]
