"""A real block through a liar: each lie is refused by name, each hole is worth another try, nothing is believed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from chains.errors import BlockGone, ChainError, LyingNode, NotReady, RateLimited, RpcError, TransientError, Unsupported
from chains.evm.client import BlockReader
from chains.evm.params import NETWORKS
from chains.evm.source import read_facts
from chains.evm.transaction_forms import prove_transaction
from chains.model import BlockFacts
from chains.rpc.jsonrpc import Json
from data.ethereum.samples import Distort, RealNode, block_18000000

HEIGHT = 18_000_000
TETHER = "0xdac17f958d2ee523a2206206994597c13d831ec7"


def everyone() -> frozenset[bytes]:
    block = block_18000000().block
    return frozenset(bytes.fromhex(tx["from"][2:]) for tx in block["transactions"])


def read(node: RealNode) -> BlockFacts:
    return read_facts(BlockReader(NETWORKS[1]), node, HEIGHT, everyone())


def few() -> frozenset[bytes]:
    """One account with a token payment in the block, so that receipts are asked for one by one."""
    node = block_18000000()
    assert node.receipts is not None
    return next(
        frozenset({bytes.fromhex(r["from"][2:])})
        for r in node.receipts
        if any(log["address"] == TETHER and log["topics"][1][26:] == r["from"][2:] for log in r["logs"])
    )


def read_few(node: RealNode) -> BlockFacts:
    return read_facts(BlockReader(NETWORKS[1]), node, HEIGHT, few())


def on(method: str, change: Callable[[Any], Any], *, only_once: bool = False) -> Distort:
    """Change the answers to one method."""
    told = 0

    def distort(asked: str, _params: Sequence[Json], result: Json) -> Json:
        nonlocal told
        if asked != method or (only_once and told):
            return result
        told += 1
        return change(copy.deepcopy(result))

    return distort


def put(path: str, value: Any) -> Callable[[Any], Any]:
    """Set one field, given as `a.0.b`."""

    def change(result: Any) -> Any:
        *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        place = result
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
        return result

    return change


OTHER_HASH = "0x" + "ab" * 32
BLOCK_LIES = {
    "number": "0x112a881",
    "hash": OTHER_HASH,
    "parentHash": OTHER_HASH,
    "timestamp": "0x64ea268c",
    "logsBloom": "0x" + "00" * 256,
    "gasUsed": "0x1",
    "stateRoot": OTHER_HASH,
    "transactions": [],
    "withdrawals": [],
    "transactions.0": "0x6742cd57e6aefce4b96887bb3090371ac49414c6b45a21e43d9e41e0ea9ed5ab",
    "transactions.0.hash": "0x00",
    "transactions.0.from": None,
    "transactions.0.to": "nobody",
    "transactions.3.value": "-0x1",
    "transactions.3.value ": None,
    "transactions.3.nonce": "0x" + "f" * 17,
    "withdrawals.0.address": "0x00",
    "extraData": 7,
    "miner": None,
}


@pytest.mark.parametrize("field", BLOCK_LIES)
def test_a_block_that_contradicts_itself_is_a_lie(field: str) -> None:
    with pytest.raises(LyingNode):
        read(block_18000000(on("eth_getBlockByNumber", put(field.strip(), BLOCK_LIES[field]))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "0x1"),
        ("to", "0x" + "77" * 20),
        ("from", None),
        ("input", "0x"),
        ("nonce", "0x0"),
        ("gas", "0x5208"),
        ("hash", None),
        ("r", "0x1"),
    ],
)
def test_nothing_of_a_signed_transaction_can_be_changed(field: str, value: str | None) -> None:
    """A node that shows another amount or payee than was signed is found by the transaction's own hash."""
    transactions = block_18000000().block["transactions"]
    refused = 0
    for tx, another in pairwise(transactions):
        other = another[field] if value is None else value
        assert prove_transaction(tx, 1, "tx")
        if tx[field] != other:
            refused += 1
            with pytest.raises(LyingNode):
                prove_transaction(tx | {field: other}, 1, "tx")
    assert refused > 50


def test_a_block_with_a_payment_made_smaller_is_a_lie() -> None:
    sender = next(iter(few()))
    index = next(n for n, tx in enumerate(block_18000000().block["transactions"]) if tx["from"] == "0x" + sender.hex())
    with pytest.raises(LyingNode, match="not that of its fields"):
        read_few(block_18000000(on("eth_getBlockByNumber", put(f"transactions.{index}.value", "0x1"))))


LOG_LIES = {
    "0.blockHash": OTHER_HASH,
    "0.transactionHash": OTHER_HASH,
    "0.topics": None,
    "0.topics.1": "0x00",
    "0.topics.1 ": "zz",
}


