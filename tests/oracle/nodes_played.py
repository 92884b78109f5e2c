"""Real facts of a world's transactions, and a node in memory that shows them, with mempool and reorgs."""

from __future__ import annotations

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import MAINNET
from chains.errors import BlockGone
from chains.evm.fields import to_address
from chains.model import (
    AccountTransaction,
    Address,
    Asset,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    ChainTransaction,
    MempoolOutlook,
    Outpoint,
    PendingFacts,
    PoolOutlook,
    Replacement,
    SigningFacts,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from chains.registry import native_asset, parse_address
from chains.source import ChainSource, EndpointHealth, Unspent, WatchSet
from oracle.worlds import ACCOUNT, BARE, BTC, COIN, ETH, USDT, AccountTx, CoinTx, Move, Step, Tx, World

ZERO = datetime(2026, 3, 2, tzinfo=UTC)
CHAINS = {COIN: MAINNET.chain, ACCOUNT: ChainId("eip155", "1")}
ASSETS = {
    BTC: AssetId(CHAINS[COIN], "slip44", "0"),
    ETH: AssetId(CHAINS[ACCOUNT], "slip44", "60"),
    USDT: AssetId(CHAINS[ACCOUNT], "erc20", "0x" + "11" * 20),
    BARE: AssetId(CHAINS[ACCOUNT], "erc20", "0x" + "22" * 20),
}


def time_of(at: int) -> datetime:
    """The moment on the calendar."""
    return ZERO + timedelta(seconds=at)


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def address(chain: str, name: str) -> Address:
    """The address that stands for a name."""
    if chain == COIN:
        return address_of(MAINNET, b"\x00\x14" + digest("address", name)[:20])
    return to_address(digest("account", name)[:20])


def txid_of(name: str) -> bytes:
    return digest("tx", name)


def facts_of(tx: Tx, *, shown: bool = False) -> ChainTransaction:
    """The transaction in the common language; `shown`: as a node shows it while it waits."""
    return _coin_facts(tx) if isinstance(tx, CoinTx) else _account_facts(tx, shown=shown)


def _coin_facts(tx: CoinTx) -> UtxoTransaction:
    inputs = tuple(TxInput(Outpoint(digest("coin", c), 0), v, address(COIN, a), 0xFFFFFFFD) for c, a, v in tx.coins)
    outputs = tuple(TxOutput(n, v, address(COIN, a)) for n, (a, v) in enumerate(tx.outputs))
    return UtxoTransaction(txid_of(tx.name), -1, inputs, outputs, tx.fee, 200, signing=SigningFacts(("key",)))


def _account_facts(tx: AccountTx, *, shown: bool) -> AccountTransaction:
    sender = address(ACCOUNT, tx.sender)
    moves = tx.shown if shown and tx.shown is not None else tx.moves
    transfers = tuple(_transfer(n, move, tx.sender) for n, move in enumerate(moves))
    return AccountTransaction(
        txid=txid_of(tx.name),
        index=-1,
        sender=sender,
        receiver=transfers[0].receiver if transfers else sender,
        nonce=tx.nonce,
        ok=tx.ok or shown,
        fee=tx.fee,
        transfers=transfers if tx.ok or shown else (),
        traced=True,
        signing=SigningFacts((sender.text,)),
    )


def _transfer(ordinal: int, move: Move, sender: str) -> Transfer:
    token = move.asset != ETH
    kind = TransferKind.TOKEN if token else TransferKind.NATIVE if move.sender == sender else TransferKind.INTERNAL
    ends = address(ACCOUNT, move.sender), address(ACCOUNT, move.receiver)
    return Transfer(ASSETS[move.asset], *ends, move.amount, kind, ordinal, ordinal if token else None)


@dataclass(frozen=True)
class _Block:
    ref: BlockRef
    parent: bytes
    time: datetime
    txs: tuple[ChainTransaction, ...]


class NodePlayed(ChainSource):
    """One chain of a world, with its mempool."""

    def __init__(self, world: World, chain: str) -> None:
        self.chain = CHAINS[chain]
        self.native: Asset = native_asset(self.chain)
        self._kind = chain
        self._txs = {tx.name: tx for tx in world.txs if tx.chain == chain}
        self._made = 0
        self.blocks: list[_Block] = []
        self._mine(time_of(world.start - 600), ())
        self.waiting: list[str] = []

    def play(self, step: Step) -> None:
        """What the step does to the chain."""
        if step.kind == "relay":
            self._outbid(step.txs)
            self.waiting += step.txs
        elif step.kind == "drop":
            self.waiting = [n for n in self.waiting if n not in step.txs]
        elif step.kind == "mine":
            self._mine(time_of(step.at), step.txs)
        else:
            del self.blocks[len(self.blocks) - step.depth :]
            for names in step.blocks:
                self._mine(time_of(step.at), names)
            mined = {tx.txid for block in self.blocks for tx in block.txs}
            taken = {key for block in self.blocks for tx in block.txs for key in tx.spend_keys}
            fresh = [n for n in step.txs if txid_of(n) not in mined and not taken & set(self._facts(n).spend_keys)]
            self.waiting += fresh

    def _facts(self, name: str, *, shown: bool = False) -> ChainTransaction:
        return facts_of(self._txs[name], shown=shown)

    def _outbid(self, names: tuple[str, ...]) -> None:
        keys = {key for name in names for key in self._facts(name).spend_keys}
        self.waiting = [n for n in self.waiting if n not in names and not keys & set(self._facts(n).spend_keys)]

    def _mine(self, time: datetime, names: tuple[str, ...]) -> None:
        if names:
            self._outbid(names)
        self._made += 1
        parent = self.blocks[-1].ref if self.blocks else BlockRef(-1, bytes(32))
        ref = BlockRef(parent.height + 1, digest(self._kind, self._made))
        txs = tuple(replace(self._facts(name), index=n) for n, name in enumerate(names, start=1))
        self.blocks.append(_Block(ref, parent.hash, time, txs))

    # --- the port -----------------------------------------------------------------------------------------------------

    def identify(self) -> None:
        return

    def tip(self) -> BlockRef:
        return self.blocks[-1].ref

    def ref_at(self, height: int) -> BlockRef:
        return self._at(height).ref

    def final_height(self) -> int:
        return self.tip().height - 20

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        block = self._at(height)
        txs = tuple(tx for tx in block.txs if _concerns(tx, watch))
        return BlockFacts(self.chain, block.ref, block.parent, block.time, txs)

    def pending(self, watch: WatchSet) -> PendingFacts:
        txs = (_waiting(self._facts(name, shown=True)) for name in self.waiting)
        return PendingFacts(self.chain, self.blocks[-1].time, tuple(tx for tx in txs if _concerns(tx, watch)))

    def transaction(self, txid: bytes, block: BlockRef | None = None) -> ChainTransaction | None:
        mined = (tx for b in reversed(self.blocks) for tx in b.txs if tx.txid == txid)
        waiting = (self._facts(n, shown=True) for n in self.waiting if txid_of(n) == txid)
        return next(mined, None) or next(waiting, None)

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        keys = {a.key for a in addresses}
        inputs = (i for tx in self._txs.values() if isinstance(tx, CoinTx) for i in _coin_facts(tx).inputs)
        held = {i.outpoint: TxOutput(0, i.value, i.address) for i in inputs if i.value is not None and i.address}
        return Unspent(self.blocks[0].ref, {o: out for o, out in held.items() if out.address.key in keys})

    def parse_address(self, text: str) -> Address:
        return parse_address(self.chain, text)

    def wait(self, timeout_secs: float) -> None:
        return

    def health(self) -> tuple[EndpointHealth, ...]:
        return (EndpointHealth("played", "ok", self.blocks[-1].ref.height),)

    def close(self) -> None:
        return

    def _at(self, height: int) -> _Block:
        if not 0 <= height < len(self.blocks):
            raise BlockGone(f"no block at {height}")
        return self.blocks[height]


def _waiting(tx: Any) -> Any:
    outlook = PoolOutlook(False) if isinstance(tx, AccountTransaction) else MempoolOutlook(Replacement.SIGNALLED, 1, 3)
    return replace(tx, outlook=outlook)


def _concerns(tx: ChainTransaction, watch: WatchSet) -> bool:
    if isinstance(tx, AccountTransaction):
        ends = {a.key for t in tx.transfers for a in (t.sender, t.receiver)}
        return bool(({tx.sender.key} | ends) & watch.addresses)
    spent = any(i.outpoint in watch.outpoints or (i.address and i.address.key in watch.addresses) for i in tx.inputs)
    return spent or any(o.address.key in watch.addresses for o in tx.outputs)
