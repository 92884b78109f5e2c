"""Asking one node for one block or one transaction: prove it, find what touches the watch set, resolve its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from chains.bitcoin.blocks import BlockScan, check_height, scan_block, wire_keys
from chains.bitcoin.client import Client
from chains.bitcoin.decode import (
    RawTransaction,
    assemble_block,
    bytes_of,
    hash_of,
    inputs_of,
    member,
    outpoints_of,
    output_of,
    parse_transaction,
    prevouts_of,
    transaction_facts,
)
from chains.bitcoin.params import Network
from chains.bitcoin.signing import signing_facts
from chains.errors import BlockGone, ChainError, LyingNode, Unsupported
from chains.model import BlockFacts, BlockRef, Outpoint, TxId, TxOutput, UtxoTransaction
from chains.rpc.jsonrpc import Call, Json
from chains.rpc.prefetch import BlockRequests, Fetches, key_of, requests_of
from chains.source import WatchSet

Resolved = dict[Outpoint, TxOutput]


def read_block(network: Network, client: Client, height: int, watch: WatchSet) -> BlockFacts:
    """The facts of the block at `height`. With complete outpoints the node sends the bytes alone (`getblock` 0), else
    also what every input spends (`getblock` 3). Raises LyingNode if the answer is not the block asked for.
    """
    wanted = client.block_hash(height)
    if watch.complete:
        raw, details, more = client.raw_block(wanted), None, frozenset[bytes]()
    else:
        detail = client.block_detail(wanted)
        raw, details = assemble_block(detail), member(detail, "tx")
        more = spends_of(details, watch.addresses)
    scan = scan_block(raw, watch.addresses, wire_keys(watch.outpoints), more)
    _check_block(network, scan, wanted, height)
    found = [(match.index, parse_transaction(raw[match.start : match.end])) for match in scan.matches]
    prevouts = _prevouts(network, client, wanted, found, details, watch)
    facts = tuple(_facts(network, index, tx, prevouts, watch) for index, tx in found)
    return BlockFacts(network.chain, BlockRef(height, wanted), scan.header.parent, scan.header.time, facts)


def fetch_blocks(node: Fetches, heights: range, *, complete: bool) -> BlockRequests:
    """The answers `read_block` will ask for, for some blocks in a row: two questions for all of them."""
    by_height: list[Call] = [("getblockhash", [height]) for height in heights]
    hashes = node.batch(by_height)
    blocks: list[Call] = [("getblock", [text, 0 if complete else 3]) for text in hashes if _is_hash(text)]
    return requests_of(blocks, node.fetch(blocks), dict(zip(map(key_of, by_height), hashes, strict=True)))


def _is_hash(answer: Json | ChainError) -> bool:
    """Whether this may be asked for; what is none is met, and called a lie, when its block's turn comes."""
    return isinstance(answer, str) and len(answer) == 64 and answer.isalnum()


def spends_of(details: Json, addresses: AbstractSet[bytes]) -> frozenset[bytes]:
    """The inputs (36 wire bytes) that spend from `addresses`, by `getblock` 3. Raises Unsupported if the node does not
    tell what inputs spend: to pass over an input would be to miss a theft.
    """
    found = set()
    for detail in details:
        for outpoint, vin in inputs_of(detail):
            if "prevout" not in vin:
                raise Unsupported("the node does not tell what inputs spend (pruned, or older than Bitcoin Core 23)")
            if bytes_of(member(member(vin["prevout"], "scriptPubKey"), "hex")) in addresses:
                found.add(outpoint.wire)
    return frozenset(found)


def _check_block(network: Network, scan: BlockScan, wanted: bytes, height: int) -> None:
    if scan.header.hash != wanted:
        raise LyingNode(f"asked for block {wanted.hex()}, got {scan.header.hash.hex()}")
    check_height(network, scan, height)


