"""Real blocks behind the questions a node answers, for tests that need a whole node's word but no network."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from chains.errors import ChainError, Unsupported
from chains.evm.blocks import Block
from chains.evm.logs import ASKED_TEXT
from chains.model import BlockRef
from chains.rpc.transport import Call, Json

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
