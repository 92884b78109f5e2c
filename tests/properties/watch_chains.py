"""A chain in memory that a test can grow, reorganise and flip back, seen through the same port as a real node."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chains.errors import BlockGone, ChainError, TransientError, Unsupported
from chains.model import (
    Address,
    Asset,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    Outpoint,
    PendingFacts,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from chains.registry import native_asset
from chains.rpc.prefetch import Ask, Fetches, Prefetcher, requests_of
from chains.source import ChainSource, EndpointHealth, Unspent, WatchSet

CHAIN = ChainId.parse("bip122:0f9188f13cb7b2c71f2a335e3a4fc328")
BTC: Asset = native_asset(CHAIN)
GENESIS_TIME = datetime(2026, 1, 1, tzinfo=UTC)
HOT = Address(b"\x00\x14" + b"\x01" * 20, "bcrt1-hot")


def outsider(number: int) -> Address:
    """A stranger's address."""
    return Address(b"\x00\x14" + number.to_bytes(20, "big"), f"bcrt1-outsider-{number}")


def digest(*parts: object) -> bytes:
    """A hash that is the same for the same parts."""
    return hashlib.sha256(repr(parts).encode()).digest()


def payment(number: int, *, to: int, amount: int, coin: int | None = None) -> UtxoTransaction:
    """Transaction `number` of the hot wallet: it spends coin `coin` (its own by default), pays, and keeps the change.
    Two payments with one coin are rivals.
    """
    coin = number if coin is None else coin
    value, fee = amount + 1_000_000, 1_000
    source = TxInput(Outpoint(digest("coin", coin), 0), value, HOT)
    outputs = (TxOutput(0, amount, outsider(to)), TxOutput(1, value - amount - fee, HOT))
    return UtxoTransaction(digest("tx", number), number, (source,), outputs, fee, 141)


@dataclass(frozen=True)
class Block:
    ref: BlockRef
    parent: bytes
    txs: tuple[UtxoTransaction, ...]


@dataclass
class FakeChain:
    """Blocks by hash, and which one is the best. Every branch ever made is kept, so that it can become best again."""

    blocks: dict[bytes, Block] = field(default_factory=dict)
    best: bytes = b""
    made: int = 0

    def __post_init__(self) -> None:
        self.best = self.add(None, ())

    def add(self, parent: bytes | None, txs: tuple[UtxoTransaction, ...]) -> bytes:
        """A new block on `parent` (None: the genesis block); it does not become best by itself."""
        self.made += 1
        height = 0 if parent is None else self.blocks[parent].ref.height + 1
        ref = BlockRef(height, digest("block", self.made))
        self.blocks[ref.hash] = Block(ref, parent or bytes(32), txs)
        return ref.hash

    def branch(self, tip: bytes | None = None) -> list[Block]:
        """The branch that ends in `tip`, from the genesis block on."""
        found: list[Block] = []
        at = self.blocks.get(self.best if tip is None else tip)
        while at is not None:
            found.append(at)
            at = self.blocks.get(at.parent)
        return found[::-1]

    def mined(self) -> list[UtxoTransaction]:
        """Every transaction of the best branch, in order."""
        return [tx for block in self.branch() for tx in block.txs]


