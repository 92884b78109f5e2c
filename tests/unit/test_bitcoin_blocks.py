"""The pass over raw bytes against bytes that lie, and transactions as python-bitcoinlib reads them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from bitcoin.core import CTransaction

from chains.bitcoin.blocks import compact_size, double_sha256, height_push, merkle_root, scan_block
from chains.bitcoin.client import Client
from chains.bitcoin.decode import RawTransaction, parse_transaction, write_compact_size
from chains.bitcoin.params import MAINNET
from chains.bitcoin.readers import read_block
from chains.errors import BlockGone, ChainError, LyingNode, Unsupported
from chains.source import WatchSet
from contracts.recorded_blocks import DATA, BlockNode, RecordedBlock

HEIGHT = 300025


@pytest.fixture(scope="module")
def recorded() -> RecordedBlock:
    return RecordedBlock.load("block_mainnet_300025_many_inputs", HEIGHT)


@pytest.fixture(scope="module")
def transactions() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / "transactions_mainnet_signed_every_way.json").read_text())
    return rows


def same(ours: RawTransaction, theirs: CTransaction) -> None:
    assert ours.txid == theirs.GetTxid()[::-1]
    assert (ours.version, ours.locktime) == (theirs.nVersion, theirs.nLockTime)
    assert [(i.outpoint.txid, i.outpoint.vout, i.script, i.sequence) for i in ours.inputs] == [
        (i.prevout.hash[::-1], i.prevout.n, bytes(i.scriptSig), i.nSequence) for i in theirs.vin
    ]
    assert [i.witness for i in ours.inputs] == [
        tuple(theirs.wit.vtxinwit[n].scriptWitness.stack) if theirs.wit.vtxinwit else () for n in range(len(theirs.vin))
    ]
    assert list(ours.outputs) == [(o.nValue, bytes(o.scriptPubKey)) for o in theirs.vout]


def test_transactions_are_read_as_python_bitcoinlib_reads_them(
    recorded: RecordedBlock, transactions: list[dict[str, Any]]
) -> None:
    for theirs in recorded.block.vtx:
        same(parse_transaction(theirs.serialize()), theirs)
    for row in transactions:
        raw = bytes.fromhex(row["raw"])
        ours = parse_transaction(raw)
        same(ours, CTransaction.deserialize(raw))
        assert ours.txid.hex() == row["txid"]
        if row["weight"]:
            assert ours.vsize == -(-row["weight"] // 4)


def test_a_block_is_proved_and_found_empty_of_strangers(recorded: RecordedBlock) -> None:
    scan = scan_block(recorded.raw, {b"\x51"}, set())
    assert (scan.header.hash, scan.transactions, scan.matches) == (recorded.hash, 461, ())
    assert scan.header.parent == recorded.block.hashPrevBlock[::-1]
    assert scan.header.time.isoformat() == "2014-05-10T09:20:34+00:00"


@pytest.mark.parametrize("kept", [0, 79, 80, 81, 85, 130, 5_000, 200_000, 284_230])
def test_a_block_cut_short_is_a_lie(recorded: RecordedBlock, kept: int) -> None:
    for prove in (True, False):
        with pytest.raises(LyingNode):
            scan_block(recorded.raw[:kept], set(), set(), prove=prove)


def test_a_block_with_something_behind_it_is_a_lie(recorded: RecordedBlock) -> None:
    with pytest.raises(LyingNode, match="bytes"):
        scan_block(recorded.raw + b"\x00", set(), set())


def test_any_byte_changed_is_noticed(recorded: RecordedBlock) -> None:
    rng = random.Random(1)  # noqa: S311 - a test that repeats itself
    for _ in range(150):
        place = rng.randrange(36, len(recorded.raw))
        raw = bytearray(recorded.raw)
        raw[place] ^= 1 << rng.randrange(8)
        try:
            scan = scan_block(bytes(raw), set(), set())
        except LyingNode:
            continue
        assert scan.header.hash != recorded.hash  # a changed header is another block, and was not asked for


def test_last_transactions_repeated_are_a_lie(recorded: RecordedBlock) -> None:
    """CVE-2012-2459: a list of transactions whose end is repeated has the same merkle root."""
    leaves = [bytes([n]) * 32 for n in range(3)]
    assert merkle_root(leaves) == double_sha256(
        double_sha256(leaves[0] + leaves[1]) + double_sha256(leaves[2] + leaves[2])
    )
    with pytest.raises(LyingNode, match="repeats"):
        merkle_root([*leaves, leaves[2]])
    repeated = recorded.raw[:80] + b"\xfd\xce\x01" + recorded.raw[83:] + recorded.block.vtx[-1].serialize()
    with pytest.raises(LyingNode):
        scan_block(repeated, set(), set())


def test_inner_nodes_are_no_transactions(recorded: RecordedBlock) -> None:
    """CVE-2017-12842: two hashes side by side are 64 bytes, the size of a small transaction; the first one must be a
    coinbase, which hashes cannot look like."""
    raw = recorded.raw[:80] + b"\x01" + bytes(range(64))
    with pytest.raises(LyingNode, match="coinbase"):
        scan_block(raw, set(), set())


def test_the_height_stands_in_the_coinbase() -> None:
    """Values of Bitcoin Core: `CScript() << height`."""
    assert [height_push(n).hex() for n in (0, 1, 16, 17, 127, 128, 255, 256, 32767, 32768, 300025, 845000)] == [
        *("00", "51", "60", "0111", "017f", "028000", "02ff00", "020001"),
        *("02ff7f", "03008000", "03f99304", "03c8e40c"),
    ]


def ask(recorded: RecordedBlock, *, complete: bool, height: int = HEIGHT) -> None:
    script = bytes(recorded.block.vtx[5].vout[0].scriptPubKey)
    read_block(MAINNET, Client(BlockNode(recorded)), height, WatchSet({script}, complete=complete))


@pytest.mark.parametrize("complete", [True, False])
def test_the_block_of_another_height_is_a_lie(recorded: RecordedBlock, complete: bool) -> None:
    ask(recorded, complete=complete)
    moved = RecordedBlock(HEIGHT + 1, recorded.raw, recorded.undo)
    with pytest.raises(LyingNode, match="not of height 300026"):
        ask(moved, complete=complete, height=HEIGHT + 1)


@pytest.mark.parametrize("complete", [True, False])
def test_another_block_than_asked_for_is_a_lie(recorded: RecordedBlock, complete: bool) -> None:
    other = RecordedBlock(HEIGHT, recorded.raw, recorded.undo)
    other.__dict__["hash"] = b"\x11" * 32
    with pytest.raises(LyingNode, match="asked for block 1111"):
        ask(other, complete=complete)


def _drop(detail: dict[str, Any]) -> None:
    detail["tx"].pop()


def _cheapen(detail: dict[str, Any]) -> None:
    for vin in detail["tx"][5]["vin"]:
        vin["prevout"]["value"] = "0.00000001"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_drop, LyingNode),
        (_cheapen, LyingNode),
        (lambda d: d.update(nonce=1), LyingNode),
        (lambda d: d.update(nonce=-1), LyingNode),
        (lambda d: d.update(nonce="1"), LyingNode),
        (lambda d: d.update(time=None), LyingNode),
        (lambda d: d.update(bits="zz"), LyingNode),
        (lambda d: d.update(version="2"), LyingNode),
        (lambda d: d.update(tx={}), LyingNode),
        (lambda d: d.update(tx=[]), LyingNode),
        (lambda d: d.pop("merkleroot"), LyingNode),
        (lambda d: d["tx"][5].update(hex="00"), LyingNode),
        (lambda d: d["tx"][5].update(vin=7), LyingNode),
        (lambda d: d["tx"][5].update(txid="22" * 32), LyingNode),
        (lambda d: d["tx"][5]["vin"][0].update(txid="short"), LyingNode),
        (lambda d: d["tx"][5]["vin"][0].update(vout=-1), LyingNode),
        (lambda d: d["tx"][5]["vin"][0].update(vout=True), LyingNode),
        (lambda d: d["tx"][5]["vin"][0]["prevout"].update(value="21000001.00000000"), LyingNode),
        (lambda d: d["tx"][5]["vin"][0]["prevout"].update(value="1e3"), LyingNode),
        (lambda d: d["tx"][5]["vin"][0]["prevout"].update(value=None), LyingNode),
        (lambda d: d["tx"][5]["vin"][0]["prevout"].update(scriptPubKey=[]), LyingNode),
        (lambda d: d["tx"][5]["vin"][0].pop("prevout"), Unsupported),
        (lambda d: d.update(confirmations=-1), BlockGone),
    ],
)
def test_details_that_contradict_the_block_are_not_believed(
    recorded: RecordedBlock, spoil: Callable[[dict[str, Any]], object], error: type[ChainError]
) -> None:
    spoiled = RecordedBlock(HEIGHT, recorded.raw, recorded.undo)
    spoiled.__dict__["details"] = recorded.details
    spoiled.__dict__["detail"] = copy.deepcopy(recorded.detail)
    spoil(spoiled.detail)
    with pytest.raises(error):
        ask(spoiled, complete=False)


@pytest.mark.parametrize("number", [0, 252, 253, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
def test_variable_numbers_go_there_and_back(number: int) -> None:
    raw = write_compact_size(number)
    assert compact_size(raw + b"x", 0) == (number, len(raw))
    with pytest.raises(IndexError):
        compact_size(raw[:-1], 0)


@pytest.mark.parametrize("junk", [b"", b"\x01\x00\x00\x00", b"\x01\x00\x00\x00\x00\x00", b"\xff" * 200, bytes(100)])
def test_junk_is_no_transaction(junk: bytes) -> None:
    with pytest.raises(LyingNode):
        parse_transaction(junk)
