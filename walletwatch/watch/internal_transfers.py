"""What a transaction moved between own wallets."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from chains.model import Address, AssetId, ChainId, ChainTransaction, TxId, UtxoTransaction
from walletwatch.domain.outflows import share_out
from walletwatch.domain.wallets import Perimeter
from walletwatch.domain.withdrawals import Payment
from walletwatch.rules.facts import InternalTransfer

Flow = tuple[dict[str, int], list[tuple[Address, int, int]]]
"""Base units that each own wallet lost, and (own address, amount, ordinal) of what other own wallets gained."""


def internal_transfers_of(
    tx: ChainTransaction, perimeter: Perimeter, native: AssetId, chain: ChainId, at: datetime
) -> dict[AssetId, tuple[InternalTransfer, ...]]:
    """The moves between own wallets in `tx`, one a losing wallet. Change and moves within a wallet are none."""
    flows = {native: _flow_utxo(tx, perimeter)} if isinstance(tx, UtxoTransaction) else _flows_account(tx, perimeter)
    return {asset: _moves(flow, perimeter, chain, tx.txid, asset, at) for asset, flow in flows.items() if all(flow)}


def _moves(
    flow: Flow, perimeter: Perimeter, chain: ChainId, tx: TxId, asset: AssetId, at: datetime
) -> tuple[InternalTransfer, ...]:
    lost, gained = flow
    payments = tuple(Payment(ordinal, address, amount) for address, amount, ordinal in gained)
    owners = (perimeter.wallet_of(p.address) for p in payments)
    reached = tuple(dict.fromkeys(w.name for w in owners if w is not None))
    shares = share_out(sum(p.amount for p in payments), lost)
    return tuple(
        InternalTransfer(chain, tx, name, at, asset, share, reached, payments)
        for name, share in sorted(shares.items())
        if share
    )


def _flow_utxo(tx: UtxoTransaction, perimeter: Perimeter) -> Flow:
    change: dict[str, int] = defaultdict(int)
    spenders: set[str] = set()
    for coin in tx.inputs:
        wallet = perimeter.wallet_of(coin.address)
        if wallet is not None:
            spenders.add(wallet.name)
            change[wallet.name] -= coin.value or 0
    outputs = [(o, w.name) for o in tx.outputs if (w := perimeter.wallet_of(o.address)) is not None and o.value]
    for output, name in outputs:
        change[name] += output.value
    gained = [(o.address, o.value, o.vout) for o, name in outputs if name not in spenders]
    for name in sorted(spenders):
        # A wallet that spends and gains: which of its outputs are change cannot be told, so the gain is one payment.
        own = [o for o, owner in outputs if owner == name]
        if change[name] > 0:
            gained.append((own[0].address, change[name], own[0].vout))
    return {name: -units for name, units in change.items() if units < 0}, sorted(gained, key=lambda g: g[2])


def _flows_account(tx: ChainTransaction, perimeter: Perimeter) -> dict[AssetId, Flow]:
    if isinstance(tx, UtxoTransaction):
        return {}
    change: dict[AssetId, dict[Address, int]] = defaultdict(lambda: defaultdict(int))
    for transfer in tx.transfers:
        change[transfer.asset][transfer.sender] -= transfer.amount
        change[transfer.asset][transfer.receiver] += transfer.amount
    return {asset: _flow_account(by_address, perimeter) for asset, by_address in sorted(change.items())}


def _flow_account(by_address: dict[Address, int], perimeter: Perimeter) -> Flow:
    by_wallet: dict[str, int] = defaultdict(int)
    outside = 0
    for address, units in by_address.items():
        wallet = perimeter.wallet_of(address)
        if wallet is None:
            outside += units > 0
        else:
            by_wallet[wallet.name] += units
    gained: list[tuple[Address, int, int]] = []
    for address, units in by_address.items():
        wallet = perimeter.wallet_of(address)
        if wallet is not None and units > 0 and by_wallet[wallet.name] > 0:
            # Numbered after the receivers outside, which an outflow of the same transaction counts from 0.
            gained.append((address, units, outside + len(gained)))
    return {name: -units for name, units in by_wallet.items() if units < 0}, gained
