"""Unspent outputs of many scripts at one block, by `scantxoutset`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from chains.bitcoin.addresses import address_of
from chains.bitcoin.blocks import scan_block
from chains.bitcoin.client import Client
from chains.bitcoin.decode import bytes_of, hash_of, member, outpoints_of, parse_transaction, sats, uint_of
from chains.bitcoin.params import Network
from chains.errors import BlockGone, ChainError, LyingNode, NotReady, Unreachable
from chains.model import Address, BlockRef, Outpoint, TxOutput
from chains.rpc.jsonrpc import Json
from chains.source import Outpoints, Unspent

_log = logging.getLogger(__name__)

BATCH: Final = 200_000
"""Scripts a scan: each scan walks the whole set (a minute or two on mainnet), and bitcoind takes 32 MB a request."""
MAX_ROLL_BLOCKS: Final = 100
_ABORT_TRIES: Final = 10
_ABORT_PAUSE_SECS: Final = 0.1


class UtxoScans:
    """The scans of one source: one thread scans, others may ask how far it is, or end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._client: Client | None = None
        self._closed = False
        self._done = 0
        self._batches = 1

    def run(self, client: Client, batches: Sequence[Sequence[bytes]]) -> list[Json]:
        """The answers to a scan for each batch of scripts. Raises Unreachable once `close` was called."""
        answers: list[Json] = []
        for done, scripts in enumerate(batches):
            with self._lock:
                if self._closed:
                    raise Unreachable("the scan of unspent outputs was ended: closing")
                self._client, self._done, self._batches = client, done, len(batches)
            try:
                answers.append(client.scan_unspent(scripts))
            finally:
                with self._lock:
                    self._client = None
                    self._ended.notify_all()
        return answers

    def progress(self) -> int | None:
        """Percent done of the scan under way, None if there is none or the node does not tell."""
        with self._lock:
            client, done, batches = self._client, self._done, self._batches
        if client is None:
            return None
        try:
            percent = client.scan_progress()
        except ChainError:
            return None
        return (100 * done + (percent or 0)) // batches

    def close(self) -> None:
        """End the scan under way; begin no other. A scan that the node has not begun yet is waited for a moment."""
        with self._lock:
            self._closed = True
            for _ in range(_ABORT_TRIES):
                if self._client is None or _aborted(self._client):
                    return
                self._ended.wait(_ABORT_PAUSE_SECS)


def _aborted(client: Client) -> bool:
    try:
        return client.abort_scan()
    except ChainError as error:
        _log.info("the scan of unspent outputs could not be ended: %s", error)
        return True


def scan_unspent(network: Network, client: Client, addresses: AbstractSet[Address], scans: UtxoScans) -> Unspent:
    """The unspent outputs of `addresses`. Scans that ended at different blocks are brought to the last one's block by
    reading the blocks between. Raises BlockGone if the chain was reorganised meanwhile: ask again.
    """
    scripts = sorted(address.key for address in addresses)
    if not scripts:
        return Unspent(client.chain_info().tip, {})
    batches = [scripts[n : n + BATCH] for n in range(0, len(scripts), BATCH)]
    answers = scans.run(client, batches)
    found_at = [_read_scan(network, answer, batch) for answer, batch in zip(answers, batches, strict=True)]
    at = found_at[-1][0]
    outputs: dict[Outpoint, TxOutput] = {}
    for batch, (seen_at, found) in zip(batches, found_at, strict=True):
        _roll_forward(network, client, set(batch), found, seen_at, at)
        outputs.update(found)
    return Unspent(at, outputs)


def _read_scan(network: Network, answer: Json, scripts: Sequence[bytes]) -> tuple[BlockRef, Outpoints]:
    if member(answer, "success") is not True:
        raise NotReady("the scan of unspent outputs was aborted")
    at = BlockRef(uint_of(member(answer, "height")), hash_of(member(answer, "bestblock")))
    unspents = member(answer, "unspents")
    if not isinstance(unspents, list):
        raise LyingNode("no list of unspent outputs")
    outputs = Outpoints(_unspent_of(network, item) for item in unspents)
    if not {output.address.key for output in outputs.values()} <= set(scripts):
        raise LyingNode("the scan of unspent outputs answered for other scripts")
    return at, outputs


def _unspent_of(network: Network, item: Json) -> tuple[Outpoint, TxOutput]:
    vout = uint_of(member(item, "vout"))
    address = address_of(network, bytes_of(member(item, "scriptPubKey")))
    return Outpoint(hash_of(member(item, "txid")), vout), TxOutput(vout, sats(member(item, "amount")), address)


def _roll_forward(
    network: Network, client: Client, scripts: set[bytes], outputs: Outpoints, seen_at: BlockRef, at: BlockRef
) -> None:
    """Bring `outputs` from block `seen_at` to block `at`."""
    if at.height - seen_at.height > MAX_ROLL_BLOCKS:
        raise BlockGone(f"the scans lie {at.height - seen_at.height} blocks apart")
    parent = seen_at.hash
    for height in range(seen_at.height + 1, at.height + 1):
        block_hash = client.block_hash(height)
        raw = client.raw_block(block_hash)
        scan = scan_block(raw, scripts, outputs.wire)
        if (scan.header.hash, scan.header.parent) != (block_hash, parent):
            raise BlockGone(f"the chain was reorganised at height {height} during the scan")
        for match in scan.matches:
            _apply(network, raw[match.start : match.end], scripts, outputs)
        parent = block_hash
    if parent != at.hash:
        raise BlockGone("the chain was reorganised during the scan")


def _apply(network: Network, raw: bytes, scripts: set[bytes], outputs: Outpoints) -> None:
    tx = parse_transaction(raw)
    for spent in tx.inputs:
        outputs.pop(spent.outpoint, None)
    for outpoint, output in outpoints_of(network, tx).items():
        if output.address.key in scripts:
            outputs[outpoint] = output
