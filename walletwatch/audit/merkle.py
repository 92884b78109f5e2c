"""The Merkle tree of RFC 6962 §2.1 over an append-only log: appending, and inclusion and consistency proofs.

A tree of n leaves is split at the largest power of two below n; a node is SHA-256(01 ‖ left ‖ right), a leaf's hash
comes from `leaves`. Between appends only the *frontier* is kept: the roots of the complete subtrees, left to right, one
for every bit set in the size. Standard library only, because the offline verifier uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = tuple[int, int]
"""(level, index): the root of the leaves [index << level, (index + 1) << level), all of which exist."""

NodeReader = Callable[[Node], bytes]
"""Returns the hash of a complete subtree."""


def hash_children(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves, as the roots of its complete subtrees, largest (leftmost) first. Raises ValueError if
    their number does not fit the size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count() or any(len(h) != HASH_BYTES for h in self.hashes):
            raise ValueError(f"{len(self.hashes)} hashes are not a frontier of {self.size} leaves")

    def append(self, leaf_hash: bytes) -> Frontier:
        """The tree with one more leaf; computes at most log2(size) hashes."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The tree with these leaves appended."""
        tree = Tree(self)
        for leaf_hash in leaf_hashes:
            tree.push(leaf_hash)
        return tree.frontier()

    def root(self) -> bytes:
        """The tree's root; without leaves, the SHA-256 of no bytes."""
        return _fold(self.hashes)

    def to_bytes(self) -> bytes:
        """The size in 8 bytes, big-endian, then the hashes."""
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for anything else."""
        if len(raw) < 8 or (len(raw) - 8) % HASH_BYTES:
            raise ValueError(f"{len(raw)} bytes are not a frontier")
        hashes = tuple(raw[at : at + HASH_BYTES] for at in range(8, len(raw), HASH_BYTES))
        return cls(int.from_bytes(raw[:8], "big"), hashes)


class Tree:
    """A frontier that is appended to in place, for many leaves. `wanted` nodes are kept in `found` when computed."""

    __slots__ = ("_stack", "found", "size", "wanted")

    def __init__(self, frontier: Frontier | None = None, wanted: frozenset[Node] = frozenset()) -> None:
        frontier = frontier or Frontier()
        self.size = frontier.size
        self.wanted = wanted
        self.found: dict[Node, bytes] = {}
        self._stack = list(frontier.hashes)

    def push(self, leaf_hash: bytes) -> None:
        """Add one leaf."""
        node, index, level = leaf_hash, self.size, 0
        stack, wanted = self._stack, self.wanted
        while True:
            if wanted and (level, index) in wanted:
                self.found[level, index] = node
            if not index & 1:
                break
            node = hashlib.sha256(b"\x01" + stack.pop() + node).digest()
            index, level = index >> 1, level + 1
        stack.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return _fold(self._stack)

    def frontier(self) -> Frontier:
        """The state to keep for appending later."""
        return Frontier(self.size, tuple(self._stack))


def _fold(subtrees: Sequence[bytes]) -> bytes:
    if not subtrees:
        return EMPTY_ROOT
    node = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        node = hash_children(left, node)
    return node


# --- building proofs --------------------------------------------------------------------------------------------------


def _split(start: int, end: int) -> int:
    """Where RFC 6962 splits [start, end): after the largest power of two below its length."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of the siblings on the path from leaf `index` to the root, leaf first."""
    if not 0 <= index < size <= MAX_SIZE:
        raise ValueError(f"no leaf {index} in a tree of {size} leaves")
    start, end, ranges = 0, size, []
    while end - start > 1:
        cut = _split(start, end)
        if index < cut:
            ranges.append((cut, end))
            end = cut
        else:
            ranges.append((start, cut))
            start = cut
    return ranges[::-1]


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The subtrees of PROOF(old, D[new]) in RFC 6962 §2.1.2, deepest first."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise ValueError(f"a tree of {new} leaves cannot extend one of {old}")
    if old in {0, new}:
        return []
    start, end, ranges = 0, new, []
    while old != end:
        cut = _split(start, end)
        if old <= cut:
            ranges.append((cut, end))
            end = cut
        else:
            ranges.append((start, cut))
            start = cut
    return ([(start, end)] if start else []) + ranges[::-1]


