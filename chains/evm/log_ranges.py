"""Logs of many blocks at once, and finding one transaction among blocks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chains.errors import (
    ChainError,
    LyingNode,
    NotReady,
    PermanentError,
    RateLimited,
    RpcError,
    Unreachable,
    Unsupported,
)
from chains.evm import requests as questions
from chains.evm.abilities import TRACE_METHODS
from chains.evm.blocks import Block, read_block
from chains.evm.client import BlockReader
from chains.evm.fields import fields_of, hash32, items_of, lie, quantity, quantity_of
from chains.evm.mempool import decode_pending
from chains.evm.receipts import MAX_LOGS, read_receipt
from chains.evm.requests import raised
from chains.evm.traces import TxTrace
from chains.evm.transactions import decode_transaction, read_transaction_fields
from chains.model import AccountTransaction, BlockRef, TxId
from chains.rpc.jsonrpc import Json, Transport
from chains.rpc.prefetch import BlockRequests, Fetches, key_of

FIRST_BLOCKS: Final = 16
MOST_BLOCKS: Final = 512
LARGE_BYTES: Final = 8 << 20
"""An answer of half of this is not asked to grow: 300 logs of a block of Ethereum are 0.2 MB."""
PATIENCE: Final = 16
"""So many ranges in a row must be given after a refusal before a wider one is tried."""
REST_BLOCKS: Final = 1_000
"""So many blocks are asked for one by one where not even two at a time are given."""

TOO_MUCH_TEXTS: Final = (
    "query returned more than",  # Infura, -32005: "query returned more than 10000 results"
    "exceeds limit of",  # Infura, -32602: "range 1000000 exceeds limit of 10000"
    "response size exceeded",  # Alchemy, -32602: "Log response size exceeded. You can make eth_getLogs requests with…"
    "block range",  # Alchemy, free: "you can make eth_getLogs requests with up to a 10 block range"; BNB Chain,
    #   PublicNode: "exceed maximum block range: 5000"; Berachain: "query exceeds max block range 100000"; Ankr:
    #   "block range is too wide"; Polygon, Base: "block range too large"; Candle: "block range too high"
    "is limited to a",  # QuickNode, -32614 under HTTP 413: "eth_getLogs is limited to a 10,000 range"
    "range limit",  # Tenderly: "range 9009594 is bigger than range limit 2000"
    "blocks range",  # Simply VC: "too wide blocks range, the limit is 100"
    "requested too many blocks",  # dRPC: "requested too many blocks from 0 to 16777216, maximum is set to 2048"
    "ranges over",  # dRPC, 35: "ranges over 10000 blocks are not supported on freetier"
    "max range",  # Cloudflare: "Max range: 800"
    "too many results",
    "response too large",  # -32000: "backend response too large"
    "response is too big",
    "query timeout",  # geth's own limit of time: "query timeout exceeded"
    "timed out",  # Chainstack, LinkPool, -32002: "request timed out"
    "limit exceeded",  # BNB Chain, -32005
)
_TOO_LARGE_STATUS: Final = "HTTP 413"
_ROUND: Final = 100
"""Some providers cut at 100, 1,000 or 10,000 logs and say nothing: a count that is a multiple of this is not believed
of a range.
"""


def is_too_much(error: ChainError) -> bool:
    """Whether a node refused a range for its width, its size, or the time it took."""
    if isinstance(error, RpcError):
        text = str(error).lower()
        return any(fragment in text for fragment in TOO_MUCH_TEXTS)
    return isinstance(error, Unreachable) or (isinstance(error, PermanentError) and _TOO_LARGE_STATUS in str(error))


@dataclass(slots=True)
class LogRange:
    """How many blocks' logs one endpoint is asked for at a time: halved when it refuses, doubled when it gives.

    After a refusal it is doubled only for every `PATIENCE` answers, so that few questions are asked in vain.
    """

    blocks: int = FIRST_BLOCKS
    _given: int = 0
    _patience: int = 1
    _rests_until: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wanted(self, low: int, high: int) -> range | None:
        """The heights from `low` on to ask for together, up to `high`; None if one by one is better."""
        with self._lock:
            if self.blocks < 2 and low >= self._rests_until:
                self.blocks, self._given = FIRST_BLOCKS, 0
            heights = range(low, min(low + self.blocks, high + 1))
            return heights if len(heights) > 1 else None

    def gave(self, heights: range, size: int) -> None:
        """The endpoint gave `size` bytes of logs for `heights`."""
        with self._lock:
            self._given += 1
            if size * 2 > LARGE_BYTES:
                self.blocks = max(2, self.blocks // 2) if size > LARGE_BYTES else self.blocks
            elif self._given >= self._patience and len(heights) >= self.blocks:
                self.blocks, self._given = min(self.blocks * 2, MOST_BLOCKS), 0

    def refused(self, heights: range, *, wholly: bool) -> None:
        """It did not: for their width, or `wholly` for a reason that no width changes."""
        with self._lock:
            self._given, self._patience = 0, PATIENCE
            self.blocks = 1 if wholly else min(self.blocks, max(1, len(heights) // 2))
            if self.blocks < 2:
                self._rests_until = heights.stop + REST_BLOCKS


def fetch_logs(node: Fetches, heights: range, size: LogRange) -> BlockRequests:
    """The logs of `heights` as answers to `questions.account_logs` of each, in parts as wide as the node gives; nothing
    of those for which it gives no range at all.

    Raises RateLimited, and LyingNode for an answer that is none: both are to be met by whoever asks for those blocks.
    """
    told: dict[bytes, Json | ChainError] = {}
    weight, low = 0, heights.start
    while low < heights.stop:
        part = range(low, min(low + size.blocks, heights.stop))
        found = _fetch_part(node, part, size)
        if found is not None:
            weight, low = weight + found[0], part.stop
            told |= {key_of(questions.account_logs(height)): logs for height, logs in found[1].items()}
        elif size.blocks < 2:
            break
    return BlockRequests(weight, lambda: told)


def _fetch_part(node: Fetches, heights: range, size: LogRange) -> tuple[int, Mapping[int, list[Json]]] | None:
    """Bytes and logs; None if they were refused, and `size` knows it."""
    try:
        fetched = node.fetch([questions.account_logs(heights[0], heights[-1])])
        (answer,) = fetched.answers()
        found = split_by_block(questions.raised(answer), heights)
    except (RateLimited, LyingNode):
        raise
    except ChainError as error:
        size.refused(heights, wholly=not is_too_much(error))
        return None
    if found is None:
        size.refused(heights, wholly=False)
        return None
    size.gave(heights, fetched.size)
    return fetched.size, found


def split_by_block(answer: Json, heights: range) -> Mapping[int, list[Json]] | None:
    """The logs of each height, as the node told them; None for a list that may have been cut without a word.

    Raises LyingNode for a log of no block asked for.
    """
    rows = items_of(answer, "logs", MAX_LOGS)
    if rows and len(heights) > 1 and len(rows) % _ROUND == 0:
        return None
    found: dict[int, list[Json]] = {height: [] for height in heights}
    for row in rows:
        height = quantity_of(row.get("blockNumber") if isinstance(row, dict) else None, "logs.blockNumber")
        if height not in found:
            raise lie("logs.blockNumber", f"is {height}, asked for were {heights[0]} to {heights[-1]}")
        found[height].append(row)
    return found


def find_transaction(
    transport: Transport, reader: BlockReader, txid: TxId, at: BlockRef | None
) -> AccountTransaction | None:
    """The transaction whole, with its inner calls where the node shows them; None if the node does not know it."""
    tx_hash = questions.text(txid)
    place = _location_of(transport, tx_hash) if at is None else at
    if place is None:
        return None
    if isinstance(place, dict):
        return decode_pending(read_transaction_fields(place, "transaction"), reader.network)
    block = _block_of(transport, reader, place)
    if block is None or tx_hash not in block.tx_hashes:
        return None
    return _decode(transport, reader, block, block.tx_hashes.index(tx_hash))


def _location_of(transport: Transport, tx_hash: str) -> BlockRef | dict[str, Json] | None:
    """The block a transaction is in, or the transaction itself while it is in none."""
    value = transport.call("eth_getTransactionByHash", (tx_hash,))
    if value is None:
        return None
    fields = dict(fields_of(value, "transaction"))
    if fields.get("hash") != tx_hash:
        raise lie("transaction.hash", "is another's")
    if fields.get("blockHash") is None:
        return fields
    return BlockRef(quantity(fields, "blockNumber", "transaction"), hash32(fields, "blockHash", "transaction"))


def _block_of(transport: Transport, reader: BlockReader, at: BlockRef) -> Block | None:
    value = transport.call(*questions.full_block_by_hash(at.hash))
    if value is None:
        return None
    block = read_block(value, at.height, standard_header=reader.network.standard_header)
    if block.ref != at:
        raise lie("block.hash", f"is {block.ref.hash.hex()}, asked for was {at.hash.hex()}")
    return block


def _decode(transport: Transport, reader: BlockReader, block: Block, index: int) -> AccountTransaction:
    tx = block.transactions[index]
    receipt, trace = _receipt_and_trace(transport, reader, block.tx_hashes[index])
    if receipt is None:
        raise NotReady(f"the receipt of {block.tx_hashes[index]} is null", endpoint=transport.name)
    read = read_receipt(receipt, block, index, tx)
    return decode_transaction(read_transaction_fields(tx, "transaction"), index, read, trace, reader.network)


def _receipt_and_trace(transport: Transport, reader: BlockReader, tx_hash: str) -> tuple[Json, TxTrace | None]:
    method = reader.abilities_of(transport).tracing
    if method is None:
        return transport.call(*questions.receipt(tx_hash)), None
    receipt, answer = transport.batch([questions.receipt(tx_hash), method.transaction_call(tx_hash)])
    for other in (*TRACE_METHODS[TRACE_METHODS.index(method) + 1 :], None):
        try:
            value = raised(answer)
            if value is None:
                raise NotReady(f"{method.name} of {tx_hash} is null", endpoint=transport.name)
            return raised(receipt), method.read_transaction(value)
        except (Unsupported, RpcError):
            if isinstance(receipt, ChainError) or other is None:
                break
        method = other
        (answer,) = transport.batch([method.transaction_call(tx_hash)])
    return raised(receipt), None
