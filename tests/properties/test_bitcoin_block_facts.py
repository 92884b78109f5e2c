"""What the pass over raw bytes says of a real block equals what python-bitcoinlib and the undo data say."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from chains.bitcoin.addresses import address_of
from chains.bitcoin.client import Client
from chains.bitcoin.params import MAINNET
from chains.bitcoin.readers import read_block
from chains.model import Outpoint, TxOutput, UtxoTransaction
from chains.source import WatchSet
from contracts.recorded_blocks import BlockNode, RecordedBlock

WATCH_SETS = 1000


@pytest.fixture(scope="module")
def recorded() -> RecordedBlock:
    return RecordedBlock.load("block_mainnet_300025_many_inputs", 300025)


def watch_sets(recorded: RecordedBlock) -> Iterator[WatchSet]:
    """Random sets of scripts that the block pays to or spends from, from one to 300 of them, with as many strangers;
    in turn with complete outpoints and without.
    """
    rng = random.Random(300025)  # noqa: S311 - a test that repeats itself
    paid = {bytes(out.scriptPubKey) for tx in recorded.block.vtx for out in tx.vout}
    scripts = sorted(paid | {script for _, script in recorded.spent.values()})
    for turn in range(WATCH_SETS):
        some = rng.sample(scripts, rng.randint(1, rng.choice((3, 30, 300))))
        watch = WatchSet({*some, *(rng.randbytes(25) for _ in some)}, complete=turn % 2 == 0)
        if watch.complete:
            watch.outpoints.update(_funds(recorded, watch))
        yield watch


def _funds(recorded: RecordedBlock, watch: WatchSet) -> dict[Outpoint, TxOutput]:
    """What the watched scripts held before the block."""
    made_here = set(recorded.txids)
    return {
        outpoint: TxOutput(outpoint.vout, value, address_of(MAINNET, script))
        for outpoint, (value, script) in recorded.spent.items()
        if script in watch.addresses and outpoint.txid not in made_here
    }


Plain = tuple[object, ...]


@pytest.fixture(scope="module")
def truth(recorded: RecordedBlock) -> list[tuple[frozenset[bytes], Plain]]:
    """By python-bitcoinlib: of each transaction the scripts it touches, and its facts in plain values."""
    found = []
    for index, (tx, txid) in enumerate(zip(recorded.block.vtx, recorded.txids, strict=True)):
        outputs = tuple((out.nValue, bytes(out.scriptPubKey)) for out in tx.vout)
        points = (
            [] if tx.is_coinbase() else [(Outpoint(i.prevout.hash[::-1], i.prevout.n), i.nSequence) for i in tx.vin]
        )
        inputs = tuple((point, *recorded.spent[point], sequence) for point, sequence in points)
        fee = sum(i[1] for i in inputs) - sum(o[0] for o in outputs) if inputs else 0
        scripts = frozenset({o[1] for o in outputs} | {i[2] for i in inputs})
        found.append((scripts, (index, txid, tx.nVersion, tx.nLockTime, len(tx.serialize()), fee, inputs, outputs)))
    return found


def plain(tx: UtxoTransaction) -> Plain:
    inputs = tuple((i.outpoint, i.value, i.address.key if i.address else None, i.sequence) for i in tx.inputs)
    outputs = tuple((o.value, o.address.key) for o in tx.outputs)
    return (tx.index, tx.txid, tx.version, tx.locktime, tx.vsize, tx.fee, inputs, outputs)


def test_a_thousand_random_watch_sets_give_what_python_bitcoinlib_gives(
    recorded: RecordedBlock, truth: list[tuple[frozenset[bytes], Plain]]
) -> None:
    client = Client(BlockNode(recorded))
    touched = 0
    for watch in watch_sets(recorded):
        facts = read_block(MAINNET, client, 300025, watch)
        expected = [tx for scripts, tx in truth if not scripts.isdisjoint(watch.addresses)]
        assert [plain(tx) for tx in facts.transactions if isinstance(tx, UtxoTransaction)] == expected
        touched += len(facts.transactions)
    assert touched > 10 * WATCH_SETS


def test_spends_of_outputs_made_in_the_same_block_are_among_them(recorded: RecordedBlock) -> None:
    """Otherwise the equality above would not have seen one of the pass's ways to find a spend."""
    made_here = set(recorded.txids)
    assert sum(outpoint.txid in made_here for outpoint in recorded.spent) >= 20


def test_with_complete_outpoints_spends_need_no_further_question(recorded: RecordedBlock) -> None:
    """All inputs known: the bytes of the block are the only thing asked for."""
    outputs = {o: TxOutput(o.vout, v, address_of(MAINNET, s)) for o, (v, s) in recorded.spent.items()}
    node = BlockNode(recorded)
    watch = WatchSet(complete=True)
    watch.outpoints.update(outputs)
    facts = read_block(MAINNET, Client(node), 300025, watch)
    assert len(facts.transactions) == len(recorded.txids) - 1
    assert node.asked == ["getblockhash", "getblock"]
