"""CoinJoins told from exchanges' batch payouts by what their protocols require of a transaction.

Whirlpool: as many inputs as outputs, all outputs one of the pools' sizes. WabiSabi: a large round with outputs in the
protocol's standard sizes. JoinMarket: equal outputs, and inputs that fall into as many owners, each of whom gets one
equal output and the change that is left. Batch payouts also have many outputs, some equal: they pay from few addresses
and pay known ones again (address reuse of 70 % almost rules a CoinJoin out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chains.model import UtxoTransaction

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
    return _PartitionSearch(order, needs, below, above).assign(0)


class _PartitionSearch:
    """Depth-first over the values, largest first; a group never exceeds its target by more than `above`."""

    def __init__(self, values: Sequence[int], targets: Sequence[int], below: int, above: int) -> None:
        self.values, self.targets, self.below, self.above = values, targets, below, above
        self.sums = [0] * len(targets)
        self.steps = 0

    def assign(self, index: int) -> bool:
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
            if self.assign(index + 1):
                return True
            self.sums[group] -= value
        return False


WHIRLPOOL_POOLS_SATS = frozenset({100_000, 1_000_000, 2_500_000, 5_000_000, 50_000_000})
WHIRLPOOL_EXTRA_SATS = 100_000
"""A first-time input carries its miner fee beside the pool's size."""
WABISABI_MIN_INPUTS = 50
WABISABI_STANDARD_PERCENT = 80
"""In the real round fb596c9f… 272 of 279 outputs are of standard size."""
MAX_REUSE_PERCENT = 30
JOINMARKET_MAX_PARTIES = 24
JOINMARKET_MAX_OWNERS = 200
JOINMARKET_MIN_SATS = 27_300
"""JoinMarket makes no output below this (its own dust threshold)."""


def recognise(tx: UtxoTransaction) -> str:
    """`Whirlpool`, `WabiSabi`, `JoinMarket`, or empty for none of them."""
    if tx.is_coinbase or _reuse_percent(tx) > MAX_REUSE_PERCENT:
        return ""
    for name, fits in (("Whirlpool", _is_whirlpool), ("WabiSabi", _is_wabisabi), ("JoinMarket", _is_joinmarket)):
        if fits(tx):
            return name
    return ""


def _reuse_percent(tx: UtxoTransaction) -> int:
    """How many of the addresses' appearances are not the first, inputs and outputs together."""
    keys = [i.address.key for i in tx.inputs if i.address is not None] + [o.address.key for o in tx.outputs]
    return (len(keys) - len(set(keys))) * 100 // len(keys) if keys else 0


def _distinct_inputs(tx: UtxoTransaction) -> int:
    return len({i.address.key for i in tx.inputs if i.address is not None})


def _is_whirlpool(tx: UtxoTransaction) -> bool:
    size = tx.outputs[0].value if tx.outputs else 0
    if size not in WHIRLPOOL_POOLS_SATS or not 5 <= len(tx.outputs) <= 10 or len(tx.inputs) != len(tx.outputs):
        return False
    values = [i.value for i in tx.inputs if i.value is not None]
    return (
        all(o.value == size for o in tx.outputs)
        and len(values) == len(tx.inputs)
        and all(size <= value <= size + WHIRLPOOL_EXTRA_SATS for value in values)
        and any(value == size for value in values)
        and _distinct_inputs(tx) == len(tx.inputs)
    )


def _standard_sizes() -> frozenset[int]:
    """WabiSabi's output sizes in satoshi: 2^n, 3^n, 2·3^n, and 1, 2 or 5 times 10^n."""
    limit = 21_000_000 * 10**8
    sizes: set[int] = set()
    for factor, base in ((1, 2), (1, 3), (2, 3), (1, 10), (2, 10), (5, 10)):
        value = factor
        while value <= limit:
            sizes.add(value)
            value *= base
    return frozenset(size for size in sizes if size >= 5_000)


_STANDARD_SIZES = _standard_sizes()


def _is_wabisabi(tx: UtxoTransaction) -> bool:
    if len(tx.inputs) < WABISABI_MIN_INPUTS or len(tx.outputs) < WABISABI_MIN_INPUTS // 2:
        return False
    standard = sum(o.value in _STANDARD_SIZES for o in tx.outputs)
    return (
        standard * 100 >= WABISABI_STANDARD_PERCENT * len(tx.outputs)
        and _distinct_inputs(tx) * 10 >= 9 * len(tx.inputs)
        and max(Counter(o.value for o in tx.outputs).values()) > 1
    )


def _is_joinmarket(tx: UtxoTransaction) -> bool:
    values = [o.value for o in tx.outputs]
    if not values or any(value == 0 for value in values):
        return False
    size, parties = max(Counter(values).items(), key=lambda item: (item[1], item[0]))
    changes = sorted((value for value in values if value != size), reverse=True)
    if size < JOINMARKET_MIN_SATS:
        return False
    if not 2 <= parties <= JOINMARKET_MAX_PARTIES or not parties - 1 <= len(changes) <= parties:
        return False
    if parties == 2 and len(changes) < 2:
        return False  # two equal payouts and one change: any payer's transaction
    owners = _by_owner(tx)
    return (
        owners is not None
        and parties <= len(owners) <= JOINMARKET_MAX_OWNERS
        and _owners_fit(owners, size, parties, changes)
    )


def _by_owner(tx: UtxoTransaction) -> list[int] | None:
    """What each input address put in; None if the node told less than all."""
    owners: dict[bytes, int] = {}
    for tx_input in tx.inputs:
        if tx_input.address is None or tx_input.value is None:
            return None
        owners[tx_input.address.key] = owners.get(tx_input.address.key, 0) + tx_input.value
    return list(owners.values())


def _owners_fit(owners: Sequence[int], size: int, parties: int, changes: Sequence[int]) -> bool:
    """Whether the inputs fall into groups that each pay for one equal output and one change. A maker takes out a little
    more than it put in (its fee), the taker a little less.
    """
    targets = [size + change for change in changes] + [size] * (parties - len(changes))
    maker_gain = max(size // 100, 1_000)
    fee = sum(owners) - sum(targets)
    return fee >= 0 and can_partition(owners, targets, maker_gain, fee + maker_gain * parties)
