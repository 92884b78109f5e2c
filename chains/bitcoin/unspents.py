"""Unspent outputs of many scripts at one block, by `scantxoutset`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from chains.bitcoin.addresses import address_of
from chains.bitcoin.answers import bytes_of, hash_of, member, sats, uint_of
from chains.bitcoin.blocks import scan_block
from chains.bitcoin.client import Client
from chains.bitcoin.decode import outpoints_of, parse_transaction
from chains.bitcoin.params import Network
from chains.errors import BlockGone, LyingNode, NotReady
from chains.model import Address, BlockRef, Outpoint, TxOutput
from chains.rpc.transport import Json
from chains.source import Outpoints, Unspent

BATCH: Final = 200_000
"""Scripts a scan: each scan walks the whole set (a minute or two on mainnet), and bitcoind takes 32 MB a request."""
MAX_ROLL_BLOCKS: Final = 100


def scan_unspent(network: Network, client: Client, addresses: AbstractSet[Address]) -> Unspent:
    """The unspent outputs of `addresses`. Scans that ended at different blocks are brought to the last one's block by
    reading the blocks between. Raises BlockGone if the chain was reorganised meanwhile: ask again.
    """
    scripts = sorted(address.key for address in addresses)
    if not scripts:
        return Unspent(client.chain_info().tip, {})
    scans = [_scan(network, client, batch) for batch in _batches(scripts)]
    at = scans[-1][0]
    outputs: dict[Outpoint, TxOutput] = {}
    for batch, (seen_at, found) in zip(_batches(scripts), scans, strict=True):
        _roll_forward(network, client, set(batch), found, seen_at, at)
        outputs.update(found)
    return Unspent(at, outputs)


def _batches(scripts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (scripts[n : n + BATCH] for n in range(0, len(scripts), BATCH))


def _scan(network: Network, client: Client, scripts: Sequence[bytes]) -> tuple[BlockRef, Outpoints]:
    answer = client.scan_unspent(scripts)
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
