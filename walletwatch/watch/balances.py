"""What nodes say the wallets hold: the opening of the books, and later the proof that they balance."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

from chains.errors import RpcError, Unsupported
from chains.model import AssetId, BlockRef, Outpoint, TxOutput
from chains.registry import family_of
from chains.source import ChainSource, Unspent
from walletwatch.deployment import WatchedChain
from walletwatch.domain.wallets import Perimeter
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import Balance

MAX_ACCOUNTS = 20_000
"""A node answers one balance a call: anvil 120,000 a second in batches of a hundred. A wallet of more accounts is left
to the block-by-block books, and that is reported once a day.
"""

Pair = tuple[str, AssetId]
"""A wallet and an asset: one book."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the wallets held after block `at`; `outputs` are their unspent outputs on coin chains, `unread` says why a
    book could not be read.
    """

    at: BlockRef
    amounts: dict[Pair, int]
    outputs: dict[Outpoint, TxOutput]
    unread: dict[Pair, str] = field(default_factory=dict)


def read_holdings(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    """Ask the node what every wallet holds. On coin chains a node only knows its tip: None if that is not `at`.

    A token that cannot be read is left out and named; it hides no other. Raises Unsupported on coin chains where the
    node keeps no such state, and the transient errors of `chains.errors`.
    """
    if family_of(watched.chain).keeps_coins:
        return _read_outputs(source, watched, at)
    amounts: dict[Pair, int] = {}
    unread: dict[Pair, str] = {}
    for wallet in watched.perimeter.names():
        addresses = watched.perimeter.addresses_of(wallet)
        for asset in (watched.native, *watched.tokens):
            if len(addresses) > MAX_ACCOUNTS:
                unread[wallet, asset.id] = (
                    f"has {len(addresses):,} accounts, more than the {MAX_ACCOUNTS:,} that are read"
                )
                continue
            try:
                amounts[wallet, asset.id] = sum(source.balances(addresses, asset.id, at))
            except (Unsupported, RpcError) as error:
                unread[wallet, asset.id] = str(error)
    return Holdings(at, amounts, {}, unread)


def _read_outputs(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    unspent = source.unspent(set(watched.perimeter.addresses.values()))
    return holdings_of(watched, unspent) if unspent.at == at else None


def holdings_of(watched: WatchedChain, unspent: Unspent) -> Holdings:
    """What the wallets of a coin chain hold, by all their unspent outputs."""
    perimeter = watched.perimeter
    amounts: dict[Pair, int] = defaultdict(int)
    for name in perimeter.names():
        amounts[name, watched.native.id] = 0
    for output in unspent.outputs.values():
        wallet = perimeter.wallet_of(output.address)
        if wallet is not None:
            amounts[wallet.name, watched.native.id] += output.value
    return Holdings(unspent.at, dict(amounts), dict(unspent.outputs))


def keep_holdings(unit: UnitOfWork, watched: WatchedChain, holdings: Holdings) -> None:
    """Keep what the node said; on coin chains every unspent output of ours is known from here on."""
    for (wallet, asset), amount in holdings.amounts.items():
        unit.ledger.save_balance(watched.chain, Balance(wallet, asset, holdings.at, amount), unit.now)
    for outpoint, output in holdings.outputs.items():
        unit.ledger.add_outputs(watched.chain, holdings.at.height, outpoint.txid, (output,))
    unit.chain_state.set_complete(watched.chain, books_digest(watched))


def books_digest(watched: WatchedChain) -> str:
    """What the books are of: with other addresses or, on account chains, other assets they have to be opened anew."""
    if family_of(watched.chain).keeps_coins:
        return addresses_digest(watched.perimeter)
    digest = hashlib.sha256()
    for wallet in watched.perimeter.names():
        keys = sorted(a.key for a in watched.perimeter.addresses_of(wallet))
        if len(keys) <= MAX_ACCOUNTS:
            digest.update(f"{len(keys)} {wallet}\n".encode() + b"".join(keys))
    for asset in watched.tokens:
        digest.update(f"{asset.id}\n".encode())
    return digest.hexdigest()


def addresses_digest(perimeter: Perimeter) -> str:
    """SHA-256 over the sorted keys: another configuration has other outputs to know."""
    return perimeter.digest()
