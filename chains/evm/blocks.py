"""Blocks as a node answers them, held to the hash of their header (yellow paper §4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from eth_hash.auto import keccak

from chains.evm.fields import (
    Fields,
    account,
    data,
    fields_of,
    hash32,
    items_of,
    lie,
    quantity,
)
from chains.evm.transaction_forms import rlp_encode
from chains.model import BlockRef
from chains.rpc.jsonrpc import Json

_DATA = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "extraData": None,
    "mixHash": 32,
    "nonce": 8,
    "withdrawalsRoot": 32,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
}
_FRONTIER = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_LATER = (
    "baseFeePerGas",  # London, EIP-1559
    "withdrawalsRoot",  # Shanghai, EIP-4895
    "blobGasUsed",  # Cancun, EIP-4844
    "excessBlobGas",
    "parentBeaconBlockRoot",  # Cancun, EIP-4788
    "requestsHash",  # Prague, EIP-7685
)
_BESIDE = frozenset({"hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals"})
_KNOWN = frozenset(_FRONTIER) | frozenset(_LATER) | _BESIDE


def header_hash(block: Fields) -> bytes | None:
    """The hash of the header fields in a block's JSON.

    None where the header has fields of a fork that is not known here, so that nothing can be said. Raises LyingNode
    for a field of the wrong shape.
    """
    if not _KNOWN.issuperset(key for key, value in block.items() if value is not None):
        return None
    present = [name for name in _LATER if block.get(name) is not None]
    if present != list(_LATER[: len(present)]):
        return None
    return keccak(rlp_encode([_field(block, name) for name in (*_FRONTIER, *present)]))


def _field(block: Fields, name: str) -> bytes | int:
    if name in _DATA:
        return data(block, name, "block", _DATA[name])
    return quantity(block, name, "block")


MAX_TRANSACTIONS = 100_000
"""Above any block: 300 M gas hold 14,285 transfers; Arbitrum's and BNB Chain's blocks stay below."""
MAX_WITHDRAWALS = 1_000
MAX_TIME_SECS = 253_402_300_799  # 9999-12-31, the last that a datetime holds

_EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Value from the beacon chain (EIP-4895), in wei."""

    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True)
class Block:
    """The parts of a block that everything else is held against.

    `transactions` and `withdrawals` are the node's objects, unread. `hash_text` and `tx_hashes` are in the lower-case
    text nodes write, so that 300 logs compare without decoding.
    """

    ref: BlockRef
    parent_hash: bytes
    time: datetime
    miner: bytes
    bloom: int
    hash_text: str
    transactions: Sequence[Fields]
    tx_hashes: Sequence[str]
    positions: Mapping[str, int]
    """Position by transaction hash."""
    withdrawals: Sequence[Fields]
    proved: bool
    """True if the hash was recomputed from the header."""
    transactions_root: bytes = b""
    receipts_root: bytes = b""

    def txid(self, index: int) -> bytes:
        """The hash of the transaction at `index`."""
        return bytes.fromhex(self.tx_hashes[index][2:])


def read_ref(value: Json, where: str = "block") -> BlockRef:
    """Height and hash of a block's JSON."""
    fields = fields_of(value, where)
    return BlockRef(quantity(fields, "number", where), hash32(fields, "hash", where))


def read_block(value: Json, height: int, *, standard_header: bool) -> Block:
    """The block asked for at `height`. Raises LyingNode if it is another or contradicts itself."""
    fields = fields_of(value, "block")
    ref = read_ref(fields)
    if ref.height != height:
        raise lie("block.number", f"is {ref.height}, asked for was {height}")
    proved = standard_header and _prove_hash(fields, ref)
    seconds = quantity(fields, "timestamp", "block")
    if seconds > MAX_TIME_SECS:
        raise lie("block.timestamp", f"is {seconds}")
    transactions = items_of(fields.get("transactions"), "block.transactions", MAX_TRANSACTIONS)
    _check_root(fields, "transactionsRoot", bool(transactions))
    tx_hashes = _tx_hashes(transactions)
    positions = dict(zip(tx_hashes, range(len(tx_hashes)), strict=True))
    if len(positions) != len(tx_hashes):
        raise lie("block.transactions", "repeat")
    return Block(
        ref=ref,
        parent_hash=hash32(fields, "parentHash", "block"),
        time=datetime.fromtimestamp(seconds, UTC),
        miner=account(fields, "miner", "block"),
        bloom=int.from_bytes(data(fields, "logsBloom", "block", 256), "big"),
        hash_text="0x" + ref.hash.hex(),
        transactions=transactions,
        tx_hashes=tx_hashes,
        positions=positions,
        withdrawals=_withdrawals(fields),
        proved=proved,
        transactions_root=hash32(fields, "transactionsRoot", "block"),
        receipts_root=hash32(fields, "receiptsRoot", "block"),
    )


def _prove_hash(fields: Fields, ref: BlockRef) -> bool:
    computed = header_hash(fields)
    if computed is not None and computed != ref.hash:
        raise lie("block.hash", f"is {ref.hash.hex()}, but its header hashes to {computed.hex()}")
    return computed is not None


def _check_root(fields: Fields, name: str, filled: bool) -> None:
    root = fields.get(name)
    if root is not None and (root == _EMPTY_ROOT) == filled:
        raise lie(f"block.{name}", "contradicts the list it is the root of")


def _tx_hashes(transactions: Sequence[Json]) -> list[str]:
    try:
        hashes = list(map(itemgetter("hash"), transactions))
        sizes = set(map(len, hashes))
    except (TypeError, KeyError) as error:
        raise lie("block.transactions", "are not full transactions with their hash") from error
    if not sizes <= {66}:
        raise lie("block.transactions", "have malformed hashes")
    return hashes


def _withdrawals(fields: Fields) -> Sequence[Fields]:
    if fields.get("withdrawals") is None:
        return ()
    rows = items_of(fields["withdrawals"], "block.withdrawals", MAX_WITHDRAWALS)
    _check_root(fields, "withdrawalsRoot", bool(rows))
    return rows


def read_withdrawal(value: Json, where: str) -> Withdrawal:
    """One of the block's `withdrawals`."""
    fields = fields_of(value, where)
    amount_gwei = quantity(fields, "amount", where)
    if amount_gwei >= 2**64:
        raise lie(f"{where}.amount", "is more than 64 bits of gwei")
    return Withdrawal(account(fields, "address", where), amount_gwei * GWEI)
