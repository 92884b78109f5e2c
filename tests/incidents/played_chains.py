"""A chain in memory that shows, through the same port as a real node, what a play has put into it so far."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from chains.errors import BlockGone, TransientError
from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    ChainTransaction,
    ControlChange,
    Outpoint,
    PendingFacts,
    TxId,
    TxOutput,
    UtxoTransaction,
)
from chains.registry import native_asset, parse_address
from chains.source import ChainSource, EndpointHealth, Unspent, WatchSet

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def digest(*parts: object) -> bytes:
    """32 bytes, the same for the same parts."""
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass(frozen=True)
class Block:
    """A block with everything of ours in it."""

    ref: BlockRef
    parent: bytes
    time: datetime
    txs: tuple[ChainTransaction, ...]
    changes: tuple[ControlChange, ...] = ()


class PlayedChain(ChainSource):
    """`ChainSource`. `mine` and `relay` are the play's; an unmined transaction waits in the mempool until it, or what
    consumes the same coins or nonce, is mined. `broken`: the node is away.
    """

    def __init__(self, chain: ChainId, confirmations: int) -> None:
        self.chain, self.native = chain, native_asset(chain)
        self.confirmations = confirmations
        self.broken = False
        self.blocks = [Block(BlockRef(0, digest(str(chain), 0)), bytes(32), EARLIEST, ())]
        self.waiting: dict[TxId, ChainTransaction] = {}
        self.coins: dict[Outpoint, TxOutput] = {}
        self.held: dict[tuple[AssetId, bytes], int] = defaultdict(int)
        self._past: dict[tuple[AssetId, bytes], list[tuple[int, int]]] = {}

    # --- what the play does -------------------------------------------------------------------------------------------

    def relay(self, tx: ChainTransaction) -> None:
        """Put `tx` into the mempool; what it replaces leaves it."""
        self._drop_rivals(tx)
        self.waiting[tx.txid] = tx

    def mine(self, time: datetime, txs: Iterable[ChainTransaction], changes: Iterable[ControlChange] = ()) -> None:
        """A block on the tip."""
        parent = self.blocks[-1].ref
        ref = BlockRef(parent.height + 1, digest(str(self.chain), parent.height + 1))
        placed = tuple(replace(tx, index=n) for n, tx in enumerate(txs, start=1))
        for tx in placed:
            self._drop_rivals(tx)
            self._move(tx, ref.height)
        self.blocks.append(Block(ref, parent.hash, time, placed, tuple(changes)))

    def _drop_rivals(self, tx: ChainTransaction) -> None:
        keys = set(tx.spend_keys)
        gone = [txid for txid, other in self.waiting.items() if keys & set(other.spend_keys)]
        for txid in gone:
            del self.waiting[txid]

    def _move(self, tx: ChainTransaction, height: int) -> None:
        if isinstance(tx, UtxoTransaction):
            for spent in tx.inputs:
                self.coins.pop(spent.outpoint, None)
            self.coins.update({Outpoint(tx.txid, o.vout): o for o in tx.outputs})
            return
        self._pay(self.native.id, tx.sender, -tx.fee, height)
        for transfer in tx.transfers:
            self._pay(transfer.asset, transfer.sender, -transfer.amount, height)
            self._pay(transfer.asset, transfer.receiver, transfer.amount, height)

    def _pay(self, asset: AssetId, account: Address, change: int, height: int) -> None:
        place = (asset, account.key)
        self._past.setdefault(place, [(0, self.held[place])])
        self.held[place] += change
        self._past[place].append((height, self.held[place]))

    # --- the port -----------------------------------------------------------------------------------------------------

    def identify(self) -> None:
        self._answer()

    def tip(self) -> BlockRef:
        self._answer()
        return self.blocks[-1].ref

    def ref_at(self, height: int) -> BlockRef:
        return self._at(height).ref

    def final_height(self) -> int:
        return self.tip().height - self.confirmations + 1

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        block = self._at(height)
        txs = tuple(tx for tx in block.txs if _concerns(tx, watch))
        return BlockFacts(self.chain, block.ref, block.parent, block.time, txs, block.changes)

    def pending(self, watch: WatchSet) -> PendingFacts:
        self._answer()
        txs = tuple(tx for tx in self.waiting.values() if _concerns(tx, watch))
        return PendingFacts(self.chain, self.blocks[-1].time, txs)

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        mined = next((tx for b in reversed(self.blocks) for tx in b.txs if tx.txid == txid), None)
        return mined or self.waiting.get(txid)

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        self._answer()
        past = self._past.get((asset, address.key))
        if past is None:
            return self.held[asset, address.key]
        return past[bisect_right(past, at.height, key=lambda entry: entry[0]) - 1][1]

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        self._answer()
        keys = {address.key for address in addresses}
        return Unspent(self.blocks[-1].ref, {o: out for o, out in self.coins.items() if out.address.key in keys})

    def parse_address(self, text: str) -> Address:
        return parse_address(self.chain, text)

    def wait(self, timeout_secs: float) -> None:
        return

    def health(self) -> tuple[EndpointHealth, ...]:
        return (EndpointHealth("played", "down" if self.broken else "ok", self.blocks[-1].ref.height),)

    def close(self) -> None:
        return

    def _answer(self) -> None:
        if self.broken:
            raise TransientError("the played node is away")

    def _at(self, height: int) -> Block:
        self._answer()
        if not 0 <= height < len(self.blocks):
            raise BlockGone(f"no block at {height}")
        return self.blocks[height]


def _concerns(tx: ChainTransaction, watch: WatchSet) -> bool:
    if isinstance(tx, AccountTransaction):
        return tx.sender.key in watch.addresses or any(
            t.sender.key in watch.addresses or t.receiver.key in watch.addresses for t in tx.transfers
        )
    spent = any(i.outpoint in watch.outpoints or (i.address and i.address.key in watch.addresses) for i in tx.inputs)
    return spent or any(o.address.key in watch.addresses for o in tx.outputs)