def _nodes(start: int, end: int) -> list[Node]:
    """The complete subtrees of [start, end), whose start is aligned as for a subtree of its length."""
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _hash_range(start: int, end: int, read: NodeReader) -> bytes:
    return _fold([read(node) for node in _nodes(start, end)])


def inclusion_proof(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """The siblings of leaf `index` in a tree of `size` leaves, leaf first. Raises ValueError for a bad index."""
    return tuple(_hash_range(start, end, read) for start, end in _inclusion_ranges(index, size))


def consistency_proof(old: int, new: int, read: NodeReader) -> tuple[bytes, ...]:
    """The proof that the tree of `new` leaves begins with the tree of `old`. Empty if `old` is 0 or `new`."""
    return tuple(_hash_range(start, end, read) for start, end in _consistency_ranges(old, new))


def read_nodes(wanted: Iterable[Node], leaf_hashes: Iterable[bytes]) -> dict[Node, bytes]:
    """The hashes of these subtrees from one pass over the leaves; memory grows with `wanted`, not with the leaves.

    Raises ValueError if there are too few leaves.
    """
    nodes = frozenset(wanted)
    tree = Tree(wanted=nodes)
    for leaf_hash in leaf_hashes:
        tree.push(leaf_hash)
    if len(tree.found) != len(nodes):
        raise ValueError(f"too few leaves: {tree.size}")
    return tree.found


def prove_inclusions(indices: Iterable[int], size: int, leaf_hashes: Iterable[bytes]) -> dict[int, tuple[bytes, ...]]:
    """Inclusion proofs of several leaves from one pass over the leaf hashes. Raises ValueError for a bad index."""
    indices = list(indices)
    wanted = {node for index in indices for span in _inclusion_ranges(index, size) for node in _nodes(*span)}
    read = read_nodes(wanted, islice(leaf_hashes, size)).__getitem__
    return {index: inclusion_proof(index, size, read) for index in indices}


def prove_consistency(old: int, new: int, leaf_hashes: Iterable[bytes]) -> tuple[bytes, ...]:
    """A consistency proof from one pass over the leaf hashes. Raises ValueError if there are fewer than `new`."""
    wanted = {node for span in _consistency_ranges(old, new) for node in _nodes(*span)}
    return consistency_proof(old, new, read_nodes(wanted, islice(leaf_hashes, new)).__getitem__)


# --- checking proofs --------------------------------------------------------------------------------------------------


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root computed from a proof. Raises ValueError if the proof does not have the shape for (index, size)."""
    ranges = _inclusion_ranges(index, size)
    if len(proof) != len(ranges) or any(len(h) != HASH_BYTES for h in proof):
        raise ValueError(f"expected {len(ranges)} hashes of 32 bytes for leaf {index} of {size}, got {len(proof)}")
    node = leaf_hash
    for (start, _), sibling in zip(ranges, proof, strict=True):
        node = hash_children(sibling, node) if start < index else hash_children(node, sibling)
    return node


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf_hash` is leaf `index` of the tree of `size` leaves with this root."""
    try:
        return root_from_inclusion(leaf_hash, index, size, proof) == root
    except ValueError:
        return False


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the tree of `new` leaves with `new_root` begins with the tree of `old` leaves with `old_root`."""
    try:
        ranges = _consistency_ranges(old, new)
    except ValueError:
        return False
    if len(proof) != len(ranges) or any(len(h) != HASH_BYTES for h in proof):
        return False
    if not ranges:
        return old_root == (EMPTY_ROOT if old == 0 else new_root)
    # If the old tree is a complete subtree at the left edge, it is not part of the proof.
    seeded = ranges[0][1] == old
    left = right = proof[0] if seeded else old_root
    for (start, _), sibling in zip(ranges[seeded:], proof[seeded:], strict=True):
        if start < old:
            left, right = hash_children(sibling, left), hash_children(sibling, right)
        else:
            right = hash_children(right, sibling)
    return left == old_root and right == new_root
