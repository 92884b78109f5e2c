"""Following taint on an account chain: a fold over transfers, with lots per asset and address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chains.model import AccountTransaction, Address, AssetId, Transfer
from walletwatch.domain.cases import CONSERVING_MODELS, Case, Opening, TaintModel
from walletwatch.tracing.coinjoins import Deposit, find_deposit
from walletwatch.tracing.flows import (
    THRESHOLD,
    ChainMoment,
    Flow,
    Journal,
    LabelLookup,
    Ledger,
    Rest,
    Stop,
    place_of,
    stop_at_label,
    stop_at_limits,
)
from walletwatch.tracing.models import Lots, Purse, clean_lot, tainted_lot, tainted_of

OpeningLookup = Callable[[Address, AssetId, int], int | None]
"""The balance of an asset at an address before the block at a height, in base units; None if unknown."""

MODELS = (*CONSERVING_MODELS, TaintModel.POISON)
Spot = tuple[AssetId, bytes]
"""An asset at an address key."""
OpeningKey = tuple[AssetId, bytes, int]


@dataclass(slots=True)
class AccountHoldings:
    """The state of one model: a purse for every followed spot, and the hop at which taint arrived there."""

    purses: dict[Spot, Purse] = field(default_factory=dict)
    hops: dict[Spot, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A transfer at its receiver, with its tainted lots and its hop by model."""

    transfer: Transfer
    moment: ChainMoment
    lots: dict[TaintModel, Lots]
    hops: dict[TaintModel, int]
    label_stop: Stop | None

    @property
    def spot(self) -> Spot:
        return self.transfer.asset, self.transfer.receiver.key


