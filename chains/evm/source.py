"""The EVM family's `ChainSource`: ether, tokens, inner calls and control of an exchange's accounts and Safes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from chains.errors import BlockGone, NotReady, RateLimited, RpcError, Unreachable, Unsupported, WrongChain
from chains.evm import requests as questions
from chains.evm.block_notifiers import BlockNotifier
from chains.evm.blocks import read_ref
from chains.evm.client import BlockReader
from chains.evm.control import read_control
from chains.evm.decode import NO_TRACES, decode_transactions, decode_withdrawals, gaps_of
from chains.evm.fields import fields_of, parse_address, quantity_of, quantity_or
from chains.evm.log_ranges import LogRange, fetch_logs, find_transaction
from chains.evm.mempool import PoolReader
from chains.evm.params import native_asset, network_of
from chains.evm.requests import raised
from chains.evm.state import read_balances
from chains.model import Address, AssetId, BlockFacts, BlockRef, ChainTransaction, PendingFacts, TxId
from chains.rpc.endpoints import RECORDED, open_transport
from chains.rpc.jsonrpc import Transport
from chains.rpc.prefetch import Ask, Fetches, Prefetcher, View
from chains.source import ChainSource, EndpointHealth, SourceSpec, WatchSet

SURVEY_EVERY = 10
"""Every so many looks at the tip all endpoints are asked for theirs, so that one that stays behind is noticed."""
TRACES_AWAITED = 5
"""So many times a block is asked for again at endpoints that show inner calls but do not have it yet."""
FINALITY_TAGS = frozenset({"finalized", "safe", "latest"})


def open_source(spec: SourceSpec, clock: Callable[[], float] = time.monotonic) -> EvmSource:
    """A source for an `eip155` chain; asks nothing yet. `clock` times the quarantine of nodes that lied.

    Raises ValueError for a bad chain id or finality tag.
    """
    return EvmSource(spec, clock)


class EvmSource(ChainSource):
    """Facts of one EVM chain. See `chains.source.ChainSource` for what each method promises."""

    def __init__(self, spec: SourceSpec, clock: Callable[[], float] = time.monotonic) -> None:
        if spec.finality is not None and spec.finality not in FINALITY_TAGS:
            raise ValueError(f"finality of {spec.name} must be one of {sorted(FINALITY_TAGS)}, not {spec.finality!r}")
        self.chain = spec.chain
        self.native = spec.native or native_asset(spec.chain)
        self._network = network_of(spec.chain)
        self._spec = spec
        self._pool = open_transport(spec, self._identify, clock=clock)
        captured = spec.record_to is not None or any(e.url.startswith(RECORDED) for e in spec.endpoints)
        contracts = frozenset(a.key for a in spec.contract_wallets)
        self._reader = BlockReader(
            self._network, contracts, always_ask_logs=captured, prove_contents=spec.prove_contents
        )
        self._mempool = PoolReader(self._network)
        self._notifier = BlockNotifier([e.notifier_url for e in spec.endpoints])
        self._ahead = Prefetcher(clock)
        self._ranges: dict[str, LogRange] = {}
        self._highest = self._final = -1
        """The highest block known to exist, and to be final."""
        self._looks = 0
        self._awaited, self._waited = -1, 0

    def identify(self) -> None:
        """Ask every endpoint for its EIP-155 id."""
        self._pool.prove_all()

    def _identify(self, transport: Transport) -> None:
        number = quantity_of(transport.call("eth_chainId"), "eth_chainId")
        if number != self._network.number:
            raise WrongChain(f"the node is of eip155:{number}, not {self.chain}", endpoint=transport.name)

    def tip(self) -> BlockRef:
        """The `latest` block; an endpoint that is still syncing is noted as behind."""
        if len(self._spec.endpoints) > 1 and self._looks % SURVEY_EVERY == 0:
            self._pool.survey(lambda t: quantity_of(t.call("eth_blockNumber"), "eth_blockNumber"))
        self._looks += 1
        tip = self._pool.ask(self._tip)
        self._highest = tip.height
        return tip

    def _tip(self, transport: Transport) -> BlockRef:
        latest, syncing = transport.batch([questions.header("latest"), ("eth_syncing", ())])
        ref = read_ref(raised(latest))
        self._pool.record_height(transport.name, ref.height, _lag(syncing))
        return ref

    def ref_at(self, height: int) -> BlockRef:
        """The block at `height` by `eth_getBlockByNumber`."""
        ref = self._pool.ask(lambda t: _ref_at(t, height))
        self._highest = max(self._highest, height)
        return ref

    def second_ref_at(self, height: int) -> BlockRef:
        """As `ref_at`, of another endpoint than the one asked last. Raises Unsupported if there is none."""
        return self._pool.second_opinion(lambda t: _ref_at(t, height))

    def final_height(self) -> int:
        """By the `finality` tag where the network and the node have it, else by confirmations, of which the network's
        constant is the least.
        """
        self._final = self._read_final()
        return self._final

    def _read_final(self) -> int:
        if self._spec.finality is not None and self._network.has_finalized:
            height = self._pool.ask(lambda t: _tagged_height(t, self._spec.finality or ""))
            if height is not None:
                return height
        confirmations = max(self._spec.confirmations, self._network.min_confirmations)
        return max(-1, self.tip().height - confirmations + 1)

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        """One batch for block, logs and traces; one more for the receipts of what concerns `watch`.

        Of several endpoints those are asked first that show inner calls. While blocks are asked for in a row, those
        that follow are fetched ahead, and the logs of many final ones at a time.
        """
        return self._ahead.block(height, self._highest, self._plan, lambda view: self._block(height, watch, view))

    def _plan(self, node: Fetches, heights: range) -> Ask:
        with_logs = self._reader.needs_logs(node)
        if with_logs and heights[-1] <= self._final:
            with_logs = not self._fetch_logs(node, heights)
        return self._reader.plan(node, heights, with_logs=with_logs)

    def _fetch_logs(self, node: Fetches, heights: range) -> bool:
        """Fetch the logs of these final blocks by range, as far as no range fetched before holds them. False if the
        node is to be asked block by block.
        """
        size = self._ranges.setdefault(node.name, LogRange())
        low = max(heights[0], self._ahead.beside_to(node))
        while low <= heights[-1]:
            asked = size.wanted(low, self._final)
            if asked is None:
                return False
            self._ahead.add_beside(node, asked, partial(fetch_logs, node, asked, size))
            low = asked.stop
        return True

    def _block(self, height: int, watch: WatchSet, view: View) -> BlockFacts:
        if len(self._spec.endpoints) > 1 and any(self._reader.blindness_of(e.name) for e in self._spec.endpoints):
            seen = self._block_with_traces(height, watch, view)
            if seen is not None:
                return seen
        facts = self._pool.ask(lambda t: read_facts(self._reader, view(t), height, watch.addresses))
        if len(self._spec.endpoints) > 1 and _is_blind(facts):
            return self._block_with_traces(height, watch, view) or facts
        return facts

    def _block_with_traces(self, height: int, watch: WatchSet, view: View) -> BlockFacts | None:
        """The block by an endpoint that shows its inner calls; None if none does, or if those that do are out of order
        or far behind.
        """

        def question(transport: Transport) -> BlockFacts:
            if self._reader.abilities_of(transport).tracing is None:
                raise Unsupported("shows no inner calls", endpoint=transport.name)
            facts = read_facts(self._reader, view(transport), height, watch.addresses)
            if _is_blind(facts):
                raise Unsupported("shows no inner calls", endpoint=transport.name)
            return facts

        try:
            return self._pool.ask(question)
        except BlockGone:
            self._waited = self._waited + 1 if self._awaited == height else 1
            self._awaited = height
            if self._waited < TRACES_AWAITED:
                raise
            return None
        except (Unsupported, Unreachable, RateLimited, NotReady, RpcError):
            return None

    def pending(self, watch: WatchSet) -> PendingFacts:
        """What the node's pool holds of `watch`, with the movements a transaction announces."""
        return self._pool.ask(lambda t: self._pending(t, watch))

    def _pending(self, transport: Transport, watch: WatchSet) -> PendingFacts:
        found = self._mempool.read(transport, watch.addresses)
        looked_at = datetime.now(UTC)
        if found is None:
            return PendingFacts(self.chain, looked_at, (), supported=False)
        return PendingFacts(self.chain, looked_at, tuple(found), whole=self._mempool.shows_whole(transport))

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        """By hash, mined or pending; `block` serves nodes that index no transactions."""
        return self._pool.ask(lambda t: find_transaction(t, self._reader, txid, block))

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        """`eth_getBalance` or the token's own word, by block hash. Raises ValueError for an asset of another chain."""
        return self.balances([address], asset, at)[0]

    def balances(self, addresses: Sequence[Address], asset: AssetId, at: BlockRef) -> list[int]:
        """What each address holds, in batches."""
        if asset.chain != self.chain:
            raise ValueError(f"{asset} is not of {self.chain}")
        return self._pool.ask(lambda t: read_balances(t, addresses, asset, at))

    def second_balances(
        self, addresses: Sequence[Address], asset: AssetId, after: Sequence[BlockRef]
    ) -> list[list[int]]:
        """What each address held after each of these blocks, by another endpoint than the one asked last. Raises
        Unsupported if there is none.
        """
        return self._pool.second_opinion(lambda t: [read_balances(t, addresses, asset, at) for at in after])

    def unspent(self, addresses: AbstractSet[Address]) -> NoReturn:
        """Account chains have no unspent outputs."""
        raise Unsupported(f"{self.chain} has accounts, not unspent outputs ({len(addresses)} asked for)")

    def parse_address(self, text: str) -> Address:
        """EIP-55 or one case."""
        return parse_address(self.chain, text)

    def wait(self, timeout_secs: float) -> None:
        """Return at a new head (`Endpoint.notifier_url` `ws://…`), after the timeout, or when the source is closed."""
        self._notifier.wait(timeout_secs)

    def health(self) -> tuple[EndpointHealth, ...]:
        """Every endpoint as last met; of one that is well it is said if it shows no inner calls."""
        return tuple(
            h if h.last_error else replace(h, last_error=self._reader.blindness_of(h.name)) for h in self._pool.health()
        )

    def close(self) -> None:
        """Close connections and end a wait."""
        self._notifier.close()
        self._ahead.close()
        self._pool.close()


