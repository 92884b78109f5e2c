"""What the pass over raw bytes says of a real block equals what python-bitcoinlib and the undo data say."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import lru_cache

import pytest
from bitcoin.core import CTransaction

from chains.bitcoin.addresses import address_of
from chains.bitcoin.client import Client
from chains.bitcoin.params import TESTNET3
from chains.bitcoin.readers import read_block
from chains.bitcoin.scripts import script_type
from chains.model import Outpoint, TxOutput, UtxoTransaction
from chains.source import WatchSet
from contracts.recorded_blocks import BlockNode, RecordedBlock

pytestmark = pytest.mark.long

WATCH_SETS = 1000
BIG_BLOCK_SETS = int(os.environ.get("WALLETWATCH_WATCH_SETS", "100"))
"""Of the block of 10,000 inputs, where a thousand take two minutes: `WALLETWATCH_WATCH_SETS=1000` asks for them all."""


_LOADERS: dict[str, Callable[[], RecordedBlock]] = {
    "many inputs": lambda: RecordedBlock.load("block_mainnet_300025_many_inputs", 300025),
    "segwit": lambda: RecordedBlock.load("block_testnet3_928831_segwit", 928831, TESTNET3),
    "taproot era": lambda: RecordedBlock.of_transactions("transactions_mainnet_taproot_era"),
}


@lru_cache
def block(name: str) -> RecordedBlock:
    return _LOADERS[name]()


@pytest.fixture(scope="module", params=list(_LOADERS))
def recorded(request: pytest.FixtureRequest) -> RecordedBlock:
    return block(request.param)


def sets_of(recorded: RecordedBlock) -> int:
    """How many random sets are watched."""
    return WATCH_SETS if len(recorded.spent) < 5_000 else BIG_BLOCK_SETS


def turns_between_incomplete(recorded: RecordedBlock) -> int:
    """Without complete outpoints the node is asked for all that was spent: 0.3 s in the block of 10,000 inputs."""
    return 2 if len(recorded.spent) < 5_000 else 20


def watch_sets(recorded: RecordedBlock) -> Iterator[WatchSet]:
    """Random sets of scripts that the block pays to or spends from, from one to 300 of them, with as many strangers;
    mostly of a few; with complete outpoints and every so often without.
    """
    every = turns_between_incomplete(recorded)
    rng = random.Random(recorded.height)  # noqa: S311 - a test that repeats itself
    paid = {bytes(out.scriptPubKey) for tx in recorded.block.vtx for out in tx.vout}
    scripts = sorted(paid | {script for _, script in recorded.spent.values()})
    for turn in range(sets_of(recorded)):
        some = rng.sample(scripts, rng.randint(1, rng.choice((3, 30, 300))))
        watch = WatchSet({*some, *(rng.randbytes(25) for _ in some)}, complete=turn % every != 1)
        if watch.complete:
            watch.outpoints.update(_funds(recorded, watch))
        yield watch


def _funds(recorded: RecordedBlock, watch: WatchSet) -> dict[Outpoint, TxOutput]:
    """What the watched scripts held before the block."""
    made_here = set(recorded.txids)
    return {
        outpoint: TxOutput(outpoint.vout, value, address_of(recorded.network, script))
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
        found.append(
            (scripts, (index, txid, tx.nVersion, tx.nLockTime, -(-tx.calc_weight() // 4), fee, inputs, outputs))
        )
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
        facts = read_block(recorded.network, client, recorded.height, watch)
        expected = [tx for scripts, tx in truth if not scripts.isdisjoint(watch.addresses)]
        assert [plain(tx) for tx in facts.transactions if isinstance(tx, UtxoTransaction)] == expected
        touched += len(facts.transactions)
    assert touched > 10 * sets_of(recorded)


def test_spends_of_outputs_made_in_the_same_block_are_among_them() -> None:
    """Otherwise the equality above would not have seen one of the pass's ways to find a spend."""
    for name, least in (("many inputs", 20), ("segwit", 2)):
        made_here = set(block(name).txids)
        assert sum(outpoint.txid in made_here for outpoint in block(name).spent) >= least


def test_every_script_type_is_among_them_paid_and_spent() -> None:
    """Those that real data has: of nobody's P2PK, unknown witness or non-standard output is a spend at hand, nor of an
    OP_RETURN anywhere. The regtest node makes them and spends them in `test_bitcoin_script_types`.
    """
    blocks = [block(name) for name in _LOADERS]
    paid = {script_type(bytes(out.scriptPubKey)) for b in blocks for tx in b.block.vtx for out in tx.vout}
    spent = {script_type(script) for b in blocks for _, script in b.spent.values()}
    assert spent == {"p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr", "multisig"}
    assert paid == spent | {"p2pk", "op_return", "nonstandard"}
    ways = {_way(tx, n) for b in blocks for tx in b.block.vtx[1:] for n in range(len(tx.vin))}
    assert ways == {"scriptSig", "witness", "witness behind scriptSig"}


def _way(tx: CTransaction, n: int) -> str:
    behind, witness = bool(tx.vin[n].scriptSig), tx.wit.vtxinwit and tx.wit.vtxinwit[n].scriptWitness.stack
    return ("witness behind scriptSig" if behind else "witness") if witness else "scriptSig"


def test_with_complete_outpoints_spends_need_no_further_question(recorded: RecordedBlock) -> None:
    """All inputs known: the bytes of the block are the only thing asked for."""
    outputs = {o: TxOutput(o.vout, v, address_of(recorded.network, s)) for o, (v, s) in recorded.spent.items()}
    node = BlockNode(recorded)
    watch = WatchSet(complete=True)
    watch.outpoints.update(outputs)
    facts = read_block(recorded.network, Client(node), recorded.height, watch)
    assert len(facts.transactions) == len(recorded.txids) - 1
    assert node.asked == ["getblockhash", "getblock"]
