"""Following taint on a coin chain: a fold over transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chains.model import Address, AssetId, Outpoint, TxOutput, UtxoTransaction
from walletwatch.domain.cases import CONSERVING_MODELS, Case, TaintModel
from walletwatch.tracing.coinjoins import Deposit, find_deposit, recognise
from walletwatch.tracing.flows import (
    COINJOIN,
    Bounds,
    ChainMoment,
    Flow,
    Journal,
    LabelLookup,
    Ledger,
    Place,
    Rest,
    Stop,
    place_of,
    stop_at_label,
    stop_at_limits,
)
from walletwatch.tracing.models import CLEAN, Spans, first_units, proportional_shares, spread, tainted_units


def attribute(model: TaintModel, sources: Sequence[int], sinks: Sequence[int]) -> list[list[int]]:
    """Tainted units per sink (the fee last) and source.

    FIFO and LIFO define it exactly; the other models do not distinguish tainted units, so it is proportional.
    """
    if len(sources) == 1:
        return [[sink] for sink in sinks]
    if model is TaintModel.FIFO:
        return _in_order(sources, sinks)
    if model is TaintModel.LIFO:
        return _in_order(sources, sinks[::-1])[::-1]
    total = sum(sources)
    return [proportional_shares(sink, sources, total) for sink in sinks]


def _in_order(sources: Sequence[int], sinks: Sequence[int]) -> list[list[int]]:
    """Each sink takes from the sources in turn."""
    left = list(sources)
    at = 0
    shares: list[list[int]] = []
    for sink in sinks:
        row = [0] * len(left)
        while sink and at < len(left):
            taken = min(sink, left[at])
            row[at] += taken
            left[at] -= taken
            sink -= taken  # noqa: PLW2901 - what this sink still lacks
            at += not left[at]
        shares.append(row)
    return shares


MODELS = (*CONSERVING_MODELS, TaintModel.POISON)
"""Poison is last: it is followed only where a conserving model sees enough taint, otherwise it would never end."""


@dataclass(frozen=True, slots=True)
class Coin:
    """A followed output. `bounds` is set downstream of a CoinJoin that was followed through."""

    value: int
    address: Address
    spans: Spans
    tainted: int
    hop: int
    bounds: Bounds | None = None


@dataclass(slots=True)
class CoinBook:
    """The state of one model: its followed coins and its ledger."""

    coins: dict[Outpoint, Coin] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(slots=True)
class _SpendPlan:
    """The data of one transaction that is the same for every model."""

    tx: UtxoTransaction
    moment: ChainMoment
    seeds: frozenset[int]
    values: list[int]
    coinjoin: str
    stops: list[Stop | None]
    peaks: list[int]
    """The largest taint of each output by any conserving model."""


@dataclass(slots=True)
class CoinFold:
    """State of one case on a coin chain. `gaps` are texts for what had to be assumed."""

    case: Case
    labels: LabelLookup
    asset: AssetId
    books: dict[TaintModel, CoinBook] = field(default_factory=lambda: {model: CoinBook() for model in MODELS})
    watched: dict[Outpoint, None] = field(default_factory=dict)
    gaps: dict[str, None] = field(default_factory=dict)
    seen_seeds: dict[bytes, None] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    threshold: int = 1
    seeds: dict[bytes, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for seed in self.case.seeds:
            self.seeds.setdefault(seed.tx, set()).add(seed.ordinal)
        self.threshold = self.case.options.threshold(self.asset)

    def begin(self) -> None:
        """Begin a block: changes from here on can be undone."""
        self.journal = Journal(book.ledger for book in self.books.values())

    def undo(self) -> None:
        """Undo the changes since `begin`."""
        self.journal.undo()

    def concerns(self, tx: UtxoTransaction) -> bool:
        """Whether `tx` spends a followed coin, or is a seed."""
        return tx.txid in self.seeds or any(i.outpoint in self.watched for i in tx.inputs)

    def advance(self, tx: UtxoTransaction, moment: ChainMoment) -> None:
        """Fold a transaction that concerns the case."""
        plan = self._plan(tx, moment)
        if plan.seeds:
            self.journal.put(self.seen_seeds, tx.txid, None)
        for model in MODELS:
            self._advance(model, plan)
        for tx_input in tx.inputs:
            self.journal.drop(self.watched, tx_input.outpoint)

    def _plan(self, tx: UtxoTransaction, moment: ChainMoment) -> _SpendPlan:
        seeds = frozenset(self.seeds.get(tx.txid, ()))
        coinjoin = "" if seeds else recognise(tx)
        deposit = find_deposit(tx)
        stops = [self._stop_at(output, deposit, moment) for output in tx.outputs]
        return _SpendPlan(tx, moment, seeds, self._input_values(tx), coinjoin, stops, [0] * len(tx.outputs))

    def _stop_at(self, output: TxOutput, deposit: Deposit | None, moment: ChainMoment) -> Stop | None:
        onward = deposit.onward if deposit is not None and deposit.ordinal == output.vout else None
        return stop_at_label(self.labels(self.case.chain, output.address, moment.time), onward)

    def _input_values(self, tx: UtxoTransaction) -> list[int]:
        """The value of each input. Values that the node did not give are computed from outputs and fee, and assigned to
        the first such input.
        """
        known = [self._value_of(i.outpoint) if i.outpoint in self.watched else i.value for i in tx.inputs]
        missing = sum(o.value for o in tx.outputs) + (tx.fee or 0) - sum(v or 0 for v in known)
        values = [v or 0 for v in known]
        if None in known:
            self.journal.put(self.gaps, f"the node did not give the values of all inputs of {tx.txid.hex()}", None)
            values[known.index(None)] = max(0, missing)
            missing = min(0, missing)
        if missing > 0:
            self.journal.put(self.gaps, f"outputs of {tx.txid.hex()} are worth more than its inputs", None)
        return [*values, max(0, missing)]

    def _value_of(self, outpoint: Outpoint) -> int | None:
        return next((book.coins[outpoint].value for book in self.books.values() if outpoint in book.coins), None)

    def _advance(self, model: TaintModel, plan: _SpendPlan) -> None:
        book = self.books[model]
        spent = [self.journal.drop(book.coins, i.outpoint) for i in plan.tx.inputs]
        coins = [coin for coin in spent if coin is not None]
        if not coins and not plan.seeds:
            return
        if plan.coinjoin and not self.case.options.through_coinjoin:
            self._sink_in_coinjoin(book, plan, coins)
            return
        parts = [
            (value, coin.spans if coin is not None else CLEAN)
            for value, coin in zip(plan.values, [*spent, None], strict=True)
        ]
        taints = spread(model, parts, [o.value for o in plan.tx.outputs])
        amounts = [tainted_units(spans) for spans in taints]
        book.ledger.add_fee(self.asset, amounts[-1])
        rows = attribute(model, [coin.tainted for coin in coins], amounts)
        places = [place_of(coin.address) for coin in coins]
        made = _coins_made(plan, coins, taints, amounts, _bounds(model, sum(plan.values), coins, plan))
        for index, coin in enumerate(made):
            if plan.tx.outputs[index].vout in plan.seeds:
                self._steal(model, plan, index, coin, list(zip(places, rows[index], strict=True)))
            elif coin.tainted:
                self._arrive(model, plan, index, coin, list(zip(places, rows[index], strict=True)))

    def _steal(
        self, model: TaintModel, plan: _SpendPlan, index: int, coin: Coin, flowed: Sequence[tuple[Place, int]]
    ) -> None:
        """Taint a seed's whole value; value that was tainted already is not counted as stolen again."""
        output, fresh = plan.tx.outputs[index], coin.value - coin.tainted
        self.books[model].ledger.add_stolen(self.asset, fresh)
        seed = replace(coin, spans=first_units(coin.value), tainted=coin.value, hop=1, bounds=None)
        if coin.value:
            self._arrive(model, plan, index, seed, [*flowed, (_victim(plan.tx, output), fresh)])

    def _sink_in_coinjoin(self, book: CoinBook, plan: _SpendPlan, coins: Sequence[Coin]) -> None:
        """Let all tainted value rest in the CoinJoin, including its share of the fee."""
        place = Place(f"coinjoin:{plan.tx.txid.hex()}", None, plan.tx.txid)
        stop = Stop(COINJOIN, f"{plan.coinjoin} CoinJoin", "mixer")
        hop = min(coin.hop for coin in coins) + 1
        book.ledger.flows.extend(
            Flow(place_of(coin.address), place, plan.moment, self.asset, coin.tainted, coin.tainted, hop)
            for coin in coins
        )
        total = sum(coin.tainted for coin in coins)
        book.ledger.rests.append(Rest(place, stop, plan.moment, self.asset, total))

    def _arrive(
        self, model: TaintModel, plan: _SpendPlan, index: int, coin: Coin, flowed: Sequence[tuple[Place, int]]
    ) -> None:
        """Record the flow of taint into an output, and follow the coin or let it rest."""
        book, place = self.books[model], place_of(coin.address)
        if model is not TaintModel.POISON:
            plan.peaks[index] = max(plan.peaks[index], coin.tainted)
        amounts = proportional_shares(coin.value, [share for _, share in flowed], coin.tainted)
        for (source, share), amount in zip(flowed, amounts, strict=True):
            if share:
                flow = Flow(source, place, plan.moment, self.asset, amount, share, coin.hop, coin.bounds)
                book.ledger.flows.append(flow)
        measure = plan.peaks[index] if model is TaintModel.POISON else coin.tainted
        stop = plan.stops[index] or stop_at_limits(self.case.options, self.threshold, measure, coin.hop)
        if stop is None:
            outpoint = Outpoint(plan.tx.txid, plan.tx.outputs[index].vout)
            self.journal.put(book.coins, outpoint, coin)
            self.journal.put(self.watched, outpoint, None)
        else:
            book.ledger.rests.append(Rest(place, stop, plan.moment, self.asset, coin.tainted, coin.bounds))


