"""Cases: a theft that is followed, the options it is followed with, and its events.

A case is a pure fold over transactions in block order (`walletwatch.tracing`). Stored are the case, the transactions
that the fold reported as relevant (with their blocks), and the opening balances it used. After a reorg the transactions
and openings above the fork are dropped and the rest is folded again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chains.model import Address, AssetId, BlockRef, ChainId, TxId
from walletwatch.domain.findings import stable_id


class TaintModel(StrEnum):
    """How tainted value is followed where it mixes with clean value (CONTRACT §5, *models*)."""

    POISON = "poison"
    HAIRCUT = "haircut"
    FIFO = "fifo"
    LIFO = "lifo"
    TIHO = "tiho"


CONSERVING_MODELS = (TaintModel.HAIRCUT, TaintModel.FIFO, TaintModel.LIFO, TaintModel.TIHO)
"""Models whose totals add up to the stolen amount, to the base unit. Poison counts full values."""


class CaseState(StrEnum):
    """A stopped case is kept and shown, but no longer extended."""

    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Seed:
    """The first output or transfer of stolen value, wholly tainted.

    `ordinal` is the vout on coin chains and `Transfer.ordinal` on account chains; `log_index` is a token log's position
    in its block, else None. `height` is the transaction's block height when the case was opened (after a reorg the
    transaction counts, not the height).
    """

    tx: TxId
    ordinal: int
    address: Address
    asset: AssetId
    amount: int
    height: int
    log_index: int | None = None


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How far to follow. `min_value` holds base units by asset, converted from a fiat threshold when the case was
    opened; other assets are followed to the last unit. Seeds are at hop 1; nothing is followed beyond `max_hops`.
    """

    model: TaintModel = TaintModel.FIFO
    min_value: tuple[tuple[AssetId, int], ...] = ()
    max_hops: int = 20
    through_coinjoin: bool = False

    def threshold(self, asset: AssetId) -> int:
        """The smallest tainted amount of `asset` that is followed; at least one unit."""
        return max(1, dict(self.min_value).get(asset, 1))


@dataclass(frozen=True, slots=True)
class Case:
    """One theft on one chain. `start_height` is the lowest block of its seeds: the fold begins there."""

    id: str
    name: str
    chain: ChainId
    seeds: tuple[Seed, ...]
    state: CaseState
    opened_at: datetime
    opened_by: str
    start_height: int
    options: TraceOptions = field(default_factory=TraceOptions)

    @property
    def assets(self) -> tuple[AssetId, ...]:
        """The stolen assets, each once, in the order of the seeds."""
        return tuple(dict.fromkeys(seed.asset for seed in self.seeds))


@dataclass(frozen=True, slots=True)
class Opening:
    """The balance of `asset` at `address` before the block at `height`: the clean lot with which its queue begins.

    `amount` is None if it is unknown; the trace then reports a gap. An address that is tainted again later has another
    opening: the key is (asset, address, height).
    """

    asset: AssetId
    address: Address
    height: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Onward:
    """The destination of a bridge deposit: `chain` is CAIP-2 where the network is known, else the bridge's name for it.
    `memo` is the whole instruction from the transaction.
    """

    chain: str
    address: str
    memo: str


class CaseEventKind(StrEnum):
    """The kind of a case event, by the case's own model."""

    MOVED = "moved"
    """Tainted value left an address (one event per transaction and asset)."""
    ARRIVED = "arrived"
    """Tainted value reached a labelled address where it is not followed: freeze it there."""
    COINJOIN = "coinjoin"
    """Tainted value went into a CoinJoin."""
    THRESHOLD = "threshold"
    """Tainted value came to rest in parts too small to follow."""
    HOPS = "hops"
    """Tainted value reached the last hop that is followed."""


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One event of a case. `amount` is in tainted base units of `asset`.

    `address` is the sender (`moved`) or the address at which it rests (all others; None in a CoinJoin). `to` are the
    receivers of tainted value, largest first (`moved` only). `label` and `category` are the address's, where known.
    """

    id: str
    case: str
    kind: CaseEventKind
    tx: TxId
    block: BlockRef
    at: datetime
    asset: AssetId
    amount: int
    address: Address | None
    to: tuple[Address, ...] = ()
    label: str = ""
    category: str = ""
    onward: Onward | None = None


def case_id(chain: ChainId, seeds: tuple[Seed, ...]) -> str:
    """The id of the case with these seeds: the same theft opened twice is one case."""
    parts = sorted(seed.tx + seed.ordinal.to_bytes(8, "big") + str(seed.asset).encode() for seed in seeds)
    return stable_id("case", str(chain), *parts)


def case_event_id(case: str, kind: CaseEventKind, tx: TxId, asset: AssetId, place: bytes) -> str:
    """The id of an event: the same after a restart, a reorg or a refold. `place` is the address's key, or empty."""
    return stable_id("cev", case, kind, tx, str(asset), place)
