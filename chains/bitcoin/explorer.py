"""Blocks that our own node has pruned, by an explorer that speaks Esplora's HTTP API: for following thefts alone, never
for judging.

Nothing it says is believed that can be held to our own node's headers: a transaction must have the id that was asked
for, stand in the block by its merkle proof, and spend what it is said to spend; what its inputs were worth comes from
their own transactions. Only what it leaves out cannot be noticed, and that is what makes it foreign evidence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from chains.bitcoin.blocks import Header, double_sha256
from chains.bitcoin.decode import (
    RawTransaction,
    bytes_of,
    hash_of,
    member,
    outpoints_of,
    parse_transaction,
    transaction_facts,
    uint_of,
)
from chains.bitcoin.params import Network
from chains.bitcoin.readers import Resolved
from chains.errors import LyingNode, NotReady, Unreachable, Unsupported, WrongChain
from chains.model import BlockFacts, BlockRef, Outpoint, TxId, UtxoTransaction
from chains.rpc.endpoints import EndpointPool
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Json, Transport
from chains.source import Endpoint, EndpointHealth, WatchSet

MAX_ANSWER_BYTES: Final = 10 << 20
"""The largest transaction is 4 MB, 8 MB as hexadecimal."""
MAX_PARENTS: Final = 1_000
"""Transactions asked for to learn what the inputs of one were worth."""
_MAX_PROOF: Final = 24
_NODE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class _Spends:
    """Where each output of a transaction is spent, as told when the explorer's tip was at `tip`: (txid, height, block
    hash), or None.
    """

    tip: int
    by_vout: tuple[tuple[bytes, int, bytes] | None, ...]


@dataclass(slots=True)
class Explorer:
    """One explorer's history of one network. Serves one worker thread."""

    network: Network
    pool: EndpointPool
    name: str
    _spends: dict[TxId, _Spends] = field(default_factory=dict)

    def block(self, ref: BlockRef, header: Header, watch: WatchSet, txids: Iterable[TxId] = ()) -> BlockFacts:
        """What the block `ref` of our own node did: transactions that spend `watch.outpoints`, and of `txids` those it
        holds. Raises LyingNode for what cannot be true, NotReady while the explorer stands below the block or on
        another branch.
        """
        found = self.pool.ask(lambda node: self._find(node, ref, header, watch, set(txids)))
        return BlockFacts(self.network.chain, ref, header.parent, header.time, tuple(found))

    def health(self) -> EndpointHealth:
        """The explorer as last met, under a name that says what it is for."""
        (health,) = self.pool.health()
        return replace(health, name=f"{health.name} (history)")

    def close(self) -> None:
        """Close connections."""
        self.pool.close()

    def _find(
        self, node: Transport, ref: BlockRef, header: Header, watch: WatchSet, wanted: set[TxId]
    ) -> list[UtxoTransaction]:
        spenders: dict[TxId, set[Outpoint]] = {txid: set() for txid in wanted}
        parents = {outpoint.txid for outpoint in watch.outpoints}
        self._spends = {txid: known for txid, known in self._spends.items() if txid in parents}
        for outpoint in watch.outpoints:
            spender = self._spender(node, outpoint, ref)
            if spender is not None:
                spenders.setdefault(spender, set()).add(outpoint)
        found = [self._prove(node, header, txid, spent, watch) for txid, spent in sorted(spenders.items())]
        return sorted(found, key=lambda tx: tx.index)

    def _spender(self, node: Transport, outpoint: Outpoint, ref: BlockRef) -> TxId | None:
        """Who spends `outpoint` in the block `ref`, None if nobody does in it."""
        spends = self._spends.get(outpoint.txid)
        if spends is None or spends.tip < ref.height:
            spends = self._spends[outpoint.txid] = self._ask_spends(node, outpoint.txid, ref.height)
        if outpoint.vout >= len(spends.by_vout):
            raise LyingNode(f"transaction {outpoint.txid.hex()} has more outputs than were told of", endpoint=node.name)
        spend = spends.by_vout[outpoint.vout]
        if spend is None or spend[1] > ref.height:
            return None
        if spend[1] < ref.height:
            raise LyingNode(f"output {outpoint} is said to be spent in a block that was read", endpoint=node.name)
        if spend[2] != ref.hash:
            del self._spends[outpoint.txid]
            raise NotReady(f"the explorer has another block at height {ref.height}", endpoint=node.name)
        return spend[0]

    def _ask_spends(self, node: Transport, txid: TxId, height: int) -> _Spends:
        tip = uint_of(_json(node, "blocks/tip/height"))
        if tip < height:
            raise NotReady(f"the explorer stands at block {tip}, below {height}", endpoint=node.name)
        told = _json(node, f"tx/{txid.hex()}/outspends")
        if not isinstance(told, list):
            raise LyingNode("no list of spent outputs", endpoint=node.name)
        return _Spends(tip, tuple(map(_read_spend, told)))

    def _prove(
        self, node: Transport, header: Header, txid: TxId, spent: set[Outpoint], watch: WatchSet
    ) -> UtxoTransaction:
        """The facts of a transaction that the block is said to hold. Raises LyingNode if it does not."""
        tx = _transaction(node, txid)
        if not spent <= {i.outpoint for i in tx.inputs}:
            raise LyingNode(f"transaction {txid.hex()} does not spend what it is said to", endpoint=node.name)
        if tx.base_size == _NODE_BYTES:
            raise LyingNode(f"transaction {txid.hex()} has the size of a merkle node", endpoint=node.name)
        proof = _json(node, f"tx/{txid.hex()}/merkle-proof")
        index = uint_of(member(proof, "pos"))
        if _root(txid, index, member(proof, "merkle")) != header.merkle_root:
            raise LyingNode(f"transaction {txid.hex()} is not in block {header.hash.hex()}", endpoint=node.name)
        facts = transaction_facts(self.network, tx, index, self._prevouts(node, tx, watch))
        return replace(facts, evidence=self.name)

    def _prevouts(self, node: Transport, tx: RawTransaction, watch: WatchSet) -> Resolved:
        """What every input was worth, by the transactions they spend from."""
        if tx.is_coinbase:
            return {}
        known = {i.outpoint: watch.outpoints[i.outpoint] for i in tx.inputs if i.outpoint in watch.outpoints}
        parents = sorted({i.outpoint.txid for i in tx.inputs if i.outpoint not in known})
        if len(parents) > MAX_PARENTS:
            raise Unsupported(f"transaction {tx.txid.hex()} spends from {len(parents)} others", endpoint=node.name)
        for txid in parents:
            known |= outpoints_of(self.network, _transaction(node, txid))
        if not all(i.outpoint in known for i in tx.inputs):
            raise LyingNode(f"transaction {tx.txid.hex()} spends what was never made", endpoint=node.name)
        return known