def _coins_made(
    plan: _SpendPlan,
    spent: Sequence[Coin],
    taints: Sequence[Spans],
    amounts: Sequence[int],
    bounds: list[Bounds] | None,
) -> list[Coin]:
    """The outputs, one hop after the nearest tainted input; change back to an input's address is not a hop."""
    hop = min((coin.hop for coin in spent), default=0) + 1
    at_home: dict[bytes, int] = {}
    for coin in spent:
        at_home[coin.address.key] = min(coin.hop, at_home.get(coin.address.key, coin.hop))
    return [
        Coin(o.value, o.address, taints[n], amounts[n], at_home.get(o.address.key, hop), bounds[n] if bounds else None)
        for n, o in enumerate(plan.tx.outputs)
    ]


def _victim(tx: UtxoTransaction, output: TxOutput) -> Place:
    """The place of the victim: the address with the largest input value of the seed transaction."""
    spent: dict[Address, int] = {}
    for tx_input in tx.inputs:
        if tx_input.address is not None:
            spent[tx_input.address] = spent.get(tx_input.address, 0) + (tx_input.value or 0)
    if not spent:
        return Place(f"unknown payer of {tx.txid.hex()}:{output.vout}", None, tx.txid)
    return place_of(max(spent, key=lambda a: (spent[a], a.key)))


def _bounds(model: TaintModel, total: int, coins: Sequence[Coin], plan: _SpendPlan) -> list[Bounds] | None:
    """For each output, the least and most that can be tainted after a CoinJoin was followed through; else None. Poison
    counts full values and has no bounds.
    """
    inexact = plan.coinjoin or any(coin.bounds is not None for coin in coins)
    if model is TaintModel.POISON or not inexact or not coins:
        return None
    low = sum(coin.bounds.low if coin.bounds else coin.tainted for coin in coins)
    high = sum(coin.bounds.high if coin.bounds else coin.tainted for coin in coins)
    return [Bounds(max(0, o.value - (total - low)), min(o.value, high)) for o in plan.tx.outputs]
