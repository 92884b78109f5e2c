"""A real Safe on a real node: what changes its control is seen in its block, what does not is silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from chains.evm.source import EvmSource, open_source
from chains.model import AccountTransaction, Address, BlockFacts, ChainId, ControlChange
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.anvils import Anvil
from nodes.contracts import (
    NOBODY,
    OPERATION_DELEGATECALL,
    Compiled,
    Contract,
    Safe,
    deploy,
    deploy_erc20,
    deploy_safe,
    safe,
)

pytestmark = pytest.mark.anvil

DATA = Path(__file__).parents[1] / "data" / "ethereum"
ETHER = 10**18


class Watched:
    """A Safe, its node and a source that is told it is one."""

    def __init__(self, node: Anvil) -> None:
        self.node = node
        self.safe: Safe = deploy_safe(node, node.accounts[:3], 2)
        self.address = Address(bytes.fromhex(self.safe.address[2:]), self.safe.address)
        self.wait(node.send(node.accounts[9], self.safe.address, value=50 * ETHER))
        spec = SourceSpec(
            "local",
            ChainId("eip155", "31337"),
            (Endpoint("anvil", node.url),),
            confirmations=1,
            contract_wallets=(self.address,),
        )
        self.source: EvmSource = open_source(spec)

    def wait(self, tx: str) -> None:
        while self.node.rpc("eth_getTransactionReceipt", [tx]) is None:
            pass

    def facts(self, tx: str) -> BlockFacts:
        self.wait(tx)
        receipt = self.node.receipt(tx)
        assert receipt["status"] == "0x1"
        return self.source.block(int(receipt["blockNumber"], 16), WatchSet({self.address.key}))

    def changes(self, tx: str) -> list[ControlChange]:
        return list(self.facts(tx).control_changes)


@pytest.fixture
def watched(anvil: Anvil) -> Iterator[Watched]:
    made = Watched(anvil)
    yield made
    made.source.close()


@pytest.fixture(scope="module")
def attacker(anvil: Anvil) -> Contract:
    return deploy(anvil, Compiled([], bytes.fromhex((DATA / "contract_slot_writer.hex").read_text().strip()[2:])))


def word(account: str) -> bytes:
    return bytes.fromhex(account[2:]).rjust(32, b"\0")


def test_a_takeover_like_bybits_is_seen_in_its_own_block_before_value_moves(
    watched: Watched, attacker: Contract
) -> None:
    """Bybit, 2025-02-21: a delegated `transfer` wrote slot 0, no event told, and the drain came 13 blocks later."""
    singleton = "0x" + watched.node.rpc("eth_getStorageAt", [watched.safe.address, "0x0", "latest"])[26:]
    data = bytes.fromhex("a9059cbb") + word(attacker.address) + bytes(32)
    tx = watched.safe.execute(attacker.address, data=data, operation=OPERATION_DELEGATECALL)
    facts = watched.facts(tx)
    by_kind = {c.kind.value: c for c in facts.control_changes}
    assert by_kind.keys() == {"singleton", "delegatecall"}
    assert by_kind["singleton"].before.lower() == singleton
    assert by_kind["singleton"].after == attacker.address
    delegated = by_kind["delegatecall"]
    assert delegated.after == attacker.address
    assert delegated.detail["selector"] == "0xa9059cbb"
    signers = sorted(watched.safe.owners[:2], key=lambda a: int(a, 16))
    assert delegated.detail["signers"] == ",".join(signers)
    (seen,) = facts.transactions
    assert isinstance(seen, AccountTransaction)
    assert seen.transfers == ()
    assert seen.signing is not None
    assert list(seen.signing.signers) == signers
    assert seen.signing.as_dict()["safe_operation"] == 1
    drain = watched.node.send(watched.node.accounts[5], watched.safe.address, data=_sweep(), gas=hex(200_000))
    (stolen,) = watched.facts(drain).transactions
    assert isinstance(stolen, AccountTransaction)
    assert [(t.kind.value, t.amount, t.sender.key) for t in stolen.transfers] == [
        ("internal", 50 * ETHER, watched.address.key)
    ]


def _sweep() -> bytes:
    return keccak(text="sweepETH(address)")[:4] + word("0x" + "7e" * 20)


def test_an_ordinary_payment_of_a_safe_is_silent_and_names_its_signers(watched: Watched) -> None:
    owners = watched.safe.owners
    tx = watched.safe.execute(
        "0x" + "5e" * 20, value=3, signers=[owners[1], owners[2]], sender=watched.node.accounts[7]
    )
    facts = watched.facts(tx)
    assert facts.control_changes == ()
    (seen,) = facts.transactions
    assert isinstance(seen, AccountTransaction)
    assert seen.signing is not None
    assert set(seen.signing.signers) == {owners[1], owners[2]}
    assert seen.signing.as_dict()["safe_executor"] == watched.node.accounts[7]
    assert [(t.kind.value, t.amount) for t in seen.transfers] == [("internal", 3)]


@pytest.mark.parametrize("library", ["libraries/MultiSend", "libraries/MultiSendCallOnly"])
def test_a_known_multi_send_is_silent(watched: Watched, library: str) -> None:
    multi = deploy(watched.node, safe(library))
    token = deploy_erc20(watched.node, "TKS", 1_000, watched.safe.address)
    pay = token.calldata("transfer", "0x" + "6e" * 20, 400)
    parts = [(0, "0x" + "5f" * 20, 7, b""), (0, token.address, 0, pay)]
    blob = b"".join(
        bytes([op]) + bytes.fromhex(to[2:]) + value.to_bytes(32, "big") + len(data).to_bytes(32, "big") + data
        for op, to, value, data in parts
    )
    tx = watched.safe.execute(multi.address, data=multi.calldata("multiSend", blob), operation=OPERATION_DELEGATECALL)
    facts = watched.facts(tx)
    assert facts.control_changes == ()
    (seen,) = facts.transactions
    assert isinstance(seen, AccountTransaction)
    assert [(t.kind.value, t.amount) for t in seen.transfers] == [("internal", 7), ("token", 400)]


def test_a_delegated_call_hidden_in_a_multi_send_is_seen(watched: Watched, attacker: Contract) -> None:
    multi = deploy(watched.node, safe("libraries/MultiSend"))
    data = bytes.fromhex("a9059cbb") + word(attacker.address) + bytes(32)
    blob = b"\x01" + bytes.fromhex(attacker.address[2:]) + bytes(32) + len(data).to_bytes(32, "big") + data
    tx = watched.safe.execute(multi.address, data=multi.calldata("multiSend", blob), operation=OPERATION_DELEGATECALL)
    changes = {c.kind.value: c for c in watched.changes(tx)}
    assert changes.keys() == {"singleton", "delegatecall"}
    assert changes["delegatecall"].detail["depth"] == 1


def configure(watched: Watched, function: str, *arguments: object) -> list[ControlChange]:
    data = watched.safe.contract.calldata(function, *arguments)
    return watched.changes(watched.safe.execute(watched.safe.address, data=data))


def test_each_setting_of_a_safe_is_compared_with_the_block_before(watched: Watched, attacker: Contract) -> None:
    new = watched.node.accounts[6]
    added = {c.kind.value: c for c in configure(watched, "addOwnerWithThreshold", new, 3)}
    assert added.keys() == {"owners", "threshold"}
    assert added["owners"].detail == {"added": new, "removed": ""}
    assert (added["threshold"].before, added["threshold"].after) == ("2", "3")
    configure_back = watched.safe.contract.calldata("changeThreshold", 2)
    back = watched.changes(watched.safe.execute(watched.safe.address, data=configure_back, signers=watched.safe.owners))
    assert [(c.kind, c.before, c.after) for c in back] == [("threshold", "3", "2")]
    (module,) = configure(watched, "enableModule", attacker.address)
    assert (module.kind, module.before, module.after) == ("modules", "", attacker.address)
    (handler,) = configure(watched, "setFallbackHandler", attacker.address)
    assert (handler.kind, handler.after) == ("fallback_handler", attacker.address)
    guard = deploy(watched.node, safe("examples/guards/DelegateCallTransactionGuard"), NOBODY)
    (guarded,) = configure(watched, "setGuard", guard.address)
    assert (guarded.kind, guarded.before, guarded.after) == ("guard", "", guard.address)


def test_what_a_module_does_is_seen(watched: Watched) -> None:
    """A module moves funds without a signature: the call comes from elsewhere, the Safe only logs."""
    module = watched.node.accounts[8]
    configure(watched, "enableModule", module)
    tx = watched.safe.contract.send(
        module, "execTransactionFromModule(address,uint256,bytes,uint8)", "0x" + "6f" * 20, 11, b"", 0
    )
    facts = watched.facts(tx)
    (seen,) = facts.transactions
    assert isinstance(seen, AccountTransaction)
    assert [(t.kind.value, t.amount) for t in seen.transfers] == [("internal", 11)]
    assert seen.signing is not None
    assert seen.signing.signers == (module,)


def test_a_deposit_to_a_safe_changes_nothing(watched: Watched) -> None:
    facts = watched.facts(watched.node.send(watched.node.accounts[4], watched.safe.address, value=1))
    assert facts.control_changes == ()
    assert len(facts.transactions) == 1
