"""The fold over a coin chain: tainted outputs are followed, not all the coins of an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chains.model import Address, AssetId, Outpoint, TxOutput, UtxoTransaction
from walletwatch.domain.cases import CONSERVING_MODELS, Case, TaintModel
from walletwatch.tracing.attributions import attribute
from walletwatch.tracing.bridges import Deposit, find_deposit
from walletwatch.tracing.coinjoins import recognise
from walletwatch.tracing.flows import COINJOIN, Bounds, Flow, Ledger, Moment, Place, Rest, Stop, place_of
from walletwatch.tracing.models_utxo import Part, proportional_shares, spread
from walletwatch.tracing.spans import CLEAN, Spans, first_units, tainted_units
from walletwatch.tracing.stops import LabelLookup, stop_at_label, stop_at_limits

MODELS = (*CONSERVING_MODELS, TaintModel.POISON)
"""Poison last: it is followed only where a conserving model still sees enough, else it has no end."""


@dataclass(frozen=True, slots=True)
class Coin:
    """A followed output. `bounds` is given downstream of a CoinJoin that was gone through."""

    value: int
    address: Address
    spans: Spans
    hop: int
    bounds: Bounds | None = None

    @property
    def tainted(self) -> int:
        """Tainted base units in it."""
        return tainted_units(self.spans)


@dataclass(slots=True)
class Book:
    """What one model follows, and its ledger."""

    coins: dict[Outpoint, Coin] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def fork(self) -> Book:
        """A copy that goes its own way."""
        return Book(self.coins.copy(), self.ledger.fork())


@dataclass(slots=True)
class _Plan:
    """What is the same for every model in one transaction."""

    tx: UtxoTransaction
    moment: Moment
    seeds: frozenset[int]
    values: list[int]
    coinjoin: str
    stops: list[Stop | None]
    peaks: list[int]
    """The most that a conserving model sees in each output."""


@dataclass(slots=True)
class CoinFold:
    """State of one case on a coin chain. `gaps` says what had to be guessed."""

    case: Case
    labels: LabelLookup
    asset: AssetId
    books: dict[TaintModel, Book] = field(default_factory=lambda: {model: Book() for model in MODELS})
    watched: set[Outpoint] = field(default_factory=set)
    gaps: dict[str, None] = field(default_factory=dict)
    seen_seeds: set[bytes] = field(default_factory=set)

    def fork(self) -> CoinFold:
        """A copy that goes its own way."""
        books = {model: book.fork() for model, book in self.books.items()}
        return replace(
            self, books=books, watched=set(self.watched), gaps=self.gaps.copy(), seen_seeds=set(self.seen_seeds)
        )

    def concerns(self, tx: UtxoTransaction) -> bool:
        """Whether `tx` spends what is followed, or is a seed."""
        return any(i.outpoint in self.watched for i in tx.inputs) or any(s.tx == tx.txid for s in self.case.seeds)

    def advance(self, tx: UtxoTransaction, moment: Moment) -> None:
        """Take in a transaction that concerns the case."""
        plan = self._plan(tx, moment)
        if plan.seeds:
            self.seen_seeds.add(tx.txid)
        for model in MODELS:
            self._advance(model, plan)
        self.watched.difference_update(i.outpoint for i in tx.inputs)

    def _plan(self, tx: UtxoTransaction, moment: Moment) -> _Plan:
        seeds = frozenset(s.ordinal for s in self.case.seeds if s.tx == tx.txid)
        coinjoin = "" if seeds else recognise(tx)
        deposit = find_deposit(tx)
        stops = [self._stop_at(output, deposit, moment) for output in tx.outputs]
        return _Plan(tx, moment, seeds, self._input_values(tx), coinjoin, stops, [0] * len(tx.outputs))

    def _stop_at(self, output: TxOutput, deposit: Deposit | None, moment: Moment) -> Stop | None:
        onward = deposit.onward if deposit is not None and deposit.ordinal == output.vout else None
        return stop_at_label(self.labels(self.case.chain, output.address, moment.time), onward)

    def _input_values(self, tx: UtxoTransaction) -> list[int]:
        """What each input was worth. What the node did not tell is taken to be what outputs and fee ask for, all of it
        in the first such input.
        """
        known = [self._value_of(i.outpoint) if i.outpoint in self.watched else i.value for i in tx.inputs]
        missing = sum(o.value for o in tx.outputs) + (tx.fee or 0) - sum(v or 0 for v in known)
        values = [v or 0 for v in known]
        if None in known:
            self.gaps[f"the node did not tell what all inputs of {tx.txid.hex()} were worth"] = None
            values[known.index(None)] = max(0, missing)
            missing = min(0, missing)
        if missing > 0:
            self.gaps[f"outputs of {tx.txid.hex()} are worth more than its inputs"] = None
        return [*values, max(0, missing)]

    def _value_of(self, outpoint: Outpoint) -> int | None:
        return next((book.coins[outpoint].value for book in self.books.values() if outpoint in book.coins), None)

    def _advance(self, model: TaintModel, plan: _Plan) -> None:
        book = self.books[model]
        spent = [book.coins.pop(i.outpoint, None) for i in plan.tx.inputs]
        if not plan.seeds and not any(spent):
            return
        sources = [(place_of(coin.address), coin.tainted) for coin in spent if coin is not None]
        hop = min((coin.hop for coin in spent if coin is not None), default=0) + 1
        if plan.coinjoin and not self.case.options.through_coinjoin:
            self._sink_in_coinjoin(book, plan, sources, hop)
            return
        parts: list[Part] = [
            (value, coin.spans if coin is not None else CLEAN)
            for value, coin in zip(plan.values, [*spent, None], strict=True)
        ]
        taints = spread(model, parts, [o.value for o in plan.tx.outputs])
        book.ledger.add_fee(self.asset, tainted_units(taints[-1]))
        bounds = _bounds(parts, spent, plan, through=bool(plan.coinjoin)) if model is not TaintModel.POISON else None
        rows = attribute(model, [amount for _, amount in sources], [tainted_units(t) for t in taints])
        at_home = {coin.address.key: coin.hop for coin in sorted(filter(None, spent), key=lambda c: -c.hop)}
        for index, output in enumerate(plan.tx.outputs):
            flowed = list(zip((place for place, _ in sources), rows[index], strict=True))
            spans, at_hop = taints[index], at_home.get(output.address.key, hop)  # change back to itself is no hop
            if output.vout in plan.seeds:
                fresh = output.value - tainted_units(spans)
                book.ledger.add_stolen(self.asset, fresh)
                flowed.append((_victim(plan.tx, output), fresh))
                spans, at_hop = first_units(output.value), 1
            coin = Coin(output.value, output.address, spans, at_hop, bounds[index] if bounds else None)
            self._arrive(model, plan, index, coin, flowed)

    def _sink_in_coinjoin(self, book: Book, plan: _Plan, sources: Sequence[tuple[Place, int]], hop: int) -> None:
        """The whole tainted value rests in the CoinJoin, its share of the fee included."""
        place = Place(f"coinjoin:{plan.tx.txid.hex()}", None, plan.tx.txid)
        stop = Stop(COINJOIN, f"{plan.coinjoin} CoinJoin", "mixer")
        book.ledger.flows.extend(
            Flow(source, place, plan.moment, self.asset, amount, amount, hop) for source, amount in sources if amount
        )
        total = sum(amount for _, amount in sources)
        book.ledger.rests.append(Rest(place, stop, plan.moment, self.asset, total))

    def _arrive(
        self, model: TaintModel, plan: _Plan, index: int, coin: Coin, flowed: Sequence[tuple[Place, int]]
    ) -> None:
        """Taint arrived in an output: note the flow, and follow the coin or let it rest."""
        book, vout = self.books[model], plan.tx.outputs[index].vout
        tainted = coin.tainted
        if not tainted:
            return
        if model is not TaintModel.POISON:
            plan.peaks[index] = max(plan.peaks[index], tainted)
        place = place_of(coin.address)
        amounts = proportional_shares(coin.value, [share for _, share in flowed], sum(share for _, share in flowed))
        book.ledger.flows.extend(
            Flow(source, place, plan.moment, self.asset, amount, share, coin.hop, coin.bounds)
            for (source, share), amount in zip(flowed, amounts, strict=True)
            if share
        )
        measure = plan.peaks[index] if model is TaintModel.POISON else tainted
        threshold = self.case.options.threshold(self.asset)
        stop = plan.stops[index] or stop_at_limits(self.case.options, threshold, measure, coin.hop)
        if stop is None:
            outpoint = Outpoint(plan.tx.txid, vout)
            book.coins[outpoint] = coin
            self.watched.add(outpoint)
        else:
            book.ledger.rests.append(Rest(place, stop, plan.moment, self.asset, tainted, coin.bounds))


def _victim(tx: UtxoTransaction, output: TxOutput) -> Place:
    """Who was robbed: the address that put most into the seed transaction."""
    put_in: dict[Address, int] = {}
    for tx_input in tx.inputs:
        if tx_input.address is not None:
            put_in[tx_input.address] = put_in.get(tx_input.address, 0) + (tx_input.value or 0)
    if not put_in:
        return Place(f"unknown payer of {tx.txid.hex()}:{output.vout}", None, tx.txid)
    return place_of(max(put_in, key=lambda a: (put_in[a], a.key)))


def _bounds(parts: Sequence[Part], spent: Sequence[Coin | None], plan: _Plan, *, through: bool) -> list[Bounds] | None:
    """Per output, the least and most that can be tainted once a CoinJoin has been gone through; else None."""
    if not through and not any(coin is not None and coin.bounds is not None for coin in spent):
        return None
    total = sum(value for value, _ in parts)
    coins = [coin for coin in spent if coin is not None]
    low = sum(coin.bounds.low if coin.bounds else coin.tainted for coin in coins)
    high = sum(coin.bounds.high if coin.bounds else coin.tainted for coin in coins)
    return [Bounds(max(0, o.value - (total - low)), min(o.value, high)) for o in plan.tx.outputs]
