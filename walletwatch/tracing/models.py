"""The taint models: FIFO, LIFO, TIHO, haircut and poison (CONTRACT §5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from walletwatch.domain.cases import TaintModel

Spans = tuple[tuple[int, int], ...]
"""Disjoint, ordered, non-adjacent `[start, end)` in base units from the front of the value. Models without an order
(poison, haircut, TIHO) use one span at the front, of which only the length matters.
"""

CLEAN: Spans = ()


def first_units(amount: int) -> Spans:
    """The first `amount` units; empty for 0."""
    return ((0, amount),) if amount else CLEAN


def tainted_units(spans: Spans) -> int:
    """The number of tainted base units."""
    if len(spans) == 1:
        return spans[0][1] - spans[0][0]
    return sum(end - start for start, end in spans)


def lay_end_to_end(parts: Iterable[tuple[int, Spans]]) -> tuple[int, list[tuple[int, int]]]:
    """One value from (value, spans) parts in order: its size and its spans."""
    offset = 0
    joined: list[tuple[int, int]] = []
    for value, spans in parts:
        for start, end in spans:
            if joined and joined[-1][1] == offset + start:
                joined[-1] = (joined[-1][0], offset + end)
            else:
                joined.append((offset + start, offset + end))
        offset += value
    return offset, joined


def cut(spans: Sequence[tuple[int, int]], sizes: Iterable[int]) -> list[Spans]:
    """Cut a value into consecutive pieces of `sizes`, from the front; each piece's spans count from its own front."""
    pieces: list[Spans] = []
    at, index = 0, 0
    for size in sizes:
        until = at + size
        piece: list[tuple[int, int]] = []
        while index < len(spans) and spans[index][0] < until:
            start, end = spans[index]
            piece.append((max(start, at) - at, min(end, until) - at))
            if end > until:
                break
            index += 1
        pieces.append(tuple(piece) if size else CLEAN)
        at = until
    return pieces


Part = tuple[int, Spans]
"""An input: its value in base units, and its tainted spans."""


def spread(model: TaintModel, inputs: Sequence[Part], outputs: Sequence[int]) -> list[Spans]:
    """The taint of each output and, last, of the fee (inputs minus outputs).

    Exact: for every model but poison, the tainted units of outputs and fee equal those of the inputs. Raises ValueError
    if the outputs are worth more than the inputs.
    """
    total = sum(value for value, _ in inputs)
    fee = total - sum(outputs)
    if fee < 0:
        raise ValueError(f"outputs are worth {-fee} base units more than inputs")
    return _RULES[model](inputs, [*outputs, fee])


def _poison(inputs: Sequence[Part], sizes: Sequence[int]) -> list[Spans]:
    if not any(spans for _, spans in inputs):
        return [CLEAN] * len(sizes)
    return [first_units(size) for size in sizes]


def _haircut(inputs: Sequence[Part], sizes: Sequence[int]) -> list[Spans]:
    total = sum(value for value, _ in inputs)
    tainted = sum(tainted_units(spans) for _, spans in inputs)
    return [first_units(share) for share in proportional_shares(tainted, sizes, total)]


