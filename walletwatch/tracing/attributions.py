"""From which of several tainted inputs an output's taint came: what the arrows of the picture say."""

from __future__ import annotations

from collections.abc import Sequence

from walletwatch.domain.cases import TaintModel
from walletwatch.tracing.models_utxo import proportional_shares


def attribute(model: TaintModel, sources: Sequence[int], sinks: Sequence[int]) -> list[list[int]]:
    """Tainted units per sink (the fee last) and source.

    FIFO and LIFO know it exactly; the other models do not tell one tainted unit from another: in proportion.
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
    """Sinks take from the sources one after the other."""
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
