"""The fast path: one pass over a block's raw bytes that finds what concerns the watch set, and proves the block.

Everything else about a match is decoded afterwards, from the bytes found (`decode.py`). Names in `_le` are in wire
order, the reverse of what people read.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, compress
from typing import Final

from chains.bitcoin.params import Network
from chains.errors import LyingNode
from chains.model import Outpoint, TxOutput
from chains.source import Outpoints

HEADER_BYTES: Final = 80
_NULL_OUTPOINT: Final = bytes(32) + b"\xff\xff\xff\xff"
_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Header:
    """The 80 bytes at the head of a block. Hashes in display order."""

    hash: bytes
    parent: bytes
    merkle_root: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class BlockMatch:
    """A transaction that touches the watch set: its place in the block, and its bytes as raw[start:end]."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BlockScan:
    """What one pass found. `coinbase_script` is the scriptSig of the first transaction."""

    header: Header
    transactions: int
    matches: tuple[BlockMatch, ...]
    coinbase_script: bytes


def parse_header(raw: bytes) -> Header:
    """Read and hash a header. Raises LyingNode if there are fewer than 80 bytes."""
    head = raw[:HEADER_BYTES]
    if len(head) < HEADER_BYTES:
        raise LyingNode(f"a block of {len(raw)} bytes")
    time = datetime.fromtimestamp(int.from_bytes(head[68:72], "little"), UTC)
    return Header(double_sha256(head)[::-1], head[4:36][::-1], head[36:68][::-1], time)


def double_sha256(data: bytes) -> bytes:
    """Bitcoin's hash, in wire order."""
    return _sha256(_sha256(data).digest()).digest()


def wire_keys(outpoints: Mapping[Outpoint, TxOutput]) -> AbstractSet[bytes]:
    """The outpoints as 36 bytes each; free of charge for `Outpoints`, one walk for any other mapping."""
    if isinstance(outpoints, Outpoints):
        return outpoints.wire
    return {key.wire for key in outpoints}


def scan_block(
    raw: bytes,
    addresses: AbstractSet[bytes],
    spends: AbstractSet[bytes],
    more_spends: AbstractSet[bytes] = frozenset(),
    *,
    prove: bool = True,
) -> BlockScan:
    """Every transaction of `raw` that pays to a script in `addresses`, or spends an outpoint (36 wire bytes) in
    `spends`, in `more_spends`, or made by a match earlier in this block.

    With `prove` all txids are computed and held against the header's merkle root: then the transactions are those the
    hash stands for. Raises LyingNode for bytes that are no block, or not this header's.
    """
    header = parse_header(raw)
    try:
        count, p = compact_size(raw, HEADER_BYTES)
        coinbase_script = _coinbase_script(raw, p)
        end, matches, txids_le = walk(raw, p, count, addresses, spends, set(more_spends), prove=prove)
    except IndexError:
        raise LyingNode(f"block {header.hash.hex()} is cut short") from None
    if end != len(raw):
        raise LyingNode(f"a block of {len(raw)} bytes whose transactions take {end}")
    if prove and merkle_root(txids_le)[::-1] != header.merkle_root:
        raise LyingNode(f"block {header.hash.hex()}: the transactions are not those of its merkle root")
    return BlockScan(header, count, tuple(matches), coinbase_script)


def walk(
    raw: bytes,
    p: int,
    count: int,
    addresses: AbstractSet[bytes],
    spends: AbstractSet[bytes],
    own: set[bytes],
    *,
    prove: bool,
) -> tuple[int, list[BlockMatch], list[bytes]]:
    """The pass over `count` transactions from `p` on: where they end, which match, and with `prove` all txids in wire
    order. What matches pay to `addresses` is added to `own`, whose spenders match too. Raises IndexError where the
    bytes end too early, LyingNode if two of them spend the same output.
    """
    parts = _gather(raw, p, count, prove=prove)
    starts = [p, *parts.ends]
    touched = set()
    for n, vout in _payments(parts, addresses):
        touched.add(n)
        txid_le = parts.txids_le[n] if prove else _gather(raw, starts[n], 1, prove=True).txids_le[0]
        own.add(txid_le + vout.to_bytes(4, "little"))
    keys = set(parts.spent)
    touched.update(parts.spent[outpoint] for outpoint in (keys & spends) | (keys & own))
    return starts[-1], [BlockMatch(n, starts[n], starts[n + 1]) for n in sorted(touched)], parts.txids_le


@dataclass(slots=True)
class _Parts:
    """Of transactions in a row: where each ends, who spends each outpoint (36 wire bytes), how many outputs each has,
    every output's script in order, and the txids if they were wanted.
    """

    ends: list[int]
    spent: dict[bytes, int]
    payments: list[int]
    scripts: list[bytes]
    txids_le: list[bytes]


