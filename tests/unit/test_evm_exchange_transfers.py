"""Every transfer of every known exchange account in real data, decoded by the source and by a second, plain decoder.

The samples are the parts of blocks that public node test suites keep: some are whole blocks with all their receipts,
some have transactions and Transfer logs, some have only traces. Each is decoded as far as its parts go; what had to be
made up around a part (a receipt that says "success, these logs") is made up here, in the open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

from chains.evm.blocks import read_block
from chains.evm.client import BlockReader
from chains.evm.decode import decode_transactions
from chains.evm.params import NETWORKS
from chains.evm.receipts import concerned_by_logs, read_receipt
from chains.evm.source import read_facts
from chains.evm.traces import TxTrace, read_debug_block, read_trace_block
from chains.model import AccountTransaction
from data.ethereum.samples import RealNode, block_18000000, exchange_accounts, sample, shell_of

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
ETHER = "slip44:60"
EXCHANGES = sorted("0x" + account.hex() for account in exchange_accounts())
BLOCKS = {
    "block_ethereum_12047794_legacy_transactions": 13,
    "block_ethereum_13217637_many_transactions": 11,
    "block_ethereum_16000000_exchange_payouts": 114,
    "block_ethereum_16000001_after_merge": 13,
    "block_ethereum_18000000_withdrawals": 2,
}
TRACES = {
    "traces_ethereum_15000107_flat_call_tracer": 6,
    "traces_ethereum_17073191_trace_block": 53,
    "traces_ethereum_17073192_trace_block": 46,
    "traces_ethereum_17073193_flat_call_tracer": 112,
}
"""Samples, with how many transfers they hold: of exchange accounts in `BLOCKS`, of all accounts in `TRACES`, where no
exchange account took part."""

Row = tuple[str, str, str, str, int]
"""Transaction, asset, sender, receiver, base units: all as the node writes them."""
ByAccount = dict[str, Counter[Row]]


def by_account(rows: Iterable[Row]) -> ByAccount:
    """The rows that name an exchange account, under each account they name."""
    known = set(EXCHANGES)
    found: defaultdict[str, Counter[Row]] = defaultdict(Counter)
    for row in rows:
        for account in {row[2], row[3]} & known:
            found[account][row] += 1
    return dict(found)


# --- the plain decoder: the standards, and nothing of the source's ----------------------------------------------------


def plain_value(tx: dict[str, Any]) -> Iterable[Row]:
    if int(tx["value"], 16) and tx["to"] is not None:
        yield tx["hash"], ETHER, tx["from"], tx["to"], int(tx["value"], 16)


def plain_log(log: dict[str, Any]) -> Iterable[Row]:
    topics = log["topics"]
    if not topics or topics[0] != TRANSFER:
        return
    pair = ["0x" + topic[-40:] for topic in topics[1:3]]
    if len(topics) == 3 and len(log["data"]) == 66:
        yield log["transactionHash"], f"erc20:{log['address']}", pair[0], pair[1], int(log["data"], 16)
    if len(topics) == 4:
        yield log["transactionHash"], f"erc721:{log['address']}%2f{int(topics[3], 16)}", pair[0], pair[1], 1


def plain_traces(rows: list[dict[str, Any]]) -> Iterable[Row]:
    """Ether moved by calls below the outermost, of calls that did not fail and lie in none that did."""
    failed = {(r.get("transactionHash"), *r["traceAddress"]) for r in rows if r.get("error")}
    for row in rows:
        path = (row.get("transactionHash"), *row["traceAddress"])
        if row["type"] == "reward" or any(path[:n] in failed for n in range(1, len(path) + 1)):
            continue
        action = row["action"]
        if row["type"] == "suicide":
            yield path[0], ETHER, action["address"], action["refundAddress"], int(action["balance"], 16)
        elif row["type"] == "create" and len(path) > 1:
            yield path[0], ETHER, action["from"], row["result"]["address"], int(action["value"], 16)
        elif action.get("callType") == "call" and len(path) > 1:
            yield path[0], ETHER, action["from"], action["to"], int(action["value"], 16)


# --- the source's words -----------------------------------------------------------------------------------------------


def our_rows(transactions: Iterable[Any]) -> Iterable[Row]:
    for tx in transactions:
        assert isinstance(tx, AccountTransaction)
        for t in tx.transfers:
            asset, pair = (
                f"{t.asset.namespace}:{t.asset.reference}",
                ("0x" + t.sender.key.hex(), "0x" + t.receiver.key.hex()),
            )
            yield "0x" + tx.txid.hex(), asset, *pair, t.amount


def our_moves(traces: list[TxTrace], tx_hashes: list[str]) -> Iterable[Row]:
    for tx_hash, trace in zip(tx_hashes, traces, strict=True):
        for move in () if trace.failed else trace.moves:
            yield tx_hash, ETHER, "0x" + move.sender.hex(), "0x" + move.receiver.hex(), move.amount_wei


# --- blocks with every receipt ----------------------------------------------------------------------------------------


def plain_block(node: RealNode) -> list[Row]:
    assert node.receipts is not None
    rows: list[Row] = []
    for tx, receipt in zip(node.block["transactions"], node.receipts, strict=True):
        if receipt["status"] == "0x1":
            rows += plain_value(tx)
            for log in receipt["logs"]:
                rows += plain_log(log)
    for row in node.block["withdrawals"]:
        rows.append((node.block["hash"], ETHER, "0x" + "00" * 20, row["address"], int(row["amount"], 16) * 10**9))
    return rows


def test_a_whole_block_with_its_receipts_holds_the_same_transfers_for_all_exchange_accounts_at_once() -> None:
    node = block_18000000()
    facts = read_facts(BlockReader(NETWORKS[1]), node, 18_000_000, exchange_accounts())
    expected = by_account(plain_block(node))
    assert by_account(our_rows(facts.transactions)) == expected
    assert len(EXCHANGES) == 2_195
    assert sum(map(len, expected.values())) == 3


def test_a_whole_block_holds_the_same_transfers_for_each_exchange_account_watched_alone() -> None:
    node = block_18000000()
    reader, expected = BlockReader(NETWORKS[1]), by_account(plain_block(node))
    for account in EXCHANGES:
        facts = read_facts(reader, node, 18_000_000, frozenset({bytes.fromhex(account[2:])}))
        assert by_account(our_rows(facts.transactions)).get(account, Counter()) == expected.get(account, Counter()), (
            account
        )


# --- blocks of which transactions, and of two the Transfer logs, are known --------------------------------------------


def made_up_receipts(block: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Success for every transaction, with the real logs there are: the samples say no more of these blocks."""
    place = {"blockHash": block["hash"], "blockNumber": block["number"]}
    return [
        place
        | {"transactionHash": tx["hash"], "transactionIndex": hex(n), "status": "0x1", "gasUsed": tx["gas"]}
        | {"effectiveGasPrice": "0x1", "logs": [r for r in logs if r["transactionHash"] == tx["hash"]]}
        for n, tx in enumerate(block["transactions"])
    ]


