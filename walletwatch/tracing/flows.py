"""What a fold keeps, by model: how tainted value flowed, and where it came to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from chains.model import Address, AssetId, BlockRef, TxId
from walletwatch.domain.cases import Onward

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
class Moment:
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
    moment: Moment
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
    moment: Moment
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
