"""Pools of nodes: what waits, what it announces, and nodes that show less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from eth_abi.abi import encode

from chains.errors import ChainError, LyingNode, Unsupported
from chains.evm.mempool import PoolReader
from chains.evm.params import NETWORKS
from chains.model import AccountTransaction
from chains.rpc.jsonrpc import Call, Json
from data.ethereum.samples import bybit_node

SAFE, OWNER, PAYEE, TOKEN = (bytes([n]) * 20 for n in (0x5A, 0x0A, 0x9A, 0x70))


class PoolNode:
    """Answers from a table of methods; what is not in it is not supported."""

    name = "pool"

    def __init__(self, answers: Mapping[str, Json]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        self.asked.append(method)
        assert method != "eth_getBlockByNumber" or list(params) == ["pending", True]
        if method not in self.answers:
            raise Unsupported("method not found")
        return self.answers[method]

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        raise AssertionError(calls)

    def raw(self, path: str) -> bytes:
        raise Unsupported(path)

    def close(self) -> None:
        return None


def text(key: bytes) -> str:
    return "0x" + key.hex()


def waiting(n: int, sender: bytes, to: bytes, data: bytes = b"", value: int = 0) -> dict[str, Any]:
    return {
        "hash": "0x" + n.to_bytes(32, "big").hex(),
        "from": text(sender),
        "to": text(to),
        "nonce": hex(n),
        "value": hex(value),
        "gas": "0x5208",
        "gasPrice": "0x1",
        "input": text(data),
        "blockHash": None,
    }


def content(*transactions: dict[str, Any], queued: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    def by_sender(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        table: dict[str, dict[str, Any]] = {}
        for row in rows:
            table.setdefault(row["from"], {})[str(int(row["nonce"], 16))] = row
        return table

    return {"pending": by_sender(transactions), "queued": by_sender(queued)}


def read(node: PoolNode, *watched: bytes) -> list[AccountTransaction] | None:
    return PoolReader(NETWORKS[1]).read(node, set(watched))


def moves(tx: AccountTransaction) -> list[tuple[str, bytes, bytes, int]]:
    return [(t.kind.value, t.sender.key, t.receiver.key, t.amount) for t in tx.transfers]


TRANSFER = bytes.fromhex("a9059cbb") + encode(["address", "uint256"], [text(PAYEE), 7])
TRANSFER_FROM = bytes.fromhex("23b872dd") + encode(["address", "address", "uint256"], [text(OWNER), text(PAYEE), 8])


def test_what_concerns_the_watch_set_is_found_and_nothing_else() -> None:
    stranger = b"\x33" * 20
    pool = content(
        waiting(1, OWNER, PAYEE, value=5),
        waiting(2, stranger, TOKEN, TRANSFER_FROM),
        waiting(3, stranger, PAYEE, value=1),
        queued=[waiting(9, OWNER, TOKEN, TRANSFER)],
    )
    found = read(PoolNode({"txpool_content": pool}), OWNER)
    assert found is not None
    assert [(tx.nonce, moves(tx)) for tx in found] == [
        (1, [("native", OWNER, PAYEE, 5)]),
        (9, [("token", OWNER, PAYEE, 7)]),
        (2, [("token", OWNER, PAYEE, 8)]),
    ]
    assert {(tx.index, tx.fee, tx.traced) for tx in found} == {(-1, 0, False)}


def test_a_waiting_safe_execution_announces_what_the_safe_will_pay() -> None:
    def execution(to: bytes, value: int, data: bytes, operation: int) -> bytes:
        types = ["address", "uint256", "bytes", "uint8", "uint256", "uint256", "uint256", "address", "address", "bytes"]
        zero = text(bytes(20))
        return bytes.fromhex("6a761202") + encode(types, [text(to), value, data, operation, 0, 0, 0, zero, zero, b""])

    pays, token = execution(PAYEE, 50, b"", 0), execution(TOKEN, 0, TRANSFER, 0)
    pool = content(waiting(1, OWNER, SAFE, pays), waiting(2, OWNER, SAFE, token))
    found = read(PoolNode({"txpool_content": pool}), SAFE)
    assert found is not None
    assert [moves(tx) for tx in found] == [[("internal", SAFE, PAYEE, 50)], [("token", SAFE, PAYEE, 7)]]


def test_a_takeover_that_waits_is_seen_though_it_announces_no_value() -> None:
    """Bybit's transaction, as it lay in the pool."""
    tx = bybit_node().block["transactions"][0] | {"blockHash": None}
    safe = bytes.fromhex(tx["to"][2:])
    found = read(PoolNode({"txpool_content": {"pending": {tx["from"]: {"42": tx}}}}), safe)
    assert found is not None
    assert [(t.txid.hex()[:8], t.transfers) for t in found] == [("46deef0f", ())]


def test_a_node_without_a_pool_view_shows_its_next_block() -> None:
    mined = waiting(4, OWNER, PAYEE, value=2) | {"blockHash": "0x" + "00" * 32}
    node = PoolNode({"eth_getBlockByNumber": {"transactions": [waiting(1, OWNER, PAYEE, value=5), mined]}})
    reader = PoolReader(NETWORKS[1])
    for _ in range(2):
        found = reader.read(node, {OWNER})
        assert found is not None
        assert [tx.nonce for tx in found] == [1]
    assert node.asked == ["txpool_content", "eth_getBlockByNumber", "eth_getBlockByNumber"]


def test_a_node_that_shows_nothing_is_said_to() -> None:
    node = PoolNode({})
    reader = PoolReader(NETWORKS[1])
    assert reader.read(node, {OWNER}) is None
    assert reader.read(node, {OWNER}) is None
    assert node.asked == ["txpool_content", "eth_getBlockByNumber"]


def test_one_malformed_stranger_in_the_pool_hides_nobody() -> None:
    bad = waiting(2, b"\x33" * 20, PAYEE) | {"to": "zz"}
    found = read(PoolNode({"txpool_content": content(bad, waiting(1, OWNER, PAYEE, value=5))}), OWNER)
    assert found is not None
    assert [tx.nonce for tx in found] == [1]


@pytest.mark.parametrize("pool", [[], {"pending": []}, {"pending": {"0x": 1}}, {"pending": {"0x": {"1": 7}}}])
def test_a_pool_of_another_shape_is_a_lie(pool: Json) -> None:
    with pytest.raises(LyingNode):
        read(PoolNode({"txpool_content": pool}), OWNER)
