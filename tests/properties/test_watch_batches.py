"""Several final blocks in one transaction, fetched ahead or not, say what the same blocks say one by one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from watch_chains import FakeChain, digest, outsider, payment
from watch_worlds import Pace, Stumble, World

from chains.model import Address, Outpoint, TxInput, TxOutput, UtxoTransaction
from unit.rules_examples import NAMES
from walletwatch.domain.outflows import OutflowState
from walletwatch.rules.registry import configure
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import Tick

_RAM = Path("/dev/shm")  # noqa: S108 - commits are as durable there as a test needs, and fifty times faster
APPROVED = [(10 + n, 1_000 + n) for n in range(4)]
PAYMENTS = (
    *(payment(n, to=10 + n, amount=1_000 + n) for n in range(4)),  # approved
    *(payment(n, to=50 + n % 2, amount=70_000 + n) for n in range(4, 10)),  # by nobody, to two strangers in turn
    payment(10, to=10, amount=1_000),  # what W-0 paid, again
)


def spend_of_change(number: int, spent: UtxoTransaction) -> UtxoTransaction:
    """All of the change of an earlier payment to a stranger. The node does not tell what the input was worth, nor
    whose: that it is ours is known only from the block before.
    """
    change = spent.outputs[1]
    source = TxInput(Outpoint(spent.txid, change.vout), None, None)
    return UtxoTransaction(digest("tx", number), number, (source,), (TxOutput(0, change.value, outsider(77)),), 0, 100)


Chain = list[list[UtxoTransaction]]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Up to 20 blocks, with every payment in one of them or none, and a spend of change behind some."""
    blocks: Chain = [[] for _ in range(draw(st.integers(4, 20)))]
    for number, tx in enumerate(PAYMENTS):
        place = draw(st.integers(0, len(blocks)))
        if place < len(blocks):
            blocks[place].append(tx)
            after = place + draw(st.integers(1, 3))
            if after < len(blocks) and draw(st.booleans()):
                blocks[after].append(spend_of_change(100 + number, tx))
    return blocks


def grown(blocks: Chain) -> FakeChain:
    fake = FakeChain()
    for txs in blocks:
        fake.best = fake.add(fake.best, tuple(txs))
    return fake


def said(world: World) -> dict[str, Any]:
    """Everything a person or an auditor could tell two lives apart by, but the clock."""
    txids = {tx.txid for tx in world.fake.mined()}
    with world.store.reading() as unit:
        alerts = {
            (a.id, a.severity, a.state, a.title, a.findings, a.outflows, a.version) for a in unit.alerts.find(Filter())
        }
        entries = [
            (e.action, e.subject, _timeless(json.loads(e.payload)))
            for e in unit.audit.entries()
            if e.action != "alert.delivered"  # when the dispatcher comes round between two transactions
        ]
        cursor = unit.chain_state.cursor(world.process.worker.watched.chain)
        unspent = dict(unit.ledger.unspent(world.process.worker.watched.chain))
    assert cursor is not None
    return {
        "alerts": alerts,
        "audit": entries,
        "outflows": world.outflows(txids),
        "findings": world.findings(txids),
        "movements": world.movements(),
        "unspent": unspent,
        "cursor": (cursor.ref, cursor.final_height),
        "told": {(v.alert.id, v.alert.version) for v in world.told.values()},
    }


def _timeless(payload: Any) -> Any:
    """Without moments, which differ between any two lives, and the hash over a finding that holds one."""
    if isinstance(payload, dict):
        return {k: _timeless(v) for k, v in payload.items() if not (isinstance(v, str) and v.endswith("Z"))}
    return [_timeless(item) for item in payload] if isinstance(payload, list) else payload


def lived(folder: Path, fake: FakeChain, pace: Pace, fuses: Sequence[int] = ()) -> World:
    folder.mkdir()
    world = World(folder, fake, APPROVED, pace)
    world.clock.step = timedelta(milliseconds=10)  # one tick may tell twenty alerts: no minute without watching
    for fuse in fuses:
        world.live(3, fuse, Stumble)
    world.settle()
    return world


@settings(max_examples=25, deadline=None)
@given(blocks=chains(), most=st.sampled_from([2, 3, 7, 64]), ahead=st.booleans())
def test_a_stretch_says_what_its_blocks_say_one_by_one(blocks: Chain, most: int, ahead: bool) -> None:
    fake = grown(blocks)
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        single = lived(Path(folder) / "single", fake, Pace())
        stretched = lived(Path(folder) / "stretched", fake, Pace(most, ahead))
        assert said(stretched) == said(single)


