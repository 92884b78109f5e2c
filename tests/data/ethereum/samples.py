"""Real blocks behind the questions a node answers, for tests that need a whole node's word but no network."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import rlp
from eth_utils.crypto import keccak

from chains.errors import ChainError, Unsupported
from chains.evm.blocks import Block, header_hash
from chains.evm.receipts import ASKED_TEXT
from chains.evm.state import mapping_slot
from chains.model import BlockRef
from chains.rpc.jsonrpc import Call, Json

EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
HERE = Path(__file__).parent

Distort = Callable[[str, Sequence[Json], Json], Json]
"""Changes an answer on its way: (method, params, result) -> result; may raise a ChainError."""


@cache
def raw_sample(name: str) -> bytes:
    """The JSON text of a sample."""
    return gzip.decompress((HERE / f"{name}.json.gz").read_bytes())


def sample(name: str) -> Any:
    """A sample, decoded anew: tests may change it."""
    return orjson.loads(raw_sample(name))


@cache
def exchange_accounts() -> frozenset[bytes]:
    """Accounts that exchanges call theirs."""
    return frozenset(
        bytes.fromhex(line[2:]) for line in (HERE / "accounts_ethereum_exchanges_hot_and_cold.txt").read_text().split()
    )


def bybit_raw() -> bytes:
    """The signed transaction that took over Bybit's Safe."""
    return bytes.fromhex((HERE / "transaction_ethereum_21895238_bybit_safe_takeover.hex").read_text().strip()[2:])


def shell_of(height: int, block_hash: str, tx_hashes: Sequence[str]) -> Block:
    """A block of which only hash and transactions matter."""
    return Block(
        ref=BlockRef(height, bytes.fromhex(block_hash[2:])),
        parent_hash=bytes(32),
        time=datetime(2023, 4, 18, tzinfo=UTC),
        miner=bytes(20),
        bloom=0,
        hash_text=block_hash,
        transactions=[{"hash": h} for h in tx_hashes],
        tx_hashes=list(tx_hashes),
        positions={tx_hash: n for n, tx_hash in enumerate(tx_hashes)},
        withdrawals=(),
        proved=False,
    )


@dataclass
class RealNode:
    """A transport that answers from samples. `asked` keeps every method in order; `distort` is the liar in between.

    Without `receipts` it has no receipts at all, and its logs are those given; without `traces` no trace method.
    """

    block: dict[str, Any]
    receipts: list[dict[str, Any]] | None = None
    logs: list[dict[str, Any]] | None = None
    traces: list[dict[str, Any]] | None = None
    distort: Distort | None = None
    name: str = "real-node"
    asked: list[str] = field(default_factory=list)
    round_trips: int = 0

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        self.round_trips += 1
        return self._answer(method, params)

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        self.round_trips += 1
        answers: list[Json | ChainError] = []
        for method, params in calls:
            try:
                answers.append(self._answer(method, params))
            except ChainError as error:
                answers.append(error)
        return answers

    def raw(self, path: str) -> bytes:
        raise Unsupported(path)

    def close(self) -> None:
        return None

    def _answer(self, method: str, params: Sequence[Json]) -> Json:
        self.asked.append(method)
        result = self._true_answer(method, params)
        return result if self.distort is None else self.distort(method, params, result)

    def _true_answer(self, method: str, params: Sequence[Json]) -> Json:
        if method in {"eth_getBlockByNumber", "eth_getBlockByHash"}:
            return self.block if params[0] in {self.block["number"], self.block["hash"]} else None
        if method == "eth_getLogs":
            return self._logs(params[0])
        if method == "eth_getBlockReceipts" and self.receipts is not None:
            return self.receipts if params[0] == self.block["number"] else None
        if method == "eth_getTransactionReceipt" and self.receipts is not None:
            return next((r for r in self.receipts if r["transactionHash"] == params[0]), None)
        if method == "trace_block" and self.traces is not None:
            return self.traces
        raise Unsupported(f"the method {method} does not exist/is not available")

    def _logs(self, query: dict[str, Any]) -> list[Json]:
        if query.get("fromBlock", self.block["number"]) != self.block["number"]:
            return []
        rows = [log for r in self.receipts or () for log in r["logs"]] if self.logs is None else self.logs
        first = query.get("topics", [list(ASKED_TEXT)])[0]
        return [r for r in rows if r["blockHash"] == self.block["hash"] and r["topics"] and r["topics"][0] in first]


