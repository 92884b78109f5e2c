"""How the taint of a coin-chain transaction's inputs comes to lie in its outputs and its fee (CONTRACT §5, *models*).

FIFO is the rule of Clayton's Case (1816) as Anderson, Shumailov and Ahmed put it to Bitcoin (*Making Bitcoin Legal*,
2018); poison and haircut are Möser, Böhme and Breuker's (*Towards risk scoring of Bitcoin transactions*, 2014); TIHO
(taint in, highest out) is Tironsakkul et al.'s (*Probing the mystery of cryptocurrency theft*, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from walletwatch.domain.cases import TaintModel
from walletwatch.tracing.spans import CLEAN, Spans, cut, first_units, lay_end_to_end, tainted_units

Part = tuple[int, Spans]
"""An input: its value in base units, and which of them are tainted."""


def spread(model: TaintModel, inputs: Sequence[Part], outputs: Sequence[int]) -> list[Spans]:
    """The taint of each output and, last, of the fee (inputs minus outputs).

    Exact: for every model but poison the tainted units that come out are as many as went in. Raises ValueError if the
    outputs are worth more than the inputs.
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
    """`tainted` units of `total` over `sizes` (which add up to `total`): floors, then one each by largest remainder
    (ties: lower index).
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
    """The first output takes the last units and so on; units keep their order inside what they are cut into."""
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