class AtOnce(Executor):
    """Does what it is given when it is given it, so that a test is the same each time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **named))
        except ChainError as error:
            done.set_exception(error)
        return done


@dataclass
class Answers:
    """What the fake node said at some time."""

    rows: list[Any]
    size: int = 1_000

    def answers(self) -> list[Any]:
        return self.rows


class FakeNode:
    """The transport below a `FakeSource`: it answers for a block with the block."""

    name = "fake"

    def __init__(self, at: Callable[[int], Block]) -> None:
        self._at = at

    def call(self, method: str, params: Sequence[Any] = ()) -> Block:
        return self._at(params[0])

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [self.call(*call) for call in calls]

    def fetch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> Answers:
        return Answers(self.batch(calls))

    def raw(self, path: str) -> bytes:
        raise Unsupported(path)

    def close(self) -> None:
        return


def fetch_blocks(node: Fetches, heights: range) -> Ask:
    """As the families do it."""
    calls = [("block", [height]) for height in heights]
    return lambda: requests_of(calls, node.fetch(calls))


class FakeSource(ChainSource):
    """`ChainSource` on a `FakeChain`; with `ahead` it fetches blocks before they are asked for, as the families do."""

    chain = CHAIN
    native = BTC

    def __init__(self, fake: FakeChain, confirmations: int = 6, *, ahead: bool = False) -> None:
        self.fake = fake
        self.confirmations = confirmations
        self.mempool: list[UtxoTransaction] = []
        self.broken = False
        self.ambush: bytes | None = None
        """The branch that becomes the best just before the next block is answered."""
        self._node = FakeNode(self._block_at)
        self._ahead = Prefetcher(pool=AtOnce()) if ahead else None
        self._highest = -1

    def identify(self) -> None:
        self._answer()

    def tip(self) -> BlockRef:
        self._answer()
        tip = self.fake.blocks[self.fake.best].ref
        self._highest = tip.height
        return tip

    def ref_at(self, height: int) -> BlockRef:
        return self._at(height).ref

    def final_height(self) -> int:
        return self.tip().height - self.confirmations + 1

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        if self._ahead is None:
            return self._facts(self._node.call("block", [height]), watch)
        return self._ahead.block(
            height,
            self._highest,
            fetch_blocks,
            lambda view: self._facts(view(self._node).call("block", [height]), watch),
        )

    def _block_at(self, height: int) -> Block:
        if self.ambush is not None:
            self.fake.best, self.ambush = self.ambush, None
        return self._at(height)

    def _facts(self, block: Block, watch: WatchSet) -> BlockFacts:
        txs = tuple(tx for tx in (_resolved(tx, watch) for tx in block.txs) if _concerns(tx, watch))
        time = GENESIS_TIME + timedelta(minutes=10 * block.ref.height)
        return BlockFacts(CHAIN, block.ref, block.parent, time, txs)

    def pending(self, watch: WatchSet) -> PendingFacts:
        self._answer()
        mined = {tx.txid for tx in self.fake.mined()}
        txs = tuple(tx for tx in self.mempool if tx.txid not in mined and _concerns(tx, watch))
        return PendingFacts(CHAIN, GENESIS_TIME, txs)

    def transaction(self, txid: bytes, block: BlockRef | None = None) -> UtxoTransaction | None:
        return next((tx for tx in self.fake.mined() if tx.txid == txid), None)

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        raise Unsupported("the fake keeps no balances")

    def unspent(self, addresses: object) -> Unspent:
        return Unspent(self.tip(), {})

    def parse_address(self, text: str) -> Address:
        raise ValueError(text)

    def wait(self, timeout_secs: float) -> None:
        return

    def health(self) -> tuple[EndpointHealth, ...]:
        return (EndpointHealth("fake", "down" if self.broken else "ok"),)

    def close(self) -> None:
        return

    def _answer(self) -> None:
        if self.broken:
            raise TransientError("the fake node is down")

    def _at(self, height: int) -> Block:
        self._answer()
        branch = self.fake.branch()
        if not 0 <= height < len(branch):
            raise BlockGone(f"no block at {height}")
        return branch[height]


def _resolved(tx: UtxoTransaction, watch: WatchSet) -> UtxoTransaction:
    """Inputs of which the node tells nothing are known by the watch set, as in a block's bytes."""
    known = ((i, watch.outpoints.get(i.outpoint)) for i in tx.inputs)
    inputs = (i if i.address or o is None else replace(i, value=o.value, address=o.address) for i, o in known)
    return replace(tx, inputs=tuple(inputs))


def _concerns(tx: UtxoTransaction, watch: WatchSet) -> bool:
    touched = {i.address.key for i in tx.inputs if i.address} | {o.address.key for o in tx.outputs}
    return bool(touched & watch.addresses) or any(i.outpoint in watch.outpoints for i in tx.inputs)