def _prevouts(
    network: Network,
    client: Client,
    block_hash: bytes,
    found: list[tuple[int, RawTransaction]],
    details: Json | None,
    watch: WatchSet,
) -> Resolved:
    """What the inputs of the matches spend: by the watch set, by other matches, and by the node."""
    known: Resolved = {}
    for _, tx in found:
        known.update((i.outpoint, watch.outpoints[i.outpoint]) for i in tx.inputs if i.outpoint in watch.outpoints)
        known.update(outpoints_of(network, tx))
    open_ones = [(n, tx) for n, tx in found if not tx.is_coinbase and any(i.outpoint not in known for i in tx.inputs)]
    if details is not None:
        answers = [details[n] for n, _ in open_ones]
    else:
        answers = client.transaction_details([tx.txid for _, tx in open_ones], block_hash)
    for (_, tx), answer in zip(open_ones, answers, strict=True):
        _add_known(known, known_prevouts(network, tx, answer))
    return known


def _add_known(known: Resolved, told: Resolved) -> None:
    for outpoint, output in told.items():
        if known.setdefault(outpoint, output) != output:
            raise LyingNode(f"output {outpoint} is not what an earlier block proved it to be")


def known_prevouts(network: Network, tx: RawTransaction, detail: Json | None) -> Resolved:
    """What the node tells about the inputs of `tx`, which it was asked about as part of a block of the best chain."""
    if detail is None:
        raise BlockGone(f"the block of {tx.txid.hex()} left the best chain")
    if hash_of(member(detail, "txid")) != tx.txid:
        raise LyingNode(f"asked for transaction {tx.txid.hex()}, got another")
    if detail.get("in_active_chain") is False:
        raise BlockGone(f"the block of {tx.txid.hex()} left the best chain")
    told = prevouts_of(network, detail)
    if not all(i.outpoint in told for i in tx.inputs):
        raise Unsupported("the node does not tell what inputs spend (pruned, or older than Bitcoin Core 25)")
    return told


def _facts(network: Network, index: int, tx: RawTransaction, prevouts: Resolved, watch: WatchSet) -> UtxoTransaction:
    return transaction_facts(network, tx, index, prevouts, signing_facts(tx, prevouts, watch.addresses))


def read_transaction(network: Network, client: Client, txid: TxId, block: BlockRef | None) -> UtxoTransaction | None:
    """One transaction with its inputs resolved as far as the node can; None if it does not know it."""
    detail = client.transaction_detail(txid, block.hash if block is not None else None)
    if detail is None:
        return None
    tx = parse_transaction(bytes_of(member(detail, "hex")))
    if tx.txid != txid:
        raise LyingNode(f"asked for transaction {txid.hex()}, got {tx.txid.hex()}")
    index = -1
    if "blockhash" in detail:
        index = _index_in(client, hash_of(detail["blockhash"]), txid)
    prevouts = prevouts_of(network, detail)
    prevouts |= resolve(network, client, [i.outpoint for i in tx.inputs if i.outpoint not in prevouts])
    ours = {output.address.key for output in prevouts.values()}
    return transaction_facts(network, tx, index, prevouts, signing_facts(tx, prevouts, ours))


def _index_in(client: Client, block_hash: bytes, txid: bytes) -> int:
    txids = client.block_txids(block_hash)
    if txid not in txids:
        raise LyingNode(f"transaction {txid.hex()} is not in the block that is said to hold it")
    return txids.index(txid)


def resolve(network: Network, client: Client, outpoints: list[Outpoint]) -> Resolved:
    """Outputs by the best means a node without index has: `gettxout` for confirmed unspent ones, then the transaction
    itself (mempool, or txindex). What it does not know is left out.
    """
    if not outpoints or all(o.txid == bytes(32) for o in outpoints):
        return {}
    answers = client.unspent_details(outpoints)
    found = {o: output_of(network, o.vout, a) for o, a in zip(outpoints, answers, strict=True) if a is not None}
    return found | dict(_by_parent(network, client, [o for o in outpoints if o not in found]))


def _by_parent(network: Network, client: Client, outpoints: list[Outpoint]) -> Iterator[tuple[Outpoint, TxOutput]]:
    parents = sorted({o.txid for o in outpoints})
    for txid, raw in zip(parents, client.raw_transactions(parents), strict=True):
        if raw is None:
            continue
        parent = parse_transaction(raw)
        if parent.txid != txid:
            raise LyingNode(f"asked for transaction {txid.hex()}, got {parent.txid.hex()}")
        outputs = outpoints_of(network, parent)
        yield from ((o, outputs[o]) for o in outpoints if o in outputs)
