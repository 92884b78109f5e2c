"""The elements of a trace: places, flows, stops, and a ledger that can be rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from chains.model import Address, AssetId, BlockRef, ChainId, TxId
from walletwatch.domain.cases import Onward, TraceOptions
from walletwatch.domain.labels import STOP_CATEGORIES, Label

K = TypeVar("K")
V = TypeVar("V")
_ABSENT: Any = object()


class Journal:
    """Records changes to mappings and ledgers since the block began, so that they can be undone."""

    def __init__(self, ledgers: Iterable[Ledger] = ()) -> None:
        self._changes: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        self._ledgers = [(ledger, ledger.mark()) for ledger in ledgers]

    def put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        """`table[key] = value`, recorded."""
        self._changes.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def drop(self, table: MutableMapping[K, V], key: K) -> V | None:
        """`table.pop(key, None)`, recorded."""
        value = table.pop(key, _ABSENT)
        if value is _ABSENT:
            return None
        self._changes.append((table, key, value))
        return cast("V", value)

    def undo(self) -> None:
        """Undo all recorded changes."""
        for table, key, value in reversed(self._changes):
            if value is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = value
        self._changes.clear()
        for ledger, mark in self._ledgers:
            ledger.reset(mark)


COINJOIN = "coinjoin"
THRESHOLD = "threshold"
HOPS = "hops"


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the trace: an address, or (address None) the CoinJoin `tx` into which value went."""

    id: str
    address: Address | None
    tx: TxId = b""


def place_of(address: Address) -> Place:
    """The place of an address; its text is the node's id."""
    return Place(address.text, address)


@dataclass(frozen=True, slots=True)
class ChainMoment:
    """The position of an event on the chain. `index` is the transaction's index in the block."""

    block: BlockRef
    time: datetime
    tx: TxId
    index: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most of an amount that can be tainted, for all ways a CoinJoin before may have paid."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Flow:
    """`amount` base units moved from `source` to `target`, of which `tainted`. `hop` is the target's.

    `bounds` is set only downstream of a CoinJoin that was followed through.
    """

    source: Place
    target: Place
    moment: ChainMoment
    asset: AssetId
    amount: int
    tainted: int
    hop: int
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why value is not followed: `reason` is a label's category, `coinjoin`, `threshold` or `hops` (CONTRACT §5)."""

    reason: str
    label: str = ""
    category: str = ""
    onward: Onward | None = None

    @property
    def at_service(self) -> bool:
        """Whether somebody else holds the value: a labelled service or a CoinJoin."""
        return self.reason not in (THRESHOLD, HOPS)


@dataclass(frozen=True, slots=True)
class Rest:
    """Tainted value that came to rest at a stop."""

    place: Place
    stop: Stop
    moment: ChainMoment
    asset: AssetId
    tainted: int
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class LedgerMark:
    """The state of a ledger to which it can be reset."""

    flows: int = 0
    rests: int = 0
    stolen: dict[AssetId, int] = field(default_factory=dict)
    fees: dict[AssetId, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """The flows and rests of one model so far; it only grows. `stolen` and `fees` are tainted base units by asset."""

    flows: list[Flow] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    stolen: dict[AssetId, int] = field(default_factory=dict)
    fees: dict[AssetId, int] = field(default_factory=dict)

    def mark(self) -> LedgerMark:
        """The current state, for `reset`."""
        return LedgerMark(len(self.flows), len(self.rests), self.stolen.copy(), self.fees.copy())

    def reset(self, mark: LedgerMark) -> None:
        """Remove all that was added since `mark`."""
        del self.flows[mark.flows :]
        del self.rests[mark.rests :]
        self.stolen, self.fees = mark.stolen.copy(), mark.fees.copy()

    def add_stolen(self, asset: AssetId, amount: int) -> None:
        """Add `amount` stolen base units of a seed."""
        self.stolen[asset] = self.stolen.get(asset, 0) + amount

    def add_fee(self, asset: AssetId, amount: int) -> None:
        """Add `amount` tainted base units of fee."""
        if amount:
            self.fees[asset] = self.fees.get(asset, 0) + amount


LabelLookup = Callable[[ChainId, Address, datetime], tuple[Label, ...]]
"""Labels of an address that are valid at a moment."""

_STOP_ORDER = ("sanctioned", "exchange", "mixer", "bridge", "service")


def pick_label(labels: tuple[Label, ...]) -> Label | None:
    """The label to show of several: first those that stop the trace, then the highest confidence; None for none."""
    return min(labels, key=_rank, default=None)


def _rank(label: Label) -> tuple[bool, int, int, str, str]:
    stops = label.category in STOP_CATEGORIES
    order = _STOP_ORDER.index(label.category) if stops else len(_STOP_ORDER)
    return (not stops, -label.confidence_milli, order, label.label, label.source)


def stop_at_label(labels: tuple[Label, ...], onward: Onward | None) -> Stop | None:
    """The stop for a place's labels or for a bridge deposit; None to go on."""
    label = pick_label(labels)
    if label is not None and label.category in STOP_CATEGORIES:
        return Stop(label.category, label.label, label.category, onward)
    if onward is not None:
        return Stop("bridge", "THORChain vault", "bridge", onward)
    return None


def stop_at_limits(options: TraceOptions, threshold: int, measure: int, hop: int) -> Stop | None:
    """The stop for `measure` tainted units at `hop`; None to go on."""
    if measure < threshold:
        return Stop(THRESHOLD)
    return Stop(HOPS) if hop >= options.max_hops else None
