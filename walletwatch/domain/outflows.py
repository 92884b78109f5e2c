"""Outflows: what left the perimeter, net of change and internal transfers (CONTRACT §3 "Keys and edges")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockRef,
    ChainId,
    ChainTransaction,
    TxId,
    UtxoTransaction,
)
from walletwatch.domain.findings import outflow_id
from walletwatch.domain.wallets import Perimeter
from walletwatch.domain.withdrawals import Payment


class OutflowState(StrEnum):
    """The state of an outflow: `seen → included → final`, or `orphaned`, or `replaced`."""

    SEEN = "seen"
    INCLUDED = "included"
    FINAL = "final"
    ORPHANED = "orphaned"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Outflow:
    """Value of one asset that left one wallet for outside the perimeter in one transaction.

    `amount` is in base units, without fee; if a transaction spends several own wallets, each bears its share. `fee`
    (native base units) is set on the first outflow of a transaction and 0 on the others.
    `payments` are all the transaction's payments to outside in this asset. `foreign_inputs`: others paid in too, so
    that payments may exceed `amount`. `traced` False: inner calls were not visible, destinations are first receivers.
    """

    id: str
    chain: ChainId
    tx: TxId
    state: OutflowState
    wallet: str
    asset: AssetId
    amount: int
    payments: tuple[Payment, ...]
    fee: int
    first_seen: datetime
    block: BlockRef | None = None
    block_time: datetime | None = None
    family: TxId = b""
    """The first seen of the transactions that replace each other; the own id if there is no other."""
    foreign_inputs: bool = False
    traced: bool = True

    @property
    def broadcast_at(self) -> datetime:
        """The earliest known time: first sight or block time."""
        return self.first_seen if self.block_time is None else min(self.first_seen, self.block_time)


def by_asset(outflows: Iterable[Outflow]) -> list[list[Outflow]]:
    """The outflows of one transaction, grouped by asset, in the order of asset ids."""
    grouped: dict[AssetId, list[Outflow]] = defaultdict(list)
    for outflow in outflows:
        grouped[outflow.asset].append(outflow)
    return [grouped[asset] for asset in sorted(grouped)]


@dataclass(frozen=True, slots=True)
class Movement:
    """The change of one own wallet in one asset by one transaction, for the books: base units received, sent (own
    wallets included as receivers) and fee paid.
    """

    wallet: str
    asset: AssetId
    received: int
    sent: int
    fee: int


@dataclass(frozen=True, slots=True)
class NetResult:
    """The net effect of a transaction on the perimeter."""

    losses: tuple[tuple[str, AssetId, int, tuple[Payment, ...]], ...]
    """(wallet, asset, amount to outside without fee, payments), in a stable order."""
    movements: tuple[Movement, ...]
    fee: int
    """The fee paid by the perimeter, in native base units."""
    foreign_inputs: bool = False
    traced: bool = True


def share_out(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Split `total` in proportion to `weights` by largest remainder (ties: name order); the shares add up exactly."""
    whole = sum(weights.values())
    if whole == 0:
        return dict.fromkeys(weights, 0)
    shares = {name: total * weight // whole for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda n: (-(total * weights[n] % whole), n))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def net(tx: ChainTransaction, perimeter: Perimeter, native: AssetId) -> NetResult:
    """The net effect of `tx` on the perimeter."""
    if isinstance(tx, UtxoTransaction):
        return _net_utxo(tx, perimeter, native)
    return _net_account(tx, perimeter, native)


def _net_utxo(tx: UtxoTransaction, perimeter: Perimeter, native: AssetId) -> NetResult:
    spent: dict[str, int] = defaultdict(int)
    gained: dict[str, int] = defaultdict(int)
    for tx_input in tx.inputs:
        wallet = perimeter.wallet_of(tx_input.address)
        if wallet is not None and tx_input.value is not None:
            spent[wallet.name] += tx_input.value
    outside: list[Payment] = []
    for output in tx.outputs:
        wallet = perimeter.wallet_of(output.address)
        if wallet is not None:
            gained[wallet.name] += output.value
        elif output.value:
            outside.append(Payment(output.vout, output.address, output.value))
    own_in, own_out = sum(spent.values()), sum(gained.values())
    foreign = any(perimeter.wallet_of(i.address) is None for i in tx.inputs)
    fees = share_out(_own_fee(tx, own_in, own_out, foreign), spent)
    # Each wallet's own loss without fee; the total loss to outside is shared in proportion to it.
    lost = {name: max(0, value - gained.get(name, 0) - fees[name]) for name, value in spent.items()}
    to_outside = max(0, own_in - own_out - sum(fees.values()))
    shares = share_out(to_outside, lost)
    movements = tuple(
        Movement(name, native, gained.get(name, 0), spent.get(name, 0) - fees.get(name, 0), fees.get(name, 0))
        for name in sorted(spent.keys() | gained.keys())
    )
    losses = tuple((name, native, shares[name], tuple(outside)) for name in sorted(shares) if shares[name])
    return NetResult(losses, movements, sum(fees.values()), foreign_inputs=bool(spent) and foreign)


def _own_fee(tx: UtxoTransaction, own_in: int, own_out: int, foreign: bool) -> int:
    """Our part of the fee: all of it if all inputs are ours, else in proportion to our inputs; at most what we lost."""
    if not own_in:
        return 0
    if not foreign:
        return own_in - sum(o.value for o in tx.outputs)
    total_in = sum(i.value or 0 for i in tx.inputs)
    if tx.fee is None or not total_in:
        return 0
    return min(tx.fee * own_in // total_in, max(0, own_in - own_out))


def _net_account(tx: AccountTransaction, perimeter: Perimeter, native: AssetId) -> NetResult:
    balance: dict[tuple[AssetId, bytes], int] = defaultdict(int)
    seen: dict[bytes, Address] = {}
    received: dict[tuple[str, AssetId], int] = defaultdict(int)
    sent: dict[tuple[str, AssetId], int] = defaultdict(int)
    for transfer in tx.transfers:
        for address, sign, book in ((transfer.sender, -1, sent), (transfer.receiver, 1, received)):
            balance[transfer.asset, address.key] += sign * transfer.amount
            seen[address.key] = address
            wallet = perimeter.wallet_of(address)
            if wallet is not None:
                book[wallet.name, transfer.asset] += transfer.amount
    payer = perimeter.wallet_of(tx.sender)
    fee = tx.fee if payer is not None else 0
    losses = _account_losses(balance, seen, perimeter)
    keys = set(received) | set(sent) | ({(payer.name, native)} if payer is not None and fee else set())
    movements = tuple(
        Movement(
            name,
            asset,
            received.get((name, asset), 0),
            sent.get((name, asset), 0),
            fee if payer is not None and (name, asset) == (payer.name, native) else 0,
        )
        for name, asset in sorted(keys)
    )
    return NetResult(losses, movements, fee, traced=tx.traced)


def _account_losses(
    balance: Mapping[tuple[AssetId, bytes], int], seen: Mapping[bytes, Address], perimeter: Perimeter
) -> tuple[tuple[str, AssetId, int, tuple[Payment, ...]], ...]:
    """Losses by net change per account and asset; accounts outside with a net gain are the destinations."""
    losses: list[tuple[str, AssetId, int, tuple[Payment, ...]]] = []
    for asset in sorted({asset for asset, _ in balance}):
        by_wallet: dict[str, int] = defaultdict(int)
        gainers: list[tuple[Address, int]] = []
        for (of, key), change in balance.items():
            if of != asset:
                continue
            wallet = perimeter.wallet_of(seen[key])
            if wallet is not None:
                by_wallet[wallet.name] += change
            elif change > 0:
                gainers.append((seen[key], change))
        joint = -sum(by_wallet.values())
        if joint <= 0:
            continue
        payments = tuple(Payment(n, address, amount) for n, (address, amount) in enumerate(gainers))
        shares = share_out(joint, {name: -change for name, change in by_wallet.items() if change < 0})
        losses += [(name, asset, share, payments) for name, share in sorted(shares.items()) if share]
    return tuple(losses)


def outflows_of(
    tx: ChainTransaction,
    result: NetResult,
    chain: ChainId,
    *,
    state: OutflowState,
    first_seen: datetime,
    block: BlockRef | None = None,
    block_time: datetime | None = None,
    family: TxId = b"",
) -> tuple[Outflow, ...]:
    """The outflows of a netted transaction; the first one carries the fee."""
    return tuple(
        Outflow(
            id=outflow_id(chain, tx.txid, wallet, asset),
            chain=chain,
            tx=tx.txid,
            state=state,
            wallet=wallet,
            asset=asset,
            amount=amount,
            payments=payments,
            fee=result.fee if n == 0 else 0,
            first_seen=first_seen,
            block=block,
            block_time=block_time,
            family=family or tx.txid,
            foreign_inputs=result.foreign_inputs,
            traced=result.traced,
        )
        for n, (wallet, asset, amount, payments) in enumerate(result.losses)
    )


__all__ = ["Movement", "NetResult", "Outflow", "OutflowState", "net", "outflows_of", "share_out"]