@pytest.mark.parametrize("field", list(LOG_LIES))
def test_logs_of_another_block_or_of_no_shape_are_lies(field: str) -> None:
    with pytest.raises(LyingNode):
        read(block_18000000(on("eth_getLogs", put(field.strip(), LOG_LIES[field]))))


RECEIPT_LIES = {
    "blockHash": OTHER_HASH,
    "transactionHash": OTHER_HASH,
    "transactionIndex": "0x5d",
    "status": "0x2",
    "status ": None,
    "gasUsed": "",
    "effectiveGasPrice": "0x" + "f" * 64,
    "logs": [],
    "logs.0.address": "0x" + "12" * 20,
    "logs.0.blockHash": OTHER_HASH,
    "logs.0.logIndex": "0xfff",
    "logs.0.topics.0": "0x" + "11" * 31,
    "logs.0.data": "0x1",
    "logs.0.removed": True,
}


@pytest.mark.parametrize("field", list(RECEIPT_LIES))
def test_receipts_of_another_transaction_or_of_no_shape_are_lies(field: str) -> None:
    with pytest.raises(LyingNode):
        read_few(block_18000000(on("eth_getTransactionReceipt", put(field.strip(), RECEIPT_LIES[field]))))


def test_a_log_query_that_hides_a_watched_transfer_is_found_by_its_receipt() -> None:
    lie = on("eth_getLogs", lambda logs: [log for log in logs if log["address"] != TETHER])
    with pytest.raises(LyingNode, match="not those that the log query gave"):
        read_few(block_18000000(lie))


def test_receipts_fewer_than_transactions_are_a_lie() -> None:
    with pytest.raises(LyingNode, match="receipts are 93"):
        read(block_18000000(on("eth_getBlockReceipts", lambda receipts: receipts[:-1])))


def test_a_contradiction_seen_once_is_asked_again_and_heals() -> None:
    """A reorg between two answers of one batch, or a late backend behind a load balancer, looks like a lie once."""
    honest = read_few(block_18000000())
    assert honest.transactions
    for method, field in (("eth_getLogs", "0.blockHash"), ("eth_getTransactionReceipt", "blockHash")):
        assert read_few(block_18000000(on(method, put(field, OTHER_HASH), only_once=True))) == honest


def test_no_logs_from_a_backend_that_has_not_the_block_are_asked_for_by_hash() -> None:
    """Providers answer `[]` for a height they do not have yet; the header's bloom says that there must be some."""
    honest = read_few(block_18000000())
    node = block_18000000(on("eth_getLogs", lambda _: [], only_once=True))
    assert read_few(node) == honest
    assert node.asked.count("eth_getLogs") == 2


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("eth_getBlockByNumber", BlockGone),
        ("eth_getTransactionReceipt", NotReady),
    ],
)
def test_null_for_what_was_announced_is_worth_another_try(method: str, expected: type[ChainError]) -> None:
    with pytest.raises(expected) as caught:
        read_few(block_18000000(on(method, lambda _: None)))
    assert isinstance(caught.value, TransientError)


def test_null_receipts_of_a_whole_block_are_worth_another_try() -> None:
    with pytest.raises(NotReady):
        read(block_18000000(on("eth_getBlockReceipts", lambda _: None)))


def raising(error: ChainError) -> Callable[[Any], Any]:
    def change(_: Any) -> Any:
        raise error

    return change


@pytest.mark.parametrize(
    "refusal",
    [RpcError("query returned more than 10000 results", code=-32005), Unsupported("eth_getLogs is not available")],
)
def test_a_log_query_that_is_refused_is_made_up_for_by_receipts(refusal: ChainError) -> None:
    assert read_few(block_18000000(on("eth_getLogs", raising(refusal)))) == read_few(block_18000000())


def test_a_node_that_gives_neither_logs_nor_receipts_says_so() -> None:
    def distort(method: str, _params: Sequence[Json], result: Json) -> Json:
        if method in {"eth_getLogs", "eth_getBlockReceipts"}:
            raise RpcError("response size exceeded", code=-32008)
        return result

    with pytest.raises(RpcError, match="response size exceeded"):
        read_few(block_18000000(distort))


def test_block_receipts_that_the_node_has_not_are_asked_for_one_by_one() -> None:
    node = block_18000000(on("eth_getBlockReceipts", raising(Unsupported("method not found"))))
    assert read(node) == read(block_18000000())
    assert node.asked.count("eth_getTransactionReceipt") > 24


@pytest.mark.parametrize("method", ["eth_getBlockByNumber", "eth_getLogs", "eth_getTransactionReceipt"])
def test_an_error_in_a_batch_is_raised_as_it_came(method: str) -> None:
    with pytest.raises(RateLimited):
        read_few(block_18000000(on(method, raising(RateLimited("429")))))