def _gather(  # noqa: C901, PLR0912, PLR0915 - one loop without calls: a call per input costs as much as the loop
    raw: bytes, p: int, count: int, *, prove: bool
) -> _Parts:
    """What is to be looked up of `count` transactions from `p` on.

    It is looked up afterwards, at once. A million keys lie in 32 MB: a look-up waits 170 ns for memory when this loop
    makes it, and 50 ns when one set is cut with another, for then the processor has many of them under way.
    """
    ends: list[int] = []
    spent: dict[bytes, int] = {}
    payments: list[int] = []
    scripts: list[bytes] = []
    txids_le: list[bytes] = []
    inputs_in_all = 0
    sha256 = _sha256
    for index in range(count):
        start = p
        segwit = raw[p + 4] == 0
        p += 6 if segwit else 4
        inputs = raw[p]
        p += 1
        if inputs >= 0xFD:
            inputs, p = compact_size(raw, p - 1)
        inputs_in_all += inputs
        for _ in range(inputs):
            spent[raw[p : p + 36]] = index
            size = raw[p + 36]
            p += 41 + size
            if size >= 0xFD:
                size, p = compact_size(raw, p - 5 - size)
                p += size + 4
        outputs = raw[p]
        p += 1
        if outputs >= 0xFD:
            outputs, p = compact_size(raw, p - 1)
        payments.append(outputs)
        for _ in range(outputs):
            size = raw[p + 8]
            p += 9
            if size >= 0xFD:
                size, p = compact_size(raw, p - 1)
            scripts.append(raw[p : p + size])
            p += size
        witness = p
        if segwit:
            for _ in range(inputs):
                items = raw[p]
                p += 1
                if items >= 0xFD:
                    items, p = compact_size(raw, p - 1)
                for _ in range(items):
                    size = raw[p]
                    p += 1 + size
                    if size >= 0xFD:
                        size, p = compact_size(raw, p - 1 - size)
                        p += size
        p += 4
        ends.append(p)
        if prove:
            body = raw[start : start + 4] + raw[start + 6 : witness] + raw[p - 4 : p] if segwit else raw[start:p]
            txids_le.append(sha256(sha256(body).digest()).digest())
    if len(spent) != inputs_in_all:
        raise LyingNode("an output is spent twice among these transactions")
    return _Parts(ends, spent, payments, scripts, txids_le)


def _payments(parts: _Parts, addresses: AbstractSet[bytes]) -> Iterator[tuple[int, int]]:
    """(transaction, vout) of every output to `addresses`."""
    ours = set(parts.scripts) & addresses
    if not ours:
        return
    ends = list(accumulate(parts.payments))
    for at in compress(range(len(parts.scripts)), map(ours.__contains__, parts.scripts)):
        n = bisect_right(ends, at)
        yield n, at - (ends[n - 1] if n else 0)


def compact_size(raw: bytes, p: int) -> tuple[int, int]:
    """The number at `p` in Bitcoin's variable-length form, and the place behind it. Raises IndexError at the end."""
    first = raw[p]
    if first < 0xFD:
        return first, p + 1
    width = 2 << (first - 0xFD)
    if p + width >= len(raw):
        raise IndexError(p)
    return int.from_bytes(raw[p + 1 : p + 1 + width], "little"), p + 1 + width


def _coinbase_script(raw: bytes, p: int) -> bytes:
    """The first transaction's scriptSig. That it is a coinbase matters for the proof too: the inner nodes of a merkle
    tree, shown as transactions of 64 bytes, cannot look like one (CVE-2017-12842).
    """
    p += 6 if raw[p + 4] == 0 else 4
    if raw[p] != 1 or raw[p + 1 : p + 37] != _NULL_OUTPOINT:
        raise LyingNode("the first transaction of the block is no coinbase")
    size, p = compact_size(raw, p + 37)
    return raw[p : p + size]


def merkle_root(hashes_le: list[bytes]) -> bytes:
    """The root over txids, both in wire order. Raises LyingNode if the list repeats itself: such a list has the root
    of the shorter one (CVE-2012-2459).
    """
    if not hashes_le:
        raise LyingNode("a block without transactions")
    level = hashes_le
    sha256 = _sha256
    while len(level) > 1:
        if len(level) & 1:
            level = [*level, level[-1]]
        elif level[-1] == level[-2]:
            raise LyingNode("the block repeats its last transactions")
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
        level = [sha256(sha256(pair).digest()).digest() for pair in pairs]
    return level[0]


def check_height(network: Network, scan: BlockScan, height: int) -> None:
    """Hold a block to its height where its coinbase tells it (BIP 34). Raises LyingNode if it tells another."""
    if height < network.bip34_height:
        return
    expected = height_push(height)
    if not scan.coinbase_script.startswith(expected):
        raise LyingNode(f"block {scan.header.hash.hex()} is not of height {height} by its coinbase")


def height_push(height: int) -> bytes:
    """How a coinbase script begins at `height` (BIP 34, as Bitcoin Core writes it)."""
    if height == 0:
        return b"\x00"
    if height <= 16:
        return bytes([0x50 + height])
    size = height.bit_length() // 8 + 1  # a sign bit is kept free
    return bytes([size]) + height.to_bytes(size, "little")