@settings(max_examples=25, deadline=None)
@given(blocks=chains(), most=st.sampled_from([2, 64]), fuse=st.integers(1, 400), data=st.data())
def test_a_stretch_is_kept_whole_or_not_at_all(blocks: Chain, most: int, fuse: int, data: st.DataObject) -> None:
    fake = grown(blocks)
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        world = World(Path(folder), fake, APPROVED, Pace(most, ahead=data.draw(st.booleans())))
        while world.process.worker.tick() is not Tick.STARTED:
            pass
        world.live(1, fuse)
        with world.store.reading() as unit:
            cursor = unit.chain_state.cursor(world.process.worker.watched.chain)
            kept = unit.chain_state.count_blocks(world.process.worker.watched.chain)
        assert cursor is not None
        final = len(blocks) - 2  # of three confirmations
        assert cursor.ref.height in {0, min(most, final)}
        assert kept == cursor.ref.height
        assert cursor.final_height in {-1, cursor.ref.height}


@pytest.mark.parametrize("most", [1, 3, 64])
def test_nothing_is_final_above_the_cursor_and_everything_final_is_said_to_be(most: int, tmp_path: Path) -> None:
    """The node's final height was kept while the cursor stood far below; payments in between then stayed `included`."""
    fake = grown([[tx] for tx in PAYMENTS] + [[] for _ in range(4)])
    world = World(tmp_path, fake, APPROVED, Pace(most))
    chain = world.process.worker.watched.chain
    while world.process.worker.tick() is not Tick.IDLE:
        with world.store.reading() as unit:
            cursor = unit.chain_state.cursor(chain)
            included = unit.ledger.in_state(chain, OutflowState.INCLUDED)
        assert cursor is not None
        assert cursor.final_height <= cursor.ref.height
        assert all(tx.block is not None and tx.block.height > cursor.final_height for tx in included)


def test_who_was_paid_in_one_block_of_a_stretch_is_known_in_the_next(tmp_path: Path) -> None:
    """Address poisoning: the second address begins and ends like the one that was paid a block before."""
    payee = Address(b"\x76\xa9\x14" + b"\x21" * 20 + b"\x88\xac", "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
    twin = Address(b"\x76\xa9\x14" + b"\x22" * 20 + b"\x88\xac", "1B6rJ7jucvnxxgp6RrqqDWMb8hkCJdZw7P")
    paid, poisoned = (
        replace(tx, outputs=(replace(tx.outputs[0], address=to), tx.outputs[1]))
        for tx, to in zip(PAYMENTS[4:6], (payee, twin), strict=True)
    )
    fake = grown([[paid], [poisoned], [], [], []])
    rules = (configure({"type": "lookalike_destination"}, amounts=NAMES),)
    found = [
        {rule for _, rule, *_ in lived(tmp_path / str(most), fake, Pace(most, rules=rules)).findings({poisoned.txid})}
        for most in (1, 64)
    ]
    assert found == [{"unapproved", "lookalike_destination"}] * 2


def test_a_payment_judged_in_a_transaction_that_failed_is_not_taken_for_paid_twice(tmp_path: Path) -> None:
    """A final block was judged and its request retired from the book; then the database refused the commit, and the
    process lived on. Judged again, the payment found its request spent for good, and was called unapproved.
    """
    fake = grown([[PAYMENTS[0]], [], [], [], []])
    for fuse in range(40, 160, 3):
        world = lived(tmp_path / f"stumbled-{fuse}", fake, Pace(64), [fuse])
        assert world.findings({PAYMENTS[0].txid}) == set()
        world.store.close()


def test_a_block_that_cannot_be_had_does_not_hold_up_those_before_it(tmp_path: Path) -> None:
    fake = grown([[] for _ in range(10)])
    world = lived(tmp_path / "world", fake, Pace(64))
    source, asked = world.process.source, []
    for _ in range(10):
        fake.best = fake.add(fake.best, ())
    read = source.block

    def fails_at_fifteen(height: int, watch: Any) -> Any:
        asked.append(height)
        if height == 15:
            source.broken = True
        return read(height, watch)

    source.block = fails_at_fifteen  # type: ignore[method-assign]
    assert world.process.worker.tick() is Tick.FAILED
    assert asked[-1] == 15
    assert "down" in world.process.worker.last_error
    with world.store.reading() as unit:
        cursor = unit.chain_state.cursor(world.process.worker.watched.chain)
    assert cursor is not None
    assert cursor.ref.height == 14
    source.broken = False
    source.block = read  # type: ignore[method-assign]
    world.settle()
    assert world.process.worker.position == fake.blocks[fake.best].ref
