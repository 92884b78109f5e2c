"""What nodes say the wallets hold: the opening of the books, and later the proof that they balance."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from chains.model import AssetId, BlockRef, Outpoint, TxOutput
from chains.source import ChainSource
from walletwatch.domain.wallets import Perimeter
from walletwatch.pipeline.deployments import WatchedChain
from walletwatch.store import UnitOfWork
from walletwatch.store.ledgers import Balance
from walletwatch.tracing.tracers import UTXO_NAMESPACES

MAX_ACCOUNTS = 1_000
"""A node is asked for one balance at a time; a wallet of more accounts is left to the block-by-block books."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the wallets held after block `at`; `outputs` are their unspent outputs on coin chains."""

    at: BlockRef
    amounts: dict[tuple[str, AssetId], int]
    outputs: dict[Outpoint, TxOutput]


def read_holdings(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    """Ask the node what every wallet holds. On coin chains a node only knows its tip: None if that is not `at`.

    Raises Unsupported where the node keeps no such state, and the other errors of `chains.errors`.
    """
    if watched.chain.namespace in UTXO_NAMESPACES:
        return _read_outputs(source, watched, at)
    amounts: dict[tuple[str, AssetId], int] = {}
    for wallet in watched.perimeter.names():
        addresses = watched.perimeter.addresses_of(wallet)
        if len(addresses) > MAX_ACCOUNTS:
            continue
        for asset in (watched.native, *watched.tokens):
            amounts[wallet, asset.id] = sum(source.balance(address, asset.id, at) for address in addresses)
    return Holdings(at, amounts, {})


def _read_outputs(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    perimeter = watched.perimeter
    unspent = source.unspent({a for name in perimeter.names() for a in perimeter.addresses_of(name)})
    if unspent.at != at:
        return None
    amounts: dict[tuple[str, AssetId], int] = defaultdict(int)
    for name in perimeter.names():
        amounts[name, watched.native.id] = 0
    for output in unspent.outputs.values():
        wallet = perimeter.wallet_of(output.address)
        if wallet is not None:
            amounts[wallet.name, watched.native.id] += output.value
    return Holdings(at, dict(amounts), dict(unspent.outputs))


def keep_holdings(unit: UnitOfWork, watched: WatchedChain, holdings: Holdings) -> None:
    """Keep what the node said; on coin chains every unspent output of ours is known from here on."""
    for (wallet, asset), amount in holdings.amounts.items():
        unit.ledger.save_balance(watched.chain, Balance(wallet, asset, holdings.at, amount), unit.now)
    if watched.chain.namespace in UTXO_NAMESPACES:
        for outpoint, output in holdings.outputs.items():
            unit.ledger.add_outputs(watched.chain, holdings.at.height, outpoint.txid, (output,))
        unit.places.set_complete(watched.chain, addresses_digest(watched.perimeter))


def addresses_digest(perimeter: Perimeter) -> str:
    """SHA-256 over the sorted keys: another configuration has other outputs to know."""
    digest = hashlib.sha256()
    for key in sorted(perimeter.keys()):
        digest.update(len(key).to_bytes(4, "big") + key)
    return digest.hexdigest()
