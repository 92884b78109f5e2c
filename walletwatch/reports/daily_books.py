"""The day's books: per wallet and asset opening + in - out - fees = closing, and what the chain says against it.

The books begin with the first balance a node reported, and go on by the movements of every block. A later balance of
the node is independent of them: brought to the day's end by the movements between, it is the closing, to the base unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.model import Asset, AssetId, ChainId
from walletwatch.domain.outflows import Movement
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import Balance

HIGHEST = 2**62


@dataclass(frozen=True, slots=True)
class WatchedWallet:
    """An own wallet and the assets that are booked for it."""

    name: str
    role: str
    chain: ChainId
    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True)
class DailyBook:
    """One wallet and asset over one day, base units. `received` and `sent` are net of change in each transaction, own
    wallets included. An amount that is not known is None, and `reason` says why.
    """

    wallet: str
    role: str
    asset: Asset
    received: int
    sent: int
    fees: int
    opening: int | None = None
    closing: int | None = None
    chain_balance: int | None = None
    reason: str = ""

    @property
    def difference(self) -> int | None:
        """Books minus chain: 0 when everything balances, None where one of the two is not known."""
        if self.closing is None or self.chain_balance is None:
            return None
        return self.closing - self.chain_balance


@dataclass(frozen=True, slots=True)
class Moved:
    """One movement and the height it is booked at."""

    height: int
    movement: Movement

    @property
    def net(self) -> int:
        """In - out - fee, base units, signed."""
        return self.movement.received - self.movement.sent - self.movement.fee


@dataclass(frozen=True, slots=True)
class Days:
    """A wallet's movements by block time: before the day, within it, after it."""

    before: Sequence[Moved] = ()
    within: Sequence[Moved] = ()
    after: Sequence[Moved] = ()


def book_of(wallet: WatchedWallet, asset: Asset, days: Days, balances: Sequence[Balance]) -> DailyBook:
    """The book of one wallet and asset; `balances` are those that nodes reported, oldest first."""
    received, sent, fees = (
        sum(part) for part in zip((0, 0, 0), *map(_net_of_change, (m.movement for m in days.within)), strict=True)
    )
    if not balances:
        reason = "no node has told what this wallet holds"
        return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, reason=reason)
    base = balances[0]
    opening = base.amount + _net_above(days.before, base) - _net_up_to([*days.within, *days.after], base)
    closing = opening + received - sent - fees
    proof = _proof(days, balances)
    if proof is None:
        reason = f"the node told once only, at block {base.at.height}, where these books begin"
        return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, opening, closing, reason=reason)
    chain = proof.amount - _net_up_to(days.after, proof) + _net_above([*days.before, *days.within], proof)
    reason = f"told by the node at block {proof.at.height}"
    return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, opening, closing, chain, reason)


def _net_of_change(moved: Movement) -> tuple[int, int, int]:
    """(in, out, fee) of one transaction: what comes back in it is neither in nor out."""
    back = min(moved.received, moved.sent)
    return moved.received - back, moved.sent - back, moved.fee


def _proof(days: Days, balances: Sequence[Balance]) -> Balance | None:
    """The node's word nearest after the day, else its last one; never the one the books begin with."""
    last = max((m.height for m in (*days.before, *days.within)), default=0)
    later = [balance for balance in balances[1:] if balance.at.height >= last]
    return later[0] if later else (balances[-1] if len(balances) > 1 else None)


def _net_above(moved: Sequence[Moved], balance: Balance) -> int:
    return sum(m.net for m in moved if m.height > balance.at.height)


def _net_up_to(moved: Sequence[Moved], balance: Balance) -> int:
    return sum(m.net for m in moved if m.height <= balance.at.height)


def read_books(
    unit: UnitOfWork, wallets: Sequence[WatchedWallet], since: datetime, until: datetime
) -> tuple[DailyBook, ...]:
    """The books of [since, until) by block time, in the order of configuration."""
    known = {(w.name, a.id): unit.ledger.balances(w.chain, w.name, a.id) for w in wallets for a in w.assets}
    heights = [balance.at.height for balances in known.values() for balance in balances]
    lowest, highest = min(heights, default=HIGHEST), max(heights, default=-1)
    before = _gather(unit, None, since, (lowest + 1, HIGHEST))
    within = _gather(unit, since, until, None)
    after = _gather(unit, until, None, (0, highest))
    return tuple(
        book_of(w, a, Days(*(part.get((w.name, a.id), ()) for part in (before, within, after))), known[w.name, a.id])
        for w in wallets
        for a in w.assets
    )


def _gather(
    unit: UnitOfWork, since: datetime | None, until: datetime | None, heights: tuple[int, int] | None
) -> dict[tuple[str, AssetId], list[Moved]]:
    found: dict[tuple[str, AssetId], list[Moved]] = {}
    for _chain, wallet, _asset, height, movement in unit.ledger.movements(since=since, until=until, heights=heights):
        found.setdefault((wallet, movement.asset), []).append(Moved(height, movement))
    return found
