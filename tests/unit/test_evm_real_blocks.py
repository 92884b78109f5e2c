"""Real blocks decoded twice: by the source's way and by a second, plain decoding written here."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from chains.evm.abilities import Abilities
from chains.evm.blocks import header_hash, read_block
from chains.evm.client import BlockReader
from chains.evm.decode import concerned_by_value
from chains.evm.params import NETWORKS
from chains.evm.receipts import concerned_by_logs
from chains.evm.source import read_facts
from chains.evm.traces import TxTrace, read_debug_block, read_trace_block
from chains.evm.transaction_forms import prove_transaction
from chains.model import AccountTransaction, BlockFacts
from data.ethereum.samples import RealNode, block_18000000, exchange_accounts, sample, shell_of

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
BLOCKS = (
    "block_ethereum_12047794_legacy_transactions",
    "block_ethereum_13217637_many_transactions",
    "block_ethereum_16000000_exchange_payouts",
    "block_ethereum_16000001_after_merge",
    "block_ethereum_18000000_withdrawals",
)
HEIGHT = 18_000_000


def facts_of(node: RealNode, watched: frozenset[bytes]) -> BlockFacts:
    reader = BlockReader(NETWORKS[1])
    return read_facts(reader, node, int(node.block["number"], 16), watched)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_hash_of_a_real_header_is_recomputed(name: str) -> None:
    block = sample(name)
    assert header_hash(block) == bytes.fromhex(block["hash"][2:])
    block["gasUsed"] = hex(int(block["gasUsed"], 16) + 1)
    assert header_hash(block) != bytes.fromhex(block["hash"][2:])


@pytest.mark.parametrize("name", BLOCKS)
def test_hash_and_sender_of_every_real_transaction_are_recomputed(name: str) -> None:
    assert all(prove_transaction(tx, 1, "tx") for tx in sample(name)["transactions"])


def plain_movements(block: dict[str, Any], receipts: list[dict[str, Any]]) -> Counter[tuple[str, str, str, str, int]]:
    """(transaction, asset, from, to, amount) of successful transactions, by the standards alone."""
    rows: Counter[tuple[str, str, str, str, int]] = Counter()
    for tx, receipt in zip(block["transactions"], receipts, strict=True):
        if receipt["status"] != "0x1":
            continue
        if int(tx["value"], 16):
            rows[tx["hash"], "slip44:60", tx["from"], tx["to"] or receipt["contractAddress"], int(tx["value"], 16)] += 1
        for log in receipt["logs"]:
            topics = log["topics"]
            if topics and topics[0] == TRANSFER and len(topics) == 3 and len(log["data"]) == 66:
                asset, amount = "erc20:" + log["address"], int(log["data"], 16)
            elif topics and topics[0] == TRANSFER and len(topics) == 4:
                asset, amount = f"erc721:{log['address']}%2f{int(topics[3], 16)}", 1
            else:
                continue
            rows[tx["hash"], asset, "0x" + topics[1][26:], "0x" + topics[2][26:], amount] += 1
    return rows


def our_movements(facts: BlockFacts) -> Counter[tuple[str, str, str, str, int]]:
    rows: Counter[tuple[str, str, str, str, int]] = Counter()
    for tx in facts.transactions:
        assert isinstance(tx, AccountTransaction)
        for t in tx.transfers:
            if tx.txid != facts.ref.hash and t.asset.namespace != "erc1155":
                asset = f"{t.asset.namespace}:{t.asset.reference}"
                pair = ("0x" + t.sender.key.hex(), "0x" + t.receiver.key.hex())
                rows["0x" + tx.txid.hex(), asset, *pair, t.amount] += 1
    return rows


def parties(node: RealNode) -> frozenset[bytes]:
    """Every account that sends, receives or is named by a transfer of the block."""
    assert node.receipts is not None
    rows = plain_movements(node.block, node.receipts)
    named = {a for _, _, sender, receiver, _ in rows for a in (sender, receiver)}
    return frozenset(bytes.fromhex(a[2:]) for a in named | {tx["from"] for tx in node.block["transactions"]})


def test_every_movement_of_block_18000000_equals_the_plain_decoding() -> None:
    node = block_18000000()
    assert node.receipts is not None
    facts = facts_of(node, parties(node))
    expected = plain_movements(node.block, node.receipts)
    assert our_movements(facts) == expected
    assert len(expected) > 150


@pytest.mark.parametrize("account", sorted(parties(block_18000000()) - {bytes(20)})[::7], ids=lambda a: a.hex()[:8])
def test_one_watched_account_sees_exactly_the_transactions_that_touch_it(account: bytes) -> None:
    node = block_18000000()
    assert node.receipts is not None
    text = "0x" + account.hex()
    expected = {
        tx for tx, _, sender, receiver, _ in plain_movements(node.block, node.receipts) if text in (sender, receiver)
    }
    expected |= {tx["hash"] for tx in node.block["transactions"] if text in (tx["from"], tx["to"])}
    facts = facts_of(node, frozenset({account}))
    assert {"0x" + tx.txid.hex() for tx in facts.transactions if tx.txid != facts.ref.hash} == expected


def test_fees_and_outcomes_of_block_18000000_are_those_of_its_receipts() -> None:
    node = block_18000000()
    assert node.receipts is not None
    facts = facts_of(node, parties(node))
    by_hash = {r["transactionHash"]: r for r in node.receipts}
    for tx in facts.transactions:
        assert isinstance(tx, AccountTransaction)
        if tx.txid == facts.ref.hash:
            continue
        receipt = by_hash["0x" + tx.txid.hex()]
        assert tx.ok == (receipt["status"] == "0x1")
        assert tx.fee == int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        if not tx.ok:
            assert tx.transfers == ()
    assert [tx.ok for tx in facts.transactions].count(False) == sum(r["status"] == "0x0" for r in node.receipts) > 0


def test_withdrawals_of_validators_are_one_pseudo_transaction_under_the_block_hash() -> None:
    node = block_18000000()
    watched = bytes.fromhex(node.block["withdrawals"][0]["address"][2:])
    facts = facts_of(node, frozenset({watched}))
    last = facts.transactions[-1]
    assert isinstance(last, AccountTransaction)
    assert last.txid == facts.ref.hash
    mine = [w for w in node.block["withdrawals"] if bytes.fromhex(w["address"][2:]) == watched]
    assert [t.amount for t in last.transfers] == [int(w["amount"], 16) * 10**9 for w in mine]
    assert {t.kind for t in last.transfers} == {"withdrawal"}


def test_the_frame_of_block_18000000() -> None:
    facts = facts_of(block_18000000(), frozenset())
    assert facts.ref.height == HEIGHT
    assert facts.ref.hash.hex() == "95b198e154acbfc64109dfd22d8224fe927fd8dfdedfae01587674482ba4baf3"
    assert facts.time == datetime(2023, 8, 26, 16, 21, 35, tzinfo=UTC)
    assert facts.transactions == ()
    assert len(facts.gaps) == 1
    assert facts.gaps[0].startswith("internal calls")


@pytest.mark.parametrize("name", BLOCKS)
def test_exchange_accounts_are_found_by_value_in_every_real_block(name: str) -> None:
    raw = sample(name)
    block = read_block(raw, int(raw["number"], 16), standard_header=True)
    exchanges = {"0x" + a.hex() for a in exchange_accounts()}
    expected = {n for n, tx in enumerate(raw["transactions"]) if tx["from"] in exchanges or tx["to"] in exchanges}
    assert concerned_by_value(block.transactions, exchange_accounts()) == expected
    assert expected


@pytest.mark.parametrize("height", [16_000_000, 16_000_001])
def test_exchange_accounts_are_found_by_real_transfer_logs(height: int) -> None:
    names = {16_000_000: "block_ethereum_16000000_exchange_payouts", 16_000_001: "block_ethereum_16000001_after_merge"}
    raw = sample(names[height])
    block = read_block(raw, height, standard_header=True)
    rows = [r for r in sample("logs_ethereum_16000000_to_16000003_transfers") if r["blockNumber"] == raw["number"]]
    exchanges = {a.hex() for a in exchange_accounts()}
    expected = {int(r["transactionIndex"], 16) for r in rows if {t[26:] for t in r["topics"][1:]} & exchanges}
    assert concerned_by_logs(rows, block, exchange_accounts()).keys() == expected
    assert expected


def moved(traces: list[TxTrace], n: int, top: dict[str, Any]) -> Counter[bytes]:
    """Net ether of each account in a transaction, its own value included."""
    net: Counter[bytes] = Counter()
    value = int(top["value"], 16)
    if value and not traces[n].failed:
        net[bytes.fromhex(top["from"][2:])] -= value
        net[bytes.fromhex(top["to"][2:])] += value
    for move in traces[n].moves:
        net[move.sender] -= move.amount_wei
        net[move.receiver] += move.amount_wei
    return net


@pytest.mark.parametrize("height", [17_073_191, 17_073_192])
def test_traces_agree_with_the_prestate_to_the_wei_for_whoever_pays_no_fee(height: int) -> None:
    rows = sample(f"traces_ethereum_{height}_trace_block")
    states = sample(f"balances_ethereum_{height}_prestate_differences")
    block = shell_of(height, rows[0]["blockHash"], [s["txHash"] for s in states])
    traces = read_trace_block(rows, block)
    tops = {r["transactionPosition"]: r["action"] for r in rows if not r["traceAddress"]}
    compared = 0
    for n, state in enumerate(states):
        net = moved(traces, n, tops[n])
        payers = {tops[n]["from"]} | fee_recipients(states)
        for text in (state["pre"].keys() | state["post"].keys()) - payers:
            before, after = state["pre"].get(text, {}), state["post"].get(text, {})
            if "balance" in after or text not in state["pre"]:
                change = int(after.get("balance", "0x0"), 16) - int(before.get("balance", "0x0"), 16)
                assert net[bytes.fromhex(text[2:])] == change, (n, text)
                compared += 1
    assert compared > 50


def fee_recipients(states: list[dict[str, Any]]) -> set[str]:
    """The account that gains in nearly every transaction: the block's fee recipient."""
    seen = Counter(a for s in states for a in s["post"] if "balance" in s["post"][a])
    return {seen.most_common(1)[0][0]}


@pytest.mark.parametrize(
    "name", ["traces_ethereum_15000107_flat_call_tracer", "traces_ethereum_17073193_flat_call_tracer"]
)
def test_real_flat_call_tracer_answers_agree_with_the_same_rows_as_trace_block(name: str) -> None:
    results = sample(name)
    flat = [row for result in results for row in result["result"]]
    block = shell_of(flat[0]["blockNumber"], flat[0]["blockHash"], [r["txHash"] for r in results])
    assert read_debug_block(results, block, "flatCallTracer") == read_trace_block(flat, block)


def test_a_block_takes_two_round_trips() -> None:
    node = block_18000000()
    reader = BlockReader(NETWORKS[1])
    reader._abilities[node.name] = Abilities(method=3)
    watched = frozenset({bytes.fromhex(node.block["transactions"][-1]["from"][2:])})
    read_facts(reader, node, HEIGHT, watched)
    assert node.round_trips == 2
    assert node.asked == ["eth_getBlockByNumber", "eth_getLogs", "eth_getTransactionReceipt"]