@pytest.mark.parametrize(("name", "size"), BLOCKS.items())
def test_real_transactions_and_logs_are_the_same_transfers_for_every_exchange_account(name: str, size: int) -> None:
    raw = sample(name)
    logs = [r for r in sample("logs_ethereum_16000000_to_16000003_transfers") if r["blockHash"] == raw["hash"]]
    block = read_block(raw, int(raw["number"], 16), standard_header=True)
    told = made_up_receipts(raw, logs)
    receipts = {n: read_receipt(r, block, n, block.transactions[n]) for n, r in enumerate(told)}
    ours = by_account(our_rows(decode_transactions(block, receipts, None, NETWORKS[1])))
    plain = [row for tx in raw["transactions"] for row in plain_value(tx)] + [row for r in logs for row in plain_log(r)]
    assert ours == by_account(plain)
    assert sum(map(len, ours.values())) == size


def test_the_real_logs_of_an_exchange_account_are_asked_for_whoever_sent_the_transaction() -> None:
    raw = sample("block_ethereum_16000000_exchange_payouts")
    logs = [r for r in sample("logs_ethereum_16000000_to_16000003_transfers") if r["blockHash"] == raw["hash"]]
    block = read_block(raw, 16_000_000, standard_header=True)
    for account in EXCHANGES:
        positions = {int(r["transactionIndex"], 16) for r in logs for row in plain_log(r) if account in row[2:4]}
        assert concerned_by_logs(logs, block, {bytes.fromhex(account[2:])}).keys() == positions, account


# --- traces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), TRACES.items())
def test_real_traces_are_the_same_inner_transfers_for_every_exchange_account(name: str, size: int) -> None:
    value = sample(name)
    flat = value if name.endswith("trace_block") else [row for result in value for row in result["result"]]
    hashes = list(dict.fromkeys(r["transactionHash"] for r in flat if r["type"] != "reward"))
    block = shell_of(flat[0]["blockNumber"], flat[0]["blockHash"], hashes)
    traces = read_trace_block(value, block) if flat is value else read_debug_block(value, block, "flatCallTracer")
    plain = [row for row in plain_traces(flat) if row[4]]
    assert Counter(our_moves(traces, hashes)) == Counter(plain)
    assert by_account(our_moves(traces, hashes)) == by_account(plain)
    assert len(plain) == size
