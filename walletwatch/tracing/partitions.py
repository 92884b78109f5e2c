"""Can these values be split into groups of about these sums?"""

from __future__ import annotations

from collections.abc import Sequence

MAX_STEPS = 20_000
"""Tries before giving up (some 20 ms): a search that long is no evidence either way, and counts as no."""


def can_partition(values: Sequence[int], targets: Sequence[int], below: int, above: int) -> bool:
    """Whether every value can be put into one group a target so that each group's sum lies in
    [target - below, target + above]. No group may stay empty.
    """
    order = sorted(values, reverse=True)
    needs = sorted(targets, reverse=True)
    if not needs or len(order) < len(needs):
        return False
    return _Search(order, needs, below, above).place(0)


class _Search:
    """Depth-first over the values, largest first; a group never exceeds its target by more than `above`."""

    def __init__(self, values: Sequence[int], targets: Sequence[int], below: int, above: int) -> None:
        self.values, self.targets, self.below, self.above = values, targets, below, above
        self.sums = [0] * len(targets)
        self.steps = 0

    def place(self, index: int) -> bool:
        """Try to place the values from `index` on."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            return False
        if index == len(self.values):
            return all(s >= t - self.below and s for s, t in zip(self.sums, self.targets, strict=True))
        value = self.values[index]
        tried: set[tuple[int, int]] = set()
        for group, target in enumerate(self.targets):
            state = (self.sums[group], target)
            if self.sums[group] + value > target + self.above or state in tried:
                continue
            tried.add(state)
            self.sums[group] += value
            if self.place(index + 1):
                return True
            self.sums[group] -= value
        return False