@dataclass(slots=True)
class AccountFold:
    """State of one case on an account chain. `spots` are followed; `openings` are all balances looked up so far,
    `used_openings` the keys of those that the last block needed.
    """

    case: Case
    labels: LabelLookup
    opening: OpeningLookup
    native: AssetId
    openings: dict[OpeningKey, Opening]
    books: dict[TaintModel, AccountHoldings] = field(
        default_factory=lambda: {model: AccountHoldings() for model in MODELS}
    )
    spots: dict[Spot, Address] = field(default_factory=dict)
    gaps: dict[str, None] = field(default_factory=dict)
    seen_seeds: dict[bytes, None] = field(default_factory=dict)
    block_so_far: list[AccountTransaction] = field(default_factory=list)
    used_openings: list[OpeningKey] = field(default_factory=list)
    touched: dict[Spot, ChainMoment] = field(default_factory=dict)
    seeds: dict[bytes, set[int]] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        for seed in self.case.seeds:
            self.seeds.setdefault(seed.tx, set()).add(seed.ordinal)

    def begin(self) -> None:
        """Begin a block: changes from here on can be undone, except for openings, which are facts."""
        self.journal = Journal(book.ledger for book in self.books.values())
        self._forget_block()

    def undo(self) -> None:
        """Undo the changes since `begin`."""
        self.journal.undo()
        self._forget_block()

    def _forget_block(self) -> None:
        self.block_so_far.clear()
        self.used_openings.clear()
        self.touched.clear()

    def concerns(self, tx: AccountTransaction) -> bool:
        """Whether `tx` moves a followed asset of a followed address, or is a seed."""
        return tx.txid in self.seeds or touches(tx, self.spots, self.native)

    def advance(self, tx: AccountTransaction, moment: ChainMoment) -> None:
        """Fold the next transaction of the block: its transfers in order, then its gas."""
        if self.concerns(tx):
            seeds = self.seeds.get(tx.txid, set())
            if seeds:
                self.journal.put(self.seen_seeds, tx.txid, None)
            if not tx.traced:
                self.journal.put(self.gaps, f"inner calls of {tx.txid.hex()} were not visible", None)
            deposit = find_deposit(tx)
            for transfer in in_order(tx):
                self._move(tx, transfer, deposit, moment, seeded=transfer.ordinal in seeds)
            self._burn_gas(tx, moment)
        self.block_so_far.append(tx)

    def _burn_gas(self, tx: AccountTransaction, moment: ChainMoment) -> None:
        spot = (self.native, tx.sender.key)
        if spot in self.spots:
            for book in self.books.values():
                burnt, left = book.purses[spot].take(tx.fee)
                self._set_purse(book, spot, left, moment)
                book.ledger.add_fee(self.native, tainted_of(burnt))

    def _set_purse(self, book: AccountHoldings, spot: Spot, purse: Purse, moment: ChainMoment) -> None:
        self.journal.put(book.purses, spot, purse)
        self.touched[spot] = moment

    def _move(
        self, tx: AccountTransaction, transfer: Transfer, deposit: Deposit | None, moment: ChainMoment, *, seeded: bool
    ) -> None:
        origin = (transfer.asset, transfer.sender.key)
        lots: dict[TaintModel, Lots] = {}
        hops: dict[TaintModel, int] = {}
        for model, book in self.books.items():
            lots[model] = clean_lot(transfer.amount)
            if origin in self.spots:
                lots[model], left = book.purses[origin].take(transfer.amount)
                self._set_purse(book, origin, left, moment)
            hops[model] = 1 if seeded else book.hops.get(origin, 0) + 1
            if seeded:
                book.ledger.add_stolen(transfer.asset, transfer.amount - tainted_of(lots[model]))
                lots[model] = tainted_lot(transfer.amount)
        onward = deposit.onward if deposit is not None and deposit.ordinal == transfer.ordinal else None
        label_stop = stop_at_label(self.labels(self.case.chain, transfer.receiver, moment.time), onward)
        self._arrive(tx, _Arrival(transfer, moment, lots, hops, label_stop))

    def _arrive(self, tx: AccountTransaction, arrival: _Arrival) -> None:
        """Follow the arrived value or let it rest, by each model's own decision."""
        stops = self._stops_of(arrival)
        goes_on = any(stop is None and tainted_of(arrival.lots[model]) for model, stop in stops.items())
        if goes_on and arrival.spot not in self.spots:
            self._follow(tx, arrival)
        for model, stop in stops.items():
            self._settle(model, arrival, stop)

    def _stops_of(self, arrival: _Arrival) -> dict[TaintModel, Stop | None]:
        """By model, why the value is not followed, or None to follow it. Value that joins taint is always followed."""
        peak = max(tainted_of(arrival.lots[model]) for model in CONSERVING_MODELS)
        threshold = self.case.options.threshold(arrival.transfer.asset)
        stops: dict[TaintModel, Stop | None] = {}
        for model, book in self.books.items():
            purse = book.purses.get(arrival.spot)
            stops[model] = arrival.label_stop
            if arrival.label_stop is None and not (purse is not None and purse.tainted):
                measure = peak if model is TaintModel.POISON else tainted_of(arrival.lots[model])
                stops[model] = stop_at_limits(self.case.options, threshold, measure, arrival.hops[model])
        return stops

    def _settle(self, model: TaintModel, arrival: _Arrival, stop: Stop | None) -> None:
        book, transfer, hop = self.books[model], arrival.transfer, arrival.hops[model]
        tainted = tainted_of(arrival.lots[model])
        target = place_of(transfer.receiver)
        if tainted:
            source = place_of(transfer.sender)
            flow = Flow(source, target, arrival.moment, transfer.asset, transfer.amount, tainted, hop)
            book.ledger.flows.append(flow)
            if stop is not None:
                book.ledger.rests.append(Rest(target, stop, arrival.moment, transfer.asset, tainted))
        if arrival.spot not in self.spots:
            return
        # Value that rests here by this model counts as clean, if another model follows the address.
        lots = clean_lot(transfer.amount) if stop is not None else arrival.lots[model]
        self._set_purse(book, arrival.spot, book.purses[arrival.spot].put(lots), arrival.moment)
        if tainted and stop is None:
            self.journal.put(book.hops, arrival.spot, min(hop, book.hops.get(arrival.spot, hop)))

    def _follow(self, tx: AccountTransaction, arrival: _Arrival) -> None:
        """Begin a purse in every model. The balance before, including changes earlier in this block, is clean."""
        address, asset, height = arrival.transfer.receiver, arrival.transfer.asset, arrival.moment.block.height
        key = (asset, address.key, height)
        if key not in self.openings:
            self.openings[key] = Opening(asset, address, height, self.opening(address, asset, height))
        self.used_openings.append(key)
        amount = self.openings[key].amount
        if amount is None:
            self.journal.put(
                self.gaps, f"balance of {address.text} before block {height} is unknown, taken as 0 ({asset})", None
            )
        earlier = [t for t in in_order(tx) if t.ordinal < arrival.transfer.ordinal]
        since = self._change_in_block(arrival.spot) + _change(earlier, arrival.spot)
        if arrival.transfer.sender.key == address.key:
            since -= arrival.transfer.amount  # a payment to oneself has left before it arrives
        self.journal.put(self.spots, arrival.spot, address)
        for model, book in self.books.items():
            purse = Purse(model, clean_lot(max(0, (amount or 0) + since)))
            self._set_purse(book, arrival.spot, purse, arrival.moment)

    def _change_in_block(self, spot: Spot) -> int:
        """The balance change of a spot that was not followed yet, by the block's earlier transactions."""
        transfers = sum(_change(tx.transfers, spot) for tx in self.block_so_far)
        gas = sum(tx.fee for tx in self.block_so_far if (self.native, tx.sender.key) == spot)
        return transfers - gas

    def leave_clean(self) -> None:
        """After a block, stop following the spots without taint by any conserving model.

        Otherwise a router that only passed value on within a transaction would be watched forever.
        """
        for spot, moment in sorted(self.touched.items(), key=lambda item: item[0]):
            address = self.spots[spot]
            if any(self.books[model].purses[spot].tainted for model in CONSERVING_MODELS):
                continue
            poisoned = self.books[TaintModel.POISON].purses[spot].tainted
            if poisoned:
                rest = Rest(place_of(address), Stop(THRESHOLD), moment, spot[0], poisoned)
                self.books[TaintModel.POISON].ledger.rests.append(rest)
            self.journal.drop(self.spots, spot)
            for book in self.books.values():
                self.journal.drop(book.purses, spot)
                self.journal.drop(book.hops, spot)


def in_order(tx: AccountTransaction) -> list[Transfer]:
    """The transfers with a non-zero amount, in order of execution."""
    return sorted((t for t in tx.transfers if t.amount), key=lambda t: t.ordinal)


def touches(tx: AccountTransaction, spots: Iterable[Spot], native: AssetId) -> bool:
    """Whether `tx` moves an asset at one of `spots` (a dict or set), or pays gas there."""
    return (native, tx.sender.key) in spots or any(
        (t.asset, t.sender.key) in spots or (t.asset, t.receiver.key) in spots for t in tx.transfers
    )


def _change(transfers: Iterable[Transfer], spot: Spot) -> int:
    """The net change of `spot` by `transfers`, in base units."""
    came = sum(t.amount for t in transfers if (t.asset, t.receiver.key) == spot)
    return came - sum(t.amount for t in transfers if (t.asset, t.sender.key) == spot)
