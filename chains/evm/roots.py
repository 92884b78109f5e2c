"""The roots that prove a block's transactions and receipts (yellow paper §4.3, EIP-2718)."""

from __future__ import annotations

from collections.abc import Sequence

from eth_hash.auto import keccak

from chains.evm.blocks import Block
from chains.evm.fields import Fields, account, data, fields_of, items_of, lie, quantity, quantity_or
from chains.evm.receipts import MAX_LOGS
from chains.evm.transaction_forms import encode_transaction, rlp_encode
from chains.rpc.jsonrpc import Json

_Entry = tuple[bytes, bytes]
"""Nibbles of the key, one a byte, and the value."""


def ordered_root(values: Sequence[bytes]) -> bytes:
    """The root of a list as headers commit to it."""
    if not values:
        return keccak(rlp_encode(b""))
    entries = sorted((_nibbles(rlp_encode(index)), value) for index, value in enumerate(values))
    return keccak(_node(entries, 0))


def _nibbles(key: bytes) -> bytes:
    return bytes(n for byte in key for n in (byte >> 4, byte & 15))


def _node(entries: list[_Entry], depth: int) -> bytes:
    """The RLP of the node that holds `entries`, whose keys agree on the first `depth` nibbles."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return rlp_encode([_path(first[depth:], leaf=True), entries[0][1]])
    shared = depth
    while shared < len(first) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        below = _node(entries, shared)
        return _list([rlp_encode(_path(first[depth:shared], leaf=False)), _reference(below)])
    return _branch(entries, depth)


def _branch(entries: list[_Entry], depth: int) -> bytes:
    """Sixteen children. No key of a list is the beginning of another, so that no branch holds a value."""
    groups: list[list[_Entry]] = [[] for _ in range(16)]
    for entry in entries:
        groups[entry[0][depth]].append(entry)
    return _list([_reference(_node(g, depth + 1)) if g else b"\x80" for g in groups] + [b"\x80"])


def _path(nibbles: bytes, *, leaf: bool) -> bytes:
    """Hex-prefix encoding."""
    odd = len(nibbles) % 2
    flags = bytes((2 * leaf + odd,)) + (b"" if odd else b"\0") + nibbles
    return bytes(a << 4 | b for a, b in zip(flags[::2], flags[1::2], strict=True))


def _reference(node: bytes) -> bytes:
    """How a node stands in its parent: itself if shorter than its hash."""
    return node if len(node) < 32 else rlp_encode(keccak(node))


def _list(encoded: Sequence[bytes]) -> bytes:
    """The RLP of a list whose items are encoded already."""
    payload = b"".join(encoded)
    if len(payload) < 56:
        return bytes((0xC0 + len(payload),)) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes((0xF7 + len(length),)) + length + payload


UNPROVED = "contents: this block's list of {what} cannot be proved (its header or a type in it is not known here)"


def prove_transactions(block: Block, chain_number: int) -> bool:
    """True if the block's transactions are all of it and nothing else; False if that cannot be told.

    Raises LyingNode if they are not.
    """
    encoded = [encode_transaction(tx, chain_number, f"transaction[{n}]") for n, tx in enumerate(block.transactions)]
    known = [e for e in encoded if e is not None]
    if not block.proved or len(known) != len(encoded):
        return False
    if ordered_root(known) != block.transactions_root:
        raise lie("block.transactions", "are not those that the header commits to")
    return True


def prove_receipts(rows: Sequence[Json], block: Block) -> bool:
    """The same for receipts, given as the node told them, in order. Raises LyingNode if a log was left out or added."""
    encoded = [_encode_receipt(fields_of(row, "receipt"), f"receipt[{n}]") for n, row in enumerate(rows)]
    known = [e for e in encoded if e is not None]
    if not block.proved or len(known) != len(encoded):
        return False
    if ordered_root(known) != block.receipts_root:
        raise lie("receipts", "are not those that the header commits to")
    return True


def _encode_receipt(fields: Fields, where: str) -> bytes | None:
    """The consensus form (EIP-658, EIP-2718); None for types of rollups and for receipts without status."""
    kind = quantity_or(fields, "type", where, 0)
    if kind > 4 or fields.get("status") is None:
        return None
    logs = [fields_of(log, where) for log in items_of(fields.get("logs"), where, MAX_LOGS)]
    body = rlp_encode(
        [
            quantity(fields, "status", where),
            quantity(fields, "cumulativeGasUsed", where),
            data(fields, "logsBloom", where, 256),
            [[account(log, "address", where), _topics(log, where), data(log, "data", where)] for log in logs],
        ]
    )
    return body if kind == 0 else bytes((kind,)) + body


def _topics(log: Fields, where: str) -> list[bytes]:
    return [data({"topic": t}, "topic", where, 32) for t in items_of(log.get("topics"), where, 4)]