def read_facts(reader: BlockReader, transport: Transport, height: int, watched: AbstractSet[bytes]) -> BlockFacts:
    """What the block at `height` says about `watched`, by one node's word."""
    answers = reader.read(transport, height, watched)
    block = answers.block
    transactions = decode_transactions(block, answers.receipts, answers.traces, reader.network)
    control = read_control(transport, answers, watched, reader.contracts, reader.network)
    transactions = [replace(tx, signing=control.signing.get(tx.index, tx.signing)) for tx in transactions]
    transactions += decode_withdrawals(block, watched, reader.network)
    return BlockFacts(
        chain=reader.network.chain,
        ref=block.ref,
        parent_hash=block.parent_hash,
        time=block.time,
        transactions=tuple(transactions),
        control_changes=tuple(control.changes),
        gaps=(*gaps_of(block, answers.traces, answers.untraced_why, watched), *answers.unproved, *control.gaps),
    )


def _is_blind(facts: BlockFacts) -> bool:
    return any(gap.startswith(NO_TRACES) for gap in facts.gaps)


def _ref_at(transport: Transport, height: int) -> BlockRef:
    value = transport.call(*questions.header(height))
    if value is None:
        raise BlockGone(f"no block at height {height}", endpoint=transport.name)
    ref = read_ref(value)
    if ref.height != height:
        raise BlockGone(f"asked for height {height}, the node gave {ref.height}", endpoint=transport.name)
    return ref


def _tagged_height(transport: Transport, tag: str) -> int | None:
    """The height of a tag; -1 while the node has no such block yet, None where it does not know the tag."""
    try:
        value = transport.call(*questions.header(tag))
    except BlockGone:
        return -1
    except Unsupported:
        return None
    except RpcError as error:
        # geth: "finalized block not found" (-32000 or -39001) before the first finalised epoch
        return -1 if "not found" in str(error) else None
    return -1 if value is None else read_ref(value).height


def _lag(syncing: object) -> str:
    """Empty, or how far a syncing node is behind. Nodes that do not know `eth_syncing` count as synced."""
    if not isinstance(syncing, dict):
        return ""
    fields = fields_of(syncing, "eth_syncing")
    current = quantity_or(fields, "currentBlock", "eth_syncing", 0)
    highest = quantity_or(fields, "highestBlock", "eth_syncing", 0)
    return f"syncing: at {current} of {highest}" if highest > current else ""


__all__ = ["EvmSource", "open_source"]
