"""What a trace is made of: places, flows, stops, and a ledger that can be rolled back."""

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
    """Changes to mappings since the block began, and how long the ledgers were then."""

    def __init__(self, ledgers: Iterable[Ledger] = ()) -> None:
        self._changes: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        self._ledgers = [(ledger, ledger.mark()) for ledger in ledgers]

    def put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        """`table[key] = value`, remembered."""
        self._changes.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def drop(self, table: MutableMapping[K, V], key: K) -> V | None:
        """`table.pop(key, None)`, remembered."""
        value = table.pop(key, _ABSENT)
        if value is _ABSENT:
            return None
        self._changes.append((table, key, value))
        return cast("V", value)

    def undo(self) -> None:
        """Put everything back as it was, and forget."""
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
    """A node of the trace: an address, or (address None) the CoinJoin `tx` in which value went under."""

    id: str
    address: Address | None
    tx: TxId = b""


def place_of(address: Address) -> Place:
    """The place of an address; its text is the node's id."""
    return Place(address.text, address)


@dataclass(frozen=True, slots=True)
class ChainMoment:
    """Where on the chain something happened. `index` is the transaction's place in the block."""

    block: BlockRef
    time: datetime
    tx: TxId
    index: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most of an amount that can be tainted, whatever happened inside a CoinJoin before."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Flow:
    """`amount` base units moved from `source` to `target`, of which `tainted`. `hop` is the target's.

    `bounds` is given only downstream of a CoinJoin that was gone through.
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
        """True where somebody else holds it: a label or a CoinJoin."""
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
    """How much stood in a ledger at some moment."""

    flows: int = 0
    rests: int = 0
    stolen: dict[AssetId, int] = field(default_factory=dict)
    fees: dict[AssetId, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """What one model has seen so far; it only grows. `stolen` and `fees` are tainted base units by asset."""

    flows: list[Flow] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    stolen: dict[AssetId, int] = field(default_factory=dict)
    fees: dict[AssetId, int] = field(default_factory=dict)

    def mark(self) -> LedgerMark:
        """Where it stands."""
        return LedgerMark(len(self.flows), len(self.rests), self.stolen.copy(), self.fees.copy())

    def reset(self, mark: LedgerMark) -> None:
        """Forget what was added since `mark`."""
        del self.flows[mark.flows :]
        del self.rests[mark.rests :]
        self.stolen, self.fees = mark.stolen.copy(), mark.fees.copy()

    def add_stolen(self, asset: AssetId, amount: int) -> None:
        """A seed brought `amount` into the trace."""
        self.stolen[asset] = self.stolen.get(asset, 0) + amount

    def add_fee(self, asset: AssetId, amount: int) -> None:
        """`amount` tainted base units went to a miner or validator."""
        if amount:
            self.fees[asset] = self.fees.get(asset, 0) + amount


LabelLookup = Callable[[ChainId, Address, datetime], tuple[Label, ...]]
"""Labels of an address that were held true at a moment."""

_LOUDEST_FIRST = ("sanctioned", "exchange", "mixer", "bridge", "service")


def pick_label(labels: tuple[Label, ...]) -> Label | None:
    """The label to show where several are given: one that stops the trace before one that does not, then the surest."""
    return min(labels, key=_rank, default=None)


def _rank(label: Label) -> tuple[bool, int, int, str, str]:
    stops = label.category in STOP_CATEGORIES
    place = _LOUDEST_FIRST.index(label.category) if stops else len(_LOUDEST_FIRST)
    return (not stops, -label.confidence_milli, place, label.label, label.source)


def stop_at_label(labels: tuple[Label, ...], onward: Onward | None) -> Stop | None:
    """The stop that a place's labels make, or the bridge deposit that was made there; None to go on."""
    label = pick_label(labels)
    if label is not None and label.category in STOP_CATEGORIES:
        return Stop(label.category, label.label, label.category, onward)
    if onward is not None:
        return Stop("bridge", "THORChain vault", "bridge", onward)
    return None


def stop_at_limits(options: TraceOptions, threshold: int, measure: int, hop: int) -> Stop | None:
    """The stop that `measure` tainted units at `hop` make; None to go on."""
    if measure < threshold:
        return Stop(THRESHOLD)
    return Stop(HOPS) if hop >= options.max_hops else None