def open_explorer(network: Network, endpoint: Endpoint, clock: Callable[[], float] = time.monotonic) -> Explorer:
    """The explorer whose API lies at `endpoint`; asks nothing yet. Raises ValueError for what is no http(s) URL."""
    transport = HttpTransport(endpoint, max_answer_bytes=MAX_ANSWER_BYTES, clock=clock)
    pool = EndpointPool([transport], lambda node: identify_explorer(network, node), endpoint.name, clock=clock)
    return Explorer(network, pool, endpoint.name)


def identify_explorer(network: Network, node: Transport) -> None:
    """Raises WrongChain if the explorer's first block is not the network's."""
    genesis = hash_of(_text(node, "block-height/0"))
    if genesis != network.genesis:
        raise WrongChain(f"not {network.name}: its first block is {genesis.hex()}", endpoint=node.name)


def _transaction(node: Transport, txid: TxId) -> RawTransaction:
    tx = parse_transaction(bytes_of(_text(node, f"tx/{txid.hex()}/hex")))
    if tx.txid != txid:
        raise LyingNode(f"asked for transaction {txid.hex()}, got {tx.txid.hex()}", endpoint=node.name)
    return tx


def _read_spend(told: Json) -> tuple[bytes, int, bytes] | None:
    """An element of `outspends`; None while the output is unspent, or its spender waits."""
    if member(told, "spent") is not True:
        return None
    status = member(told, "status")
    if member(status, "confirmed") is not True:
        return None
    return hash_of(member(told, "txid")), uint_of(member(status, "block_height")), hash_of(member(status, "block_hash"))


def _root(txid: TxId, index: int, siblings: Json) -> bytes:
    """The merkle root, in display order, that a proof leads to. Raises LyingNode for what is no proof."""
    if not isinstance(siblings, list) or len(siblings) > _MAX_PROOF or index >> len(siblings):
        raise LyingNode("no merkle proof")
    node_le = txid[::-1]
    for depth, sibling in enumerate(siblings):
        other_le = hash_of(sibling)[::-1]
        right = index >> depth & 1
        node_le = double_sha256(other_le + node_le if right else node_le + other_le)
    return node_le[::-1]


def _text(node: Transport, path: str) -> str:
    try:
        return node.raw(path).decode("ascii").strip()
    except UnicodeDecodeError:
        raise LyingNode("no text", endpoint=node.name) from None


def _json(node: Transport, path: str) -> Json:
    try:
        return orjson.loads(node.raw(path))
    except orjson.JSONDecodeError:
        raise Unreachable("the answer is no JSON", endpoint=node.name) from None