def proportional_shares(tainted: int, sizes: Sequence[int], total: int) -> list[int]:
    """`tainted` of `total` units, divided in proportion to `sizes` (which add up to `total`): rounded down, the rest by
    largest remainder (ties: lower index).
    """
    if not tainted or not total:
        return [0] * len(sizes)
    if len(sizes) == 1:
        return [tainted]
    shares = [tainted * size // total for size in sizes]
    left = tainted - sum(shares)
    if left:
        by_remainder = sorted(range(len(sizes)), key=lambda i: (-(tainted * sizes[i] % total), i))
        for index in by_remainder[:left]:
            shares[index] += 1
    return shares


def _fifo(inputs: Sequence[Part], sizes: Sequence[int]) -> list[Spans]:
    _, spans = lay_end_to_end(inputs)
    return cut(spans, sizes)


def _lifo(inputs: Sequence[Part], sizes: Sequence[int]) -> list[Spans]:
    """The first output takes the last units, and so on; inside an output, units keep their order."""
    _, spans = lay_end_to_end(inputs)
    return cut(spans, sizes[::-1])[::-1]


def _tiho(inputs: Sequence[Part], sizes: Sequence[int]) -> list[Spans]:
    left = sum(tainted_units(spans) for _, spans in inputs)
    outputs = range(len(sizes) - 1)
    taken = [0] * len(sizes)
    for index in (*sorted(outputs, key=lambda i: (-sizes[i], i)), len(sizes) - 1):
        taken[index] = min(left, sizes[index])
        left -= taken[index]
    return [first_units(amount) for amount in taken]


_RULES: Mapping[TaintModel, Callable[[Sequence[Part], Sequence[int]], list[Spans]]] = {
    TaintModel.POISON: _poison,
    TaintModel.HAIRCUT: _haircut,
    TaintModel.FIFO: _fifo,
    TaintModel.LIFO: _lifo,
    TaintModel.TIHO: _tiho,
}


Lot = tuple[int, bool]
"""An amount of base units that arrived together, and whether it is tainted."""
Lots = tuple[Lot, ...]


def clean_lot(amount: int) -> Lots:
    """`amount` clean units; no lot for 0."""
    return ((amount, False),) if amount else ()


def tainted_lot(amount: int) -> Lots:
    """`amount` tainted units; no lot for 0."""
    return ((amount, True),) if amount else ()


def tainted_of(lots: Lots) -> int:
    """Tainted base units among `lots`."""
    return sum(amount for amount, tainted in lots if tainted)


def _joined(lots: Lots) -> Lots:
    """The lots with adjacent ones of one kind merged."""
    out: list[Lot] = []
    for amount, tainted in lots:
        if not amount:
            continue
        if out and out[-1][1] == tainted:
            out[-1] = (out[-1][0] + amount, tainted)
        else:
            out.append((amount, tainted))
    return tuple(out)


def _split(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """The first `amount` units, and the rest."""
    for index, (size, tainted) in enumerate(lots):
        if amount < size:
            head = (*lots[:index], (amount, tainted)) if amount else lots[:index]
            return head, ((size - amount, tainted), *lots[index + 1 :])
        amount -= size
    return lots, ()


@dataclass(frozen=True, slots=True)
class Purse:
    """The holding of one asset at one account, by one model."""

    model: TaintModel
    lots: Lots = ()

    @property
    def balance(self) -> int:
        """All base units, as far as known."""
        return sum(amount for amount, _ in self.lots)

    @property
    def tainted(self) -> int:
        """Tainted base units."""
        return tainted_of(self.lots)

    def put(self, lots: Lots) -> Purse:
        """The purse after lots arrived. By poison one tainted unit taints the whole purse."""
        joined = _joined(self.lots + lots)
        if self.model is TaintModel.POISON and tainted_of(joined):
            joined = tainted_lot(sum(amount for amount, _ in joined))
        return Purse(self.model, joined)

    def take(self, amount: int) -> tuple[Lots, Purse]:
        """The lots taken for `amount`, and the purse after it.

        An amount above the known balance arrived unseen (an inner call on a node without traces, a rebase): the excess
        counts as clean and as older than all lots.
        """
        missing = max(0, amount - self.balance)
        taken, kept = _TAKERS[self.model](self.lots, amount - missing)
        if missing:
            poisoned = self.model is TaintModel.POISON and bool(tainted_of(taken))
            taken = ((missing, poisoned), *taken)
        return _joined(taken), Purse(self.model, _joined(kept))


def _take_oldest(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    return _split(lots, amount)


def _take_newest(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """Take the last units of the queue, in their order."""
    kept, taken = _split(lots, sum(size for size, _ in lots) - amount)
    return taken, kept


def _take_in_proportion(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    """Take the proportional share, rounded down."""
    balance, tainted = sum(size for size, _ in lots), tainted_of(lots)
    return _take_share(balance, tainted, amount, tainted * amount // balance if balance else 0)


def _take_tainted_first(lots: Lots, amount: int) -> tuple[Lots, Lots]:
    balance, tainted = sum(size for size, _ in lots), tainted_of(lots)
    return _take_share(balance, tainted, amount, min(amount, tainted))


def _take_share(balance: int, tainted: int, amount: int, share: int) -> tuple[Lots, Lots]:
    """Take `amount` of `balance`, `share` of it from the `tainted` units."""
    taken = tainted_lot(share) + clean_lot(amount - share)
    return taken, tainted_lot(tainted - share) + clean_lot(balance - tainted - (amount - share))


_TAKERS: Mapping[TaintModel, Callable[[Lots, int], tuple[Lots, Lots]]] = {
    TaintModel.POISON: _take_oldest,  # all lots are of one kind, so the order does not matter
    TaintModel.HAIRCUT: _take_in_proportion,
    TaintModel.FIFO: _take_oldest,
    TaintModel.LIFO: _take_newest,
    TaintModel.TIHO: _take_tainted_first,
}
