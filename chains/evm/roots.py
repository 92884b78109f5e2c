"""Roots of ordered lists recomputed: the Merkle-Patricia trie of yellow paper appendix D, keyed by RLP of the index.

With a proved header they prove the whole list of transactions, or of receipts with every log: nothing in it can have
been changed, added or left out by whoever showed it.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_hash.auto import keccak

from chains.evm.encodings import rlp_encode

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
