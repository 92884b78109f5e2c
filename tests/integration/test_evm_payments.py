"""Every way value leaves an account, on a real node with real compiled contracts, each seen once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chains.evm.source import EvmSource, open_source
from chains.model import AccountTransaction, BlockFacts, ChainId, Transfer
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.anvils import Anvil
from nodes.contracts import Compiled, Contract, deploy, deploy_erc20, openzeppelin, settle

pytestmark = pytest.mark.anvil

PAYER = Path(__file__).parents[1] / "data" / "ethereum" / "contract_payer.hex"
CHAIN = ChainId("eip155", "31337")
ETHER = 10**18


def key(account: str) -> bytes:
    return bytes.fromhex(account[2:])


def fresh(n: int) -> str:
    """An account nobody used."""
    return "0x" + n.to_bytes(20, "big").hex()


@pytest.fixture
def source(anvil: Anvil) -> Iterator[EvmSource]:
    opened = open_source(SourceSpec("local", CHAIN, (Endpoint("anvil", anvil.url),), confirmations=1))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def payer(anvil: Anvil) -> Contract:
    """A contract with 100 ether that pays whom it is told to."""
    code = bytes.fromhex(PAYER.read_text().strip()[2:])
    made = deploy(anvil, Compiled([], code))
    settle_any(anvil, anvil.send(anvil.accounts[9], made.address, value=100 * ETHER))
    return made


def call(signature: str, *words: int | str) -> bytes:

    numbers = [int(w, 16) if isinstance(w, str) else w for w in words]
    return keccak(text=signature)[:4] + b"".join(n.to_bytes(32, "big") for n in numbers)


def facts_at(source: EvmSource, node: Anvil, tx: str, *accounts: str) -> BlockFacts:
    height = int(settle_any(node, tx)["blockNumber"], 16)
    return source.block(height, WatchSet({key(a) for a in accounts}))


def settle_any(node: Anvil, tx: str) -> dict[str, Any]:
    """The receipt, whatever its status. Anvil answers `eth_sendTransaction` a moment before the block is there."""
    while node.rpc("eth_getTransactionReceipt", [tx]) is None:
        pass
    return node.receipt(tx)


def the_transaction(facts: BlockFacts, tx: str) -> AccountTransaction:
    (found,) = [t for t in facts.transactions if t.txid == key(tx)]
    assert isinstance(found, AccountTransaction)
    return found


def rows(transfers: tuple[Transfer, ...]) -> Counter[tuple[str, str, str, int]]:
    return Counter((t.kind.value, t.sender.text, t.receiver.text.lower(), t.amount) for t in transfers)


def native_change(node: Anvil, account: str, height: int) -> int:
    after = int(node.rpc("eth_getBalance", [account, hex(height)]), 16)
    return after - int(node.rpc("eth_getBalance", [account, hex(height - 1)]), 16)


def test_a_plain_payment_costs_value_and_fee(anvil: Anvil, source: EvmSource) -> None:
    sender, to = anvil.accounts[0], fresh(0xA1)
    tx = anvil.send(sender, to, value=3 * ETHER)
    facts = facts_at(source, anvil, tx, sender)
    seen = the_transaction(facts, tx)
    assert seen.ok
    assert seen.traced
    assert rows(seen.transfers) == Counter({("native", sender, to, 3 * ETHER): 1})
    assert -native_change(anvil, sender, facts.ref.height) == 3 * ETHER + seen.fee
    assert facts.gaps == ()


def test_an_erc20_payment_is_a_fact_of_its_token(anvil: Anvil, source: EvmSource) -> None:
    holder, to = anvil.accounts[1], fresh(0xA2)
    token = deploy_erc20(anvil, "TKA", 1_000 * ETHER, holder)
    tx = token.send(holder, "transfer", to, 250)
    seen = the_transaction(facts_at(source, anvil, tx, holder), tx)
    assert rows(seen.transfers) == Counter({("token", holder, to, 250): 1})
    assert str(seen.transfers[0].asset) == f"eip155:31337/erc20:{token.address.lower()}"
    at = source.tip()
    assert source.balance(source.parse_address(to), seen.transfers[0].asset, at) == 250


def test_a_drain_by_a_strangers_transfer_from_is_seen_from_the_victims_side(anvil: Anvil, source: EvmSource) -> None:
    victim, thief = anvil.accounts[2], anvil.accounts[3]
    token = deploy_erc20(anvil, "TKB", 500, victim)
    allowed = token.send(victim, "approve", thief, 2**256 - 1)
    granted = facts_at(source, anvil, allowed, victim).control_changes
    assert [(c.kind, c.account.text, c.before, c.after) for c in granted] == [
        ("allowance", victim, "0", str(2**256 - 1))
    ]
    assert granted[0].detail["spender"] == thief
    tx = token.send(thief, "transferFrom", victim, thief, 500)
    facts = facts_at(source, anvil, tx, victim)
    seen = the_transaction(facts, tx)
    assert seen.sender.text == thief
    assert rows(seen.transfers) == Counter({("token", victim, thief.lower(), 500): 1})
    assert facts.control_changes == ()


def test_the_rest_of_an_allowance_that_a_token_logs_is_no_new_grant(anvil: Anvil, source: EvmSource) -> None:
    """OpenZeppelin 4.9 logs Approval with what is left at each transferFrom; that grants nothing."""
    victim, spender = anvil.accounts[2], anvil.accounts[4]
    token = deploy_erc20(anvil, "TKC", 500, victim)
    settle_any(anvil, token.send(victim, "approve", spender, 300))
    tx = token.send(spender, "transferFrom", victim, fresh(0xA3), 100)
    facts = facts_at(source, anvil, tx, victim)
    assert any(
        log["topics"][0].startswith("0x8c5be1e5") for log in anvil.rpc("eth_getTransactionReceipt", [tx])["logs"]
    )
    assert facts.control_changes == ()
    more = facts_at(source, anvil, token.send(victim, "increaseAllowance", spender, 50), victim).control_changes
    assert [(c.before, c.after) for c in more] == [("200", "250")]
    none = facts_at(source, anvil, token.send(victim, "approve", spender, 0), victim)
    assert none.control_changes == ()


def test_ether_paid_out_by_a_contract_is_seen_by_traces(anvil: Anvil, source: EvmSource, payer: Contract) -> None:
    to, stranger = fresh(0xA4), anvil.accounts[5]
    tx = anvil.send(stranger, payer.address, data=call("pay(address,uint256)", to, 7 * ETHER))
    facts = facts_at(source, anvil, tx, payer.address)
    seen = the_transaction(facts, tx)
    assert rows(seen.transfers) == Counter({("internal", payer.address, to, 7 * ETHER): 1})
    assert native_change(anvil, payer.address, facts.ref.height) == -7 * ETHER


def test_a_payee_of_an_inner_call_is_seen_when_only_it_is_watched(
    anvil: Anvil, source: EvmSource, payer: Contract
) -> None:
    to = fresh(0xA5)
    tx = anvil.send(anvil.accounts[5], payer.address, data=call("pay(address,uint256)", to, 5))
    assert rows(the_transaction(facts_at(source, anvil, tx, to), tx).transfers) == Counter(
        {("internal", payer.address, to, 5): 1}
    )


def test_a_payout_to_fifty_by_one_call(anvil: Anvil, source: EvmSource, payer: Contract) -> None:
    sender, payees = anvil.accounts[6], [fresh(0xB000 + n) for n in range(50)]
    data = call("disperse(address[],uint256)", 64, 1_000, len(payees), *payees)
    tx = anvil.send(sender, payer.address, data=data, value=50_000)
    seen = the_transaction(facts_at(source, anvil, tx, sender), tx)
    expected = Counter({("internal", payer.address, to, 1_000): 1 for to in payees})
    assert rows(seen.transfers) == expected + Counter({("native", sender, payer.address.lower(), 50_000): 1})
    assert [t.ordinal for t in seen.transfers] == list(range(51))


def test_inner_calls_that_were_rolled_back_moved_nothing(anvil: Anvil, source: EvmSource, payer: Contract) -> None:
    to = fresh(0xA6)
    data = call("pay_around_a_failure(address,uint256,uint256)", to, 11, 13)
    tx = anvil.send(anvil.accounts[5], payer.address, data=data)
    facts = facts_at(source, anvil, tx, to)
    assert rows(the_transaction(facts, tx).transfers) == Counter({("internal", payer.address, to, 13): 1})
    assert native_change(anvil, to, facts.ref.height) == 13


def test_a_transaction_that_failed_costs_its_fee_only(anvil: Anvil, source: EvmSource, payer: Contract) -> None:
    sender = anvil.accounts[7]
    data = call("pay_then_fail(address,uint256)", fresh(0xA7), 1)
    tx = anvil.send(sender, payer.address, data=data, gas=hex(100_000))
    facts = facts_at(source, anvil, tx, sender, payer.address)
    seen = the_transaction(facts, tx)
    assert not seen.ok
    assert seen.transfers == ()
    assert -native_change(anvil, sender, facts.ref.height) == seen.fee > 0


def test_a_contract_made_with_value_receives_it_where_it_was_made(
    anvil: Anvil, source: EvmSource, payer: Contract
) -> None:
    sender = anvil.accounts[8]
    code = bytes.fromhex(PAYER.read_text().strip()[2:])
    tx = anvil.send(sender, None, data=code, value=9)
    made = settle_any(anvil, tx)["contractAddress"]
    seen = the_transaction(facts_at(source, anvil, tx, sender), tx)
    assert seen.receiver is None
    assert rows(seen.transfers) == Counter({("native", sender, made, 9): 1})
    tx = anvil.send(sender, payer.address, data=call("found(uint256)", 21))
    facts = facts_at(source, anvil, tx, payer.address)
    (transfer,) = the_transaction(facts, tx).transfers
    assert (transfer.kind, transfer.amount) == ("internal", 21)
    assert native_change(anvil, transfer.receiver.text, facts.ref.height) == 21


def test_a_contract_that_ends_leaves_its_balance_to_its_heir(anvil: Anvil, source: EvmSource) -> None:
    heir = fresh(0xA8)
    made = deploy(anvil, Compiled([], bytes.fromhex(PAYER.read_text().strip()[2:])))
    settle_any(anvil, anvil.send(anvil.accounts[9], made.address, value=17))
    tx = anvil.send(anvil.accounts[5], made.address, data=call("end(address)", heir))
    facts = facts_at(source, anvil, tx, heir)
    assert rows(the_transaction(facts, tx).transfers) == Counter({("internal", made.address, heir, 17): 1})
    assert native_change(anvil, made.address, facts.ref.height) == -17


def test_a_waiting_payment_is_seen_with_what_it_announces(fresh_anvil: Anvil) -> None:
    holder, to = fresh_anvil.accounts[0], fresh(0xA9)
    token = deploy_erc20(fresh_anvil, "TKD", 1_000, holder)
    source = open_source(SourceSpec("local", CHAIN, (Endpoint("anvil", fresh_anvil.url),)))
    fresh_anvil.automine(on=False)
    ether, coin = fresh_anvil.send(holder, to, value=5), token.send(holder, "transfer", to, 6)
    fresh_anvil.send(fresh_anvil.accounts[1], fresh_anvil.accounts[2], value=1)
    facts = source.pending(WatchSet({key(holder)}))
    assert facts.supported
    assert {t.txid for t in facts.transactions} == {key(ether), key(coin)}
    seen = [rows(t.transfers) for t in facts.transactions if isinstance(t, AccountTransaction)]
    assert Counter({("native", holder, to, 5): 1}) in seen
    assert Counter({("token", holder, to, 6): 1}) in seen
    assert source.transaction(key(ether)) in facts.transactions
    fresh_anvil.mine()
    assert source.pending(WatchSet({key(holder)})).transactions == ()
    mined = source.transaction(key(coin))
    assert isinstance(mined, AccountTransaction)
    assert mined.traced
    assert mined in source.block(source.tip().height, WatchSet({key(holder)})).transactions
    source.close()


def test_an_item_of_a_collection_is_an_asset_of_its_own(anvil: Anvil, source: EvmSource) -> None:
    owner, to = anvil.accounts[0], fresh(0xAA)
    items = deploy(anvil, openzeppelin("ERC721PresetMinterPauserAutoId"), "Items", "ITM", "")
    settle(anvil, items.send(owner, "mint", owner))
    tx = items.send(owner, "transferFrom", owner, to, 0)
    (transfer,) = the_transaction(facts_at(source, anvil, tx, to), tx).transfers
    assert str(transfer.asset) == f"eip155:31337/erc721:{items.address.lower()}%2f0"
    assert (transfer.amount, transfer.receiver.key) == (1, key(to))
    assert source.balance(transfer.receiver, transfer.asset, source.tip()) == 1
    assert source.balance(transfer.sender, transfer.asset, source.tip()) == 0
