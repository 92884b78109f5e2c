"""What left the perimeter in a transaction, by the contract's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from oracle.lives import Life
from oracle.worlds import BTC, CoinTx, Move, World


@dataclass(frozen=True)
class Payment:
    to: str
    amount: int


@dataclass(frozen=True)
class Loss:
    """`wallets` lost `asset` to outside; `views` are the ways in which it may be read as payments. `fee` in `asset`."""

    asset: str
    wallets: tuple[str, ...]
    views: tuple[tuple[Payment, ...], ...]
    fee: int


def losses_of(world: World, life: Life) -> tuple[Loss, ...]:
    """What each asset's payments are.

    "Limits count an outflow's `amount`: value to outside, per (tx, wallet, asset), without fee; a transaction that
    spends several own wallets is attributed to each by what it lost net." "The fee alone is no outflow."
    """
    if isinstance(life.tx, CoinTx):
        return _coin_losses(world, life.tx)
    return _account_losses(world, life)


def _coin_losses(world: World, tx: CoinTx) -> tuple[Loss, ...]:
    net: dict[str, int] = defaultdict(int)
    for _, address, value in tx.coins:
        wallet = world.wallet_of(address)
        if wallet is not None:
            net[wallet.name] -= value
    paid = []
    for address, value in tx.outputs:
        wallet = world.wallet_of(address)
        if wallet is None:
            paid.append(Payment(address, value))
        else:
            net[wallet.name] += value
    losers = tuple(sorted(name for name, change in net.items() if change < 0))
    if not paid or not losers:
        return ()
    return (Loss(BTC, losers, (tuple(paid),), tx.fee),)


def _account_losses(world: World, life: Life) -> tuple[Loss, ...]:
    moves = life.moves()
    found = []
    for asset in sorted({move.asset for move in moves}):
        some = [move for move in moves if move.asset == asset]
        net: dict[str, int] = defaultdict(int)
        for move in some:
            for address, change in ((move.sender, -move.amount), (move.receiver, move.amount)):
                wallet = world.wallet_of(address)
                if wallet is not None:
                    net[wallet.name] += change
        losers = tuple(sorted(name for name, change in net.items() if change < 0))
        if losers and sum(net.values()) < 0:
            own_fee = life.tx.fee if asset == "ETH" else 0
            found.append(Loss(asset, losers, tuple(_views(world, some)), own_fee))
    return tuple(found)


def _views(world: World, moves: list[Move]) -> Iterator[tuple[Payment, ...]]:
    """Every way to read movements as payments.

    "Destinations are where value came to rest: net change per account and asset over the transaction …, else the first
    receiver; a request is fitted by the first receiver *or* the resting place, and each transfer to a payee may pay
    its own request."
    """
    out = [m for m in moves if world.wallet_of(m.sender) is not None and world.wallet_of(m.receiver) is None]
    options = []
    for move in out:
        onward = [m for m in moves if m.sender == move.receiver]
        first = (Payment(move.receiver, move.amount),)
        rest = tuple(Payment(m.receiver, m.amount) for m in onward)
        options.append([rest, first] if rest and sum(p.amount for p in rest) == move.amount else [first])
    seen = set()
    for chosen in product(*options):
        parts = tuple(payment for some in chosen for payment in some)
        for view in (parts, _merged(parts)):
            if view not in seen:
                seen.add(view)
                yield view


def _merged(parts: tuple[Payment, ...]) -> tuple[Payment, ...]:
    total: dict[str, int] = defaultdict(int)
    for payment in parts:
        total[payment.to] += payment.amount
    return tuple(Payment(to, amount) for to, amount in total.items())
