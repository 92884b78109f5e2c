"""Which base units of a value are tainted, as ordered half-open intervals within it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Spans = tuple[tuple[int, int], ...]
"""Disjoint, ordered, never touching `[start, end)` in base units from the front of the value. Models without an order
(poison, haircut, TIHO) keep one span at the front: only its length means something.
"""

CLEAN: Spans = ()


def first_units(amount: int) -> Spans:
    """The first `amount` units; none for 0."""
    return ((0, amount),) if amount else CLEAN


def tainted_units(spans: Spans) -> int:
    """How many base units are tainted."""
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
