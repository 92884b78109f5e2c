"""Where the money is now, and whom to call first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from walletwatch.domain.cases import Onward
from walletwatch.tracing.flows import COINJOIN, HOPS, THRESHOLD
from walletwatch.tracing.traces import Trace, TraceNode


class Standing(StrEnum):
    """What can still be done about a place."""

    FREEZABLE = "freezable"
    """Somebody known holds it and can be asked to freeze it."""
    BRIDGED = "bridged"
    """It went into a bridge; follow it on the other chain."""
    REPORTABLE = "reportable"
    """It lies at a sanctioned address: nobody to ask, somebody to tell."""
    HELD = "held"
    """It lies at an address of the thief's, and is watched."""
    HIDDEN = "hidden"
    """It went into a mixer or CoinJoin."""
    LOST_SIGHT = "lost sight"
    """It passed the last hop that is followed."""
    SMALL = "small"
    """Parts too small to follow."""


_FIRST_TO_LAST = list(Standing)
_BY_REASON = {
    "bridge": Standing.BRIDGED,
    "sanctioned": Standing.REPORTABLE,
    "mixer": Standing.HIDDEN,
    COINJOIN: Standing.HIDDEN,
    HOPS: Standing.LOST_SIGHT,
    THRESHOLD: Standing.SMALL,
}


@dataclass(frozen=True, slots=True)
class Resting:
    """`tainted` base units at one place. `node` is the trace's node id, `address` empty in a CoinJoin."""

    node: str
    address: str
    label: str
    category: str
    standing: Standing
    tainted: int
    hop: int
    last_seen: datetime
    onward: Onward | None = None

    @property
    def advice(self) -> str:
        """What to do, in a few words."""
        if self.standing is Standing.BRIDGED and self.onward is not None:
            return f"follow on {self.onward.chain} to {self.onward.address}"
        return _ADVICE[self.standing]


_ADVICE = {
    Standing.FREEZABLE: "ask to freeze",
    Standing.BRIDGED: "ask the bridge where it paid",
    Standing.REPORTABLE: "report it: services must refuse what comes from there",
    Standing.HELD: "watched: an alert is sent when it moves",
    Standing.HIDDEN: "ask the operator; else watch its payouts",
    Standing.LOST_SIGHT: "raise max_hops to follow it",
    Standing.SMALL: "too small to follow",
}


def rank_places(trace: Trace) -> tuple[Resting, ...]:
    """Every place where tainted value rests, services first and the largest first: what to freeze, in order."""
    nodes = {node.id: node for node in trace.nodes}
    found: dict[tuple[str, Standing, Onward | None], Resting] = {}
    for stop in trace.stops:
        standing = _BY_REASON.get(stop.reason, Standing.FREEZABLE)
        node = nodes[stop.node]
        resting = Resting(
            stop.node,
            stop.address,
            stop.label,
            stop.category,
            standing,
            stop.tainted,
            node.hop,
            stop.last_seen or node.last_seen,
            stop.onward,
        )
        found[stop.node, standing, stop.onward] = _add(found.get((stop.node, standing, stop.onward)), resting)
    for node in trace.nodes:
        here = _still_followed(trace, node)
        if here:
            found[node.id, Standing.HELD, None] = Resting(
                node.id, node.address, node.label, node.category, Standing.HELD, here, node.hop, node.last_seen
            )
    order = sorted(found.values(), key=lambda r: (_FIRST_TO_LAST.index(r.standing), -r.tainted, r.node))
    return tuple(order)


def _add(before: Resting | None, more: Resting) -> Resting:
    if before is None:
        return more
    return Resting(
        more.node,
        more.address,
        more.label,
        more.category,
        more.standing,
        before.tainted + more.tainted,
        more.hop,
        max(before.last_seen, more.last_seen),
        more.onward,
    )


def _still_followed(trace: Trace, node: TraceNode) -> int:
    """A node's holding without what rests there by the last hop, which is a place of its own in the ranking."""
    return node.holding - sum(s.tainted for s in trace.stops if s.node == node.id and s.reason == HOPS)
