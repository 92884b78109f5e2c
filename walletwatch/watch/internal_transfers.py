"""Moves between own wallets: what they are, which requests ask for them, and what the rules say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from chains.model import Address, AssetId, ChainId, ChainTransaction, TxId, UtxoTransaction
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import share_out
from walletwatch.domain.prices import Unknown
from walletwatch.domain.wallets import Perimeter
from walletwatch.domain.withdrawals import MatchResult, Payment
from walletwatch.rules.facts import InternalTransfer
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import StoredTransaction
from walletwatch.watch.approval_service import spending_of
from walletwatch.watch.judging import Judge

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


# --- judging ----------------------------------------------------------------------------------------------------------


def judge_internal_transfers(
    unit: UnitOfWork, judge: Judge, stored: StoredTransaction, payees: PayeeIndex
) -> list[Finding]:
    """Match and judge what an included transaction moved between own wallets; the new findings."""
    return [f for moves in _moves_of(judge, stored).values() for f in _judge(unit, judge, stored, moves, payees)]


def judge_internal_transfers_again(unit: UnitOfWork, judge: Judge, chain: ChainId, txid: TxId) -> None:
    """An act arrived that may explain the moves of a transaction, or take their explanation away."""
    stored = unit.ledger.transaction(chain, txid)
    if stored is None or stored.block is None:
        return
    for moves in _moves_of(judge, stored).values():
        _judge(unit, judge, stored, moves, PayeeIndex())


def _moves_of(judge: Judge, stored: StoredTransaction) -> dict[AssetId, tuple[InternalTransfer, ...]]:
    watched = judge.deployment.chains[stored.chain]
    at = stored.first_seen if stored.block_time is None else min(stored.first_seen, stored.block_time)
    return internal_transfers_of(stored.tx, watched.perimeter, watched.native.id, stored.chain, at)


def _judge(
    unit: UnitOfWork, judge: Judge, stored: StoredTransaction, moves: Sequence[InternalTransfer], payees: PayeeIndex
) -> list[Finding]:
    result = _match(unit, judge, stored, moves)
    if isinstance(result, MatchResult):
        outflows = unit.outflows.of_tx(stored.chain, stored.tx.txid)
        shared = any(o.asset == moves[0].asset for o in outflows)
        judge.approvals.allocate(unit, result, stored.family, clear=not shared)
    found: list[Finding] = []
    for move in moves:
        found += judge.judge_event(unit, move, stored.family, None, payees, result)
    return found


def _match(
    unit: UnitOfWork, judge: Judge, stored: StoredTransaction, moves: Sequence[InternalTransfer]
) -> MatchResult | Unknown:
    family = unit.ledger.family(stored.chain, stored.family) or (stored.tx.txid,)
    spending = spending_of(moves, family, [stored.first_seen], [stored.block_time])
    try:
        return judge.approvals.match_spending(unit, spending, stored.family)
    except Unknown as unknown:
        return unknown
