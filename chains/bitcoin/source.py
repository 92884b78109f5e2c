"""Bitcoin as a `ChainSource`: each block proved, decoded for the watch set, its inputs resolved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from chains.bitcoin import addresses, client
from chains.bitcoin.block_notifiers import BlockNotifier
from chains.bitcoin.client import ChainInfo, Client, RestTransport
from chains.bitcoin.explorer import open_explorer
from chains.bitcoin.mempool import Mempool
from chains.bitcoin.params import REGTEST, native_asset, network_of
from chains.bitcoin.readers import fetch_blocks, read_block, read_transaction
from chains.bitcoin.utxo_scan import UtxoScans, scan_unspent
from chains.errors import Unsupported
from chains.model import (
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    PendingFacts,
    TxId,
    UtxoTransaction,
)
from chains.rpc.endpoints import open_transport
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Transport, loads_exact
from chains.rpc.prefetch import Ask, Fetches, Prefetcher
from chains.source import ChainSource, Endpoint, EndpointHealth, SourceSpec, Unspent, WatchSet

SURVEY_SECS: Final = 15.0
"""How often the endpoints not asked otherwise are asked for their height."""
STALE_TIP_SECS: Final = 7200
"""No block for two hours happens by chance once in 160,000 blocks: three years."""


class BitcoinSource(ChainSource):
    """Facts of one Bitcoin network from bitcoind endpoints, or from a capture of them.

    Safe for one worker thread; `unspent`, `scan_progress`, `health` and `close` from any.
    """

    def __init__(
        self,
        spec: SourceSpec,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if spec.confirmations < 1:
            raise ValueError(f"{spec.name}: confirmations must be at least 1, not {spec.confirmations}")
        if spec.finality is not None:
            raise ValueError(f"{spec.name}: Bitcoin has confirmations, no finality tag {spec.finality!r}")
        self.chain = spec.chain
        self.native = native_asset(spec.chain)
        self._network = network_of(spec.chain)
        self._confirmations = spec.confirmations
        self._clock = clock
        self._wall_clock = wall_clock
        self._surveyed_at: float | None = None
        self._pool = open_transport(spec, self._identify, loads_exact, clock, self._door)
        self._ahead = Prefetcher(clock)
        self._scans = UtxoScans()
        self._explorer = open_explorer(self._network, spec.history, clock) if spec.history is not None else None
        self._highest = -1
        """The highest block known to exist."""
        self._mempool = Mempool(self._network, clock)
        self._notifier = BlockNotifier([endpoint.notifier_url for endpoint in spec.endpoints])

    def identify(self) -> None:
        """Ask every endpoint for its first block. Raises WrongChain, or what the last one raised if none answered."""
        self._pool.prove_all()

    def tip(self) -> BlockRef:
        """The best block of the healthiest endpoint; the others are asked for their height every 15 s."""
        self._survey_if_due()
        tip = self._pool.ask(self._chain_info).tip
        self._highest = tip.height
        return tip

    def ref_at(self, height: int) -> BlockRef:
        """The block at `height` on the best chain. Raises BlockGone where there is none."""
        ref = self._pool.ask(lambda node: BlockRef(height, Client(node).proven_hash(height)))
        self._highest = max(self._highest, height)
        return ref

    def second_ref_at(self, height: int) -> BlockRef:
        """The same by another endpoint than the one asked last. Raises Unsupported if there is none."""
        return self._pool.second_opinion(lambda node: BlockRef(height, Client(node).proven_hash(height)))

    def second_transactions(
        self, height: int, txids: Sequence[TxId]
    ) -> tuple[BlockRef, tuple[UtxoTransaction | None, ...]]:
        """The block at `height` and transactions of it by another endpoint than the one asked last. Raises Unsupported
        if there is none.
        """

        def ask(node: Transport) -> tuple[BlockRef, tuple[UtxoTransaction | None, ...]]:
            ref = BlockRef(height, Client(node).proven_hash(height))
            return ref, tuple(read_transaction(self._network, Client(node), txid, ref) for txid in txids)

        return self._pool.second_opinion(ask)

    def final_height(self) -> int:
        """The tip's height minus confirmations plus one; -1 if no block has that many."""
        return max(-1, self.tip().height - self._confirmations + 1)

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """The block at `height`. Its bytes are held to the hash, the merkle root and (BIP 34) the height; a node whose
        answer fails that is quarantined and the next one is asked. While blocks are asked for in a row, those that
        follow are fetched ahead.
        """

        def plan(node: Fetches, heights: range) -> Ask:
            complete = watch.complete
            return lambda: fetch_blocks(node, heights, complete=complete)

        return self._ahead.block(
            height,
            self._highest,
            plan,
            lambda view: self._pool.ask(lambda node: read_block(self._network, Client(view(node)), height, watch)),
        )

    def past_block(self, height: int, watch: WatchSet, txids: Iterable[TxId]) -> BlockFacts:
        """As `block`; where our nodes have pruned it, by the explorer that is configured. Raises Unsupported if none
        is.
        """
        try:
            return self.block(height, watch)
        except Unsupported:
            if self._explorer is None:
                raise
        header = self._pool.ask(lambda node: Client(node).header(height))
        return self._explorer.block(BlockRef(height, header.hash), header, watch, txids)

    def pending(self, watch: WatchSet) -> PendingFacts:
        """Unconfirmed transactions that touch `watch`, and those that compete with one which did."""
        transactions = self._pool.ask(lambda node: self._mempool.read(Client(node), watch))
        return PendingFacts(self.chain, datetime.fromtimestamp(self._wall_clock(), UTC), transactions)

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> UtxoTransaction | None:
        """One whole transaction: from the mempool, from `block`, or from anywhere if the node keeps an index."""
        return self._pool.ask(lambda node: read_transaction(self._network, Client(node), txid, block))

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """Satoshi at `address` by the set of unspent outputs, which nodes keep for their tip alone. Raises Unsupported
        for any other block or asset.
        """
        if asset != self.native.id:
            raise Unsupported(f"no {asset} on {self._network.name}")
        found = self.unspent({address})
        if found.at != at:
            raise Unsupported(f"balances are known at the tip only, which is {found.at}, not {at}")
        return sum(output.value for output in found.outputs.values())

    def unspent(self, addresses: AbstractSet[Address]) -> Unspent:
        """All unspent outputs of `addresses` at one block; minutes on mainnet."""
        return self._pool.ask(lambda node: scan_unspent(self._network, Client(node), addresses, self._scans))

    def scan_progress(self) -> int | None:
        """Percent done of an `unspent` under way in another thread, None if there is none or the node does not tell."""
        return self._scans.progress()

    def parse_address(self, text: str) -> Address:
        """Read an address of this network. Raises ValueError that says what is wrong."""
        return addresses.parse_address(self.chain, text)

    def wait(self, timeout_secs: float) -> None:
        """Return when a block or transaction was announced by ZMQ, or after the timeout."""
        self._notifier.wait(timeout_secs)

    def health(self) -> tuple[EndpointHealth, ...]:
        """Every endpoint as last met; beside no trouble of its own, that it gives no blocks by REST."""
        notes = {t.name: t.note for t in self._pool.transports if isinstance(t, RestTransport)}
        nodes = tuple(replace(e, last_error=e.last_error or notes.get(e.name, "")) for e in self._pool.health())
        return nodes if self._explorer is None else (*nodes, self._explorer.health())

    def close(self) -> None:
        """End waits, pauses and the node's scan of unspent outputs; close connections."""
        self._notifier.close()
        self._scans.close()
        self._ahead.close()
        self._pool.close()
        if self._explorer is not None:
            self._explorer.close()

    def _door(self, endpoint: Endpoint, transport: HttpTransport) -> Transport:
        return RestTransport(transport, self._clock) if endpoint.rest else transport

    def _identify(self, transport: Transport) -> None:
        client.identify(self._network, transport)

    def _survey_if_due(self) -> None:
        now = self._clock()
        if len(self._pool.transports) > 1 and (self._surveyed_at is None or now - self._surveyed_at >= SURVEY_SECS):
            self._surveyed_at = now
            self._pool.survey(lambda node: self._chain_info(node).tip.height)

    def _chain_info(self, node: Transport) -> ChainInfo:
        info = Client(node).chain_info()
        self._pool.record_height(node.name, info.tip.height, self._lag(info))
        return info

    def _lag(self, info: ChainInfo) -> str:
        """Why the node's tip is not the network's, if it says so. Regtest is always in "initial download"."""
        if self._network is REGTEST:
            return ""
        if info.downloading:
            return f"initial download: block {info.tip.height} of {info.headers}"
        age = 0 if info.tip_time is None else int(self._wall_clock()) - info.tip_time
        return f"stale tip: no block for {age // 60} minutes" if age > STALE_TIP_SECS else ""


def open_source(spec: SourceSpec) -> BitcoinSource:
    """The source for `spec`; asks no node yet. Raises ValueError for an unknown network or unfit deployment facts."""
    return BitcoinSource(spec)
