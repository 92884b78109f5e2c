"""Whatever reorgs and deaths the daemon went through, it ends where one ends that lived through nothing.

The state machine grows a chain, reorganises it, flips back to branches that were abandoned, lets the node fall silent,
and kills the process, or lets its database refuse, at any statement, commit or delivery. It catches up with blocks
fetched ahead and several in a transaction; the quiet life asks for each block when its turn comes.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from watch_chains import FakeChain, payment
from watch_worlds import Pace, Stumble, World

pytestmark = pytest.mark.long

_RAM = Path("/dev/shm")  # noqa: S108 - commits are as durable there as a test needs, and fifty times faster
APPROVED = [(10 + n, 1_000 + n) for n in range(3)] + [(19, 100)]
POOL = (
    *(payment(n, to=10 + n, amount=1_000 + n) for n in range(3)),  # approved
    *(payment(n, to=50 + n, amount=70_000 + n) for n in range(3, 7)),  # by nobody
    payment(7, to=90, amount=5_000, coin=3),  # rivals of number 3
    payment(8, to=91, amount=6_000, coin=3),
    payment(9, to=19, amount=9_999),  # another amount than was approved
)


class ReorgsAndCrashes(RuleBasedStateMachine):
    """Rules are what the world does to the daemon; `teardown` holds it to a life without events."""

    @initialize(most=st.sampled_from([1, 2, 3, 64]), ahead=st.booleans())
    def begin(self, most: int, ahead: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_RAM if _RAM.is_dir() else None))
        self.fake = FakeChain()
        self.tips = [self.fake.best]
        self.world = World(self.folder, self.fake, APPROVED, Pace(most, ahead))

    @rule(numbers=st.lists(st.integers(0, len(POOL) - 1), max_size=3, unique=True))
    def mine(self, numbers: list[int]) -> None:
        self.fake.best = self._block_on(self.fake.best, numbers)
        self.tips.append(self.fake.best)

    @rule(depth=st.integers(1, 4), more=st.integers(0, 2), numbers=st.lists(st.integers(0, len(POOL) - 1), max_size=4))
    def reorganise(self, depth: int, more: int, numbers: list[int]) -> None:
        branch = self.fake.branch()
        fork = branch[max(0, len(branch) - 1 - depth)].ref.hash
        for n in range(depth + more):
            fork = self._block_on(fork, numbers[n : n + 1])
        self.fake.best = fork
        self.tips.append(fork)

    @rule(data=st.data())
    def flip_back(self, data: st.DataObject) -> None:
        """A branch that was abandoned grows longer than the best and becomes it again. (One that is merely shorter and
        the same is a node that is behind: the daemon waits for it.)
        """
        self.fake.best = self._outgrow(data)

    @rule(data=st.data())
    def flip_back_in_the_middle(self, data: st.DataObject) -> None:
        """The same, between the look at the tip and the fetch of the block."""
        self.world.process.source.ambush = self._outgrow(data)

    def _outgrow(self, data: st.DataObject) -> bytes:
        tip = data.draw(st.sampled_from(self.tips))
        while len(self.fake.branch(tip)) <= len(self.fake.branch()):
            tip = self._block_on(tip, [])
        self.tips.append(tip)
        return tip

    @rule(number=st.integers(0, len(POOL) - 1))
    def broadcast(self, number: int) -> None:
        if POOL[number] not in self.world.process.source.mempool:
            self.world.process.source.mempool.append(POOL[number])

    @rule(ticks=st.integers(1, 6))
    def live(self, ticks: int) -> None:
        self.world.live(ticks)

    @rule(blocks=st.integers(2, 8), numbers=st.lists(st.integers(0, len(POOL) - 1), max_size=4, unique=True))
    def mine_many(self, blocks: int, numbers: list[int]) -> None:
        """While nobody looks; the first ones become final at once."""
        for n in range(blocks):
            self.mine(numbers[n : n + 1])

    @rule(ticks=st.integers(1, 3))
    def live_without_a_node(self, ticks: int) -> None:
        self.world.process.source.broken = True
        self.world.live(ticks)
        self.world.process.source.broken = False

    @rule(ticks=st.integers(1, 6), fuse=st.integers(1, 120))
    def live_and_stumble(self, ticks: int, fuse: int) -> None:
        self.world.live(ticks, fuse, Stumble)

    @rule(ticks=st.integers(1, 6), fuse=st.integers(1, 120))
    def live_and_die(self, ticks: int, fuse: int) -> None:
        self.world.live(ticks, fuse)

    @invariant()
    def the_log_is_whole(self) -> None:
        if hasattr(self, "world"):
            assert self.world.audit_problems() == []

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self._hold_to_a_quiet_life()
        finally:
            shutil.rmtree(self.folder)

    def _hold_to_a_quiet_life(self) -> None:
        self.world.process.source.mempool.clear()
        self.world.process.source.ambush = None
        self.world.settle()
        quiet_folder = self.folder / "quiet"
        quiet_folder.mkdir()
        quiet = World(quiet_folder, self.fake, APPROVED)
        quiet.settle()
        mined = {tx.txid for tx in self.fake.mined()}
        assert self.world.outflows(mined) == quiet.outflows(mined)
        assert self.world.findings(mined) == quiet.findings(mined)
        assert self.world.in_chain() == quiet.in_chain()
        assert self.world.movements() == quiet.movements()
        assert self.world.untold() == []
        with self.world.store.reading() as unit:
            cursor = unit.chain_state.cursor(self.world.process.worker.watched.chain)
        assert cursor is not None
        assert cursor.ref.hash == self.fake.best

    def _block_on(self, parent: bytes, numbers: list[int]) -> bytes:
        """Mine those transactions that are valid there: not in the branch yet, their coin not spent in it."""
        spent = {i.outpoint for block in self.fake.branch(parent) for tx in block.txs for i in tx.inputs}
        txs = []
        for number in numbers:
            coins = {i.outpoint for i in POOL[number].inputs}
            if not coins & spent:
                txs.append(POOL[number])
                spent |= coins
        return self.fake.add(parent, tuple(sorted(txs, key=lambda tx: tx.index)))


TestReorgsAndCrashes = ReorgsAndCrashes.TestCase
TestReorgsAndCrashes.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