def block_18000000(distort: Distort | None = None) -> RealNode:
    """Ethereum 18,000,000: 94 transactions, 16 withdrawals, with every receipt."""
    return RealNode(
        sample("block_ethereum_18000000_withdrawals"),
        receipts=sample("receipts_ethereum_18000000_whole_block"),
        distort=distort,
    )


BYBIT_SAFE = "0x1db92e2eebc8e0c075a02bea49a2935bcd2dfcf4"
BYBIT_HEIGHT = 21_895_238
BYBIT_HELD_WEI = 401_346_768_858_404_671_846_374
BYBIT_OLD_SINGLETON = "0x34cfac646f301356faa8b21e94227e3583fe3f5f"
BYBIT_NEW_SINGLETON = "0xbdd077f651ebe7f7b3ce16fe5f2b025be2969516"
BYBIT_SIGNERS = (
    "0x1f4eb0a903619ac168b19a82f1a6e2e426522211",
    "0x3cc3a225769900e003e264dd4cb43e90896bc21a",
    "0xe3df2cceac61b1afa311372ecc5b40a3a6585a9e",
)


@dataclass
class BybitNode(RealNode):
    """The block of the Bybit theft: its transaction is the real one; header, receipt and what the Safe's storage held
    beside the two singletons and the signers are made up around it, consistent with each other.
    """

    def _true_answer(self, method: str, params: Sequence[Json]) -> Json:
        if method == "eth_getStorageAt":
            taken = params[2]["blockHash"] == self.block["hash"]
            return bybit_storage(taken=taken).get(int(params[1], 16), "0x0")
        if method == "eth_getBlockByNumber" and params[0] == hex(BYBIT_HEIGHT - 1):
            return {"number": params[0], "hash": self.block["parentHash"]}
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return self.block
        simple = {"eth_getCode": "0x60016002", "eth_chainId": "0x1", "eth_syncing": False}
        if method == "eth_getBalance":
            return hex(BYBIT_HELD_WEI)
        return simple[method] if method in simple else super()._true_answer(method, params)


def bybit_storage(*, taken: bool) -> dict[int, str]:
    """Slots of the Safe: singleton, owners (a linked list from 0x1), threshold and nonce."""
    ring = ["0x" + "00" * 19 + "01", *BYBIT_SIGNERS, "0x" + "00" * 19 + "01"]
    owners = {mapping_slot(bytes.fromhex(a[2:]), 2): b for a, b in pairwise(ring)}
    singleton = BYBIT_NEW_SINGLETON if taken else BYBIT_OLD_SINGLETON
    return owners | {0: singleton, 4: "0x3", 5: hex(72 if taken else 71)}


def bybit_node() -> BybitNode:
    """See `BybitNode`."""
    fields = rlp.decode(bybit_raw())
    tx_hash = "0x" + keccak(bybit_raw()).hex()
    tx = {
        "hash": tx_hash,
        "type": "0x0",
        "nonce": "0x" + fields[0].hex().lstrip("0"),
        "gasPrice": "0x" + fields[1].hex().lstrip("0"),
        "gas": "0x" + fields[2].hex().lstrip("0"),
        "from": "0x0fa09c3a328792253f8dee7116848723b72a6d2e",
        "to": "0x" + fields[3].hex(),
        "value": "0x0",
        "input": "0x" + fields[5].hex(),
        "v": "0x" + fields[6].hex(),
        "r": "0x" + fields[7].hex(),
        "s": "0x" + fields[8].hex(),
        "transactionIndex": "0x0",
    }
    block = sample("block_ethereum_18000000_withdrawals")
    block |= {"number": hex(BYBIT_HEIGHT), "timestamp": hex(1_740_147_215), "logsBloom": "0x" + "00" * 256}
    block |= {"transactions": [tx], "withdrawals": [], "withdrawalsRoot": EMPTY_ROOT}
    block["hash"] = "0x" + (header_hash(block) or b"").hex()
    place = {"blockHash": block["hash"], "transactionHash": tx_hash, "transactionIndex": "0x0"}
    receipt = place | {"status": "0x1", "gasUsed": "0x11ef3", "effectiveGasPrice": tx["gasPrice"], "logs": []}
    return BybitNode(block, receipts=[receipt])
