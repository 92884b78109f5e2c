"""Building a trace from a fold, and ranking the places where value rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from chains.model import AssetId, TxId
from walletwatch.domain.cases import Case, Onward, TaintModel
from walletwatch.tracing.account_fold import AccountHoldings
from walletwatch.tracing.coin_fold import CoinBook
from walletwatch.tracing.flows import (
    COINJOIN,
    HOPS,
    THRESHOLD,
    Bounds,
    Flow,
    LabelLookup,
    Ledger,
    Place,
    Rest,
    Stop,
    pick_label,
)
from walletwatch.tracing.traces import Totals, Trace, TraceEdge, TraceNode, TraceStop


class Standing(StrEnum):
    """What can still be done about value at a place."""

    FREEZABLE = "freezable"
    """A known service holds it and can be asked to freeze it."""
    BRIDGED = "bridged"
    """It went into a bridge; follow it on the other chain."""
    REPORTABLE = "reportable"
    """It is at a sanctioned address: nobody can freeze it, but it can be reported."""
    HELD = "held"
    """It is at an address of the thief, and is watched."""
    HIDDEN = "hidden"
    """It went into a mixer or CoinJoin."""
    LOST_SIGHT = "lost sight"
    """It passed the last hop that is followed."""
    SMALL = "small"
    """It is in parts too small to follow."""


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
        """What to do, as a short text."""
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
    """The places where tainted value rests, in the order in which to act: services first, then by amount."""
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
        key = (stop.node, standing, stop.onward)
        if key in found:
            before = found[key]
            last_seen = max(before.last_seen, resting.last_seen)
            resting = replace(resting, tainted=before.tainted + resting.tainted, last_seen=last_seen)
        found[key] = resting
    for node in trace.nodes:
        # What rests here by the last hop is a place of its own in the ranking.
        here = node.holding - sum(s.tainted for s in trace.stops if s.node == node.id and s.reason == HOPS)
        if here:
            found[node.id, Standing.HELD, None] = Resting(
                node.id, node.address, node.label, node.category, Standing.HELD, here, node.hop, node.last_seen
            )
    order = sorted(found.values(), key=lambda r: (_FIRST_TO_LAST.index(r.standing), -r.tainted, r.node))
    return tuple(order)


Part = tuple[int, Bounds | None]
"""Tainted base units, and their bounds downstream of a CoinJoin."""


@dataclass(frozen=True, slots=True)
class Held:
    """Followed taint of one asset at one place; `bounds` where any of it came through a CoinJoin."""

    tainted: int
    bounds: Bounds | None = None


def sum_parts(parts: Sequence[Part]) -> Held:
    """The sum, with bounds if any part has them."""
    total = sum(tainted for tainted, _ in parts)
    if all(bounds is None for _, bounds in parts):
        return Held(total)
    low = sum(bounds.low if bounds else tainted for tainted, bounds in parts)
    return Held(total, Bounds(low, sum(bounds.high if bounds else tainted for tainted, bounds in parts)))


def holdings_of(book: CoinBook | AccountHoldings, asset: AssetId) -> dict[bytes, Held]:
    """Followed tainted base units of `asset`, by address key."""
    if isinstance(book, AccountHoldings):
        spots = ((key, purse.tainted) for (held_asset, key), purse in book.purses.items() if held_asset == asset)
        return {key: Held(tainted) for key, tainted in spots if tainted}
    parts: dict[bytes, list[Part]] = {}
    for coin in book.coins.values():
        parts.setdefault(coin.address.key, []).append((coin.tainted, coin.bounds))
    return {key: sum_parts(found) for key, found in parts.items()}


def build_trace(
    case: Case,
    model: TaintModel,
    asset: AssetId,
    ledgers: Mapping[TaintModel, Ledger],
    held: Mapping[TaintModel, Mapping[bytes, Held]],
    labels: LabelLookup,
    gaps: tuple[str, ...],
    foreign: Mapping[TxId, str] = MappingProxyType({}),
) -> Trace:
    """The trace of `asset` by `model`; totals by every model.

    `foreign`: the source of each transaction that is not from our own node.
    """
    ledger = ledgers[model]
    flows = [flow for flow in ledger.flows if flow.asset == asset]
    rests = [rest for rest in ledger.rests if rest.asset == asset]
    totals = {m: _totals(ledgers[m], held[m], asset) for m in TaintModel}
    return Trace(
        case=case,
        model=model,
        asset=asset,
        stolen=totals[model].stolen,
        nodes=_nodes(case, flows, rests, held[model], labels),
        edges=tuple(_edge(flow, foreign.get(flow.moment.tx, "")) for flow in flows),
        stops=_stops(case, rests),
        totals=totals,
        gaps=(*gaps, *_foreign_gaps(flows, foreign)),
    )


def _totals(ledger: Ledger, held: Mapping[bytes, Held], asset: AssetId) -> Totals:
    sums = {"service": 0, THRESHOLD: 0, HOPS: 0}
    for rest in ledger.rests:
        if rest.asset == asset:
            sums["service" if rest.stop.at_service else rest.stop.reason] += rest.tainted
    return Totals(
        stolen=ledger.stolen.get(asset, 0),
        at_services=sums["service"],
        holding=sum(h.tainted for h in held.values()) + sums[HOPS],
        fees=ledger.fees.get(asset, 0),
        below_threshold=sums[THRESHOLD],
    )


@dataclass(slots=True)
class _NodeBuilder:
    """A node while its flows are added up."""

    place: Place
    first: datetime
    last: datetime
    hop: int = 0
    tainted: int = 0
    resting: list[Part] = field(default_factory=list)
    stop: Stop | None = None


def _nodes(
    case: Case, flows: Sequence[Flow], rests: Sequence[Rest], held: Mapping[bytes, Held], labels: LabelLookup
) -> tuple[TraceNode, ...]:
    builders: dict[str, _NodeBuilder] = {}
    for flow in flows:
        for place in (flow.source, flow.target):
            builder = builders.setdefault(place.id, _NodeBuilder(place, flow.moment.time, flow.moment.time))
            builder.last = max(builder.last, flow.moment.time)
        if flow.source.id != flow.target.id:
            target = builders[flow.target.id]
            target.hop = min(target.hop or flow.hop, flow.hop)
            target.tainted += flow.tainted
    for rest in rests:
        builder = builders[rest.place.id]
        builder.stop = rest.stop if builder.stop is None or rest.stop.at_service else builder.stop
        if rest.stop.reason == HOPS:
            builder.resting.append((rest.tainted, rest.bounds))
    nodes = (_node(case, builder, held, labels) for builder in builders.values())
    return tuple(sorted(nodes, key=lambda n: (n.hop, n.first_seen, n.id)))


def _node(case: Case, builder: _NodeBuilder, held: Mapping[bytes, Held], labels: LabelLookup) -> TraceNode:
    address = builder.place.address
    label = pick_label(labels(case.chain, address, builder.last)) if address is not None else None
    name, category = (label.label, label.category) if label is not None else ("", "")
    if builder.stop is not None and builder.stop.at_service:
        name, category = builder.stop.label, builder.stop.category
    here = held.get(address.key) if address is not None else None
    holding = sum_parts([*builder.resting, *([(here.tainted, here.bounds)] if here else [])])
    return TraceNode(
        id=builder.place.id,
        chain=str(case.chain),
        address=address.text if address is not None else "",
        label=name,
        category=category,
        hop=builder.hop,
        tainted=builder.tainted,
        holding=holding.tainted,
        first_seen=builder.first,
        last_seen=builder.last,
        holding_bounds=holding.bounds,
    )


def _foreign_gaps(flows: Sequence[Flow], foreign: Mapping[TxId, str]) -> Iterator[str]:
    """Gaps that name the foreign sources used, and how many transactions are from them."""
    counts = Counter(foreign[tx] for tx in {flow.moment.tx for flow in flows} if tx in foreign)
    for source, count in sorted(counts.items()):
        yield f"{count} transactions come from {source}: each is proved by our headers, but not that none is missing"


def _edge(flow: Flow, evidence: str = "") -> TraceEdge:
    return TraceEdge(
        source=flow.source.id,
        target=flow.target.id,
        tx=flow.moment.tx,
        asset=flow.asset,
        amount=flow.amount,
        tainted=flow.tainted,
        height=flow.moment.block.height,
        time=flow.moment.time,
        bounds=flow.bounds,
        evidence=evidence,
    )


def _stops(case: Case, rests: Sequence[Rest]) -> tuple[TraceStop, ...]:
    """One stop per place, reason and onward destination; services first, then by amount."""
    groups: dict[tuple[str, Stop], list[Rest]] = {}
    for rest in rests:
        groups.setdefault((rest.place.id, rest.stop), []).append(rest)
    stops = [_stop(case, stop, group) for (_, stop), group in groups.items()]
    return tuple(sorted(stops, key=lambda s: (s.reason in (THRESHOLD, HOPS), -s.tainted, s.node)))


def _stop(case: Case, stop: Stop, group: Sequence[Rest]) -> TraceStop:
    place = group[0].place
    total = sum_parts([(rest.tainted, rest.bounds) for rest in group])
    txs: dict[TxId, None] = dict.fromkeys(rest.moment.tx for rest in group)
    return TraceStop(
        node=place.id,
        address=place.address.text if place.address is not None else "",
        chain=str(case.chain),
        label=stop.label,
        category=stop.category,
        reason=stop.reason,
        tainted=total.tainted,
        onward=stop.onward,
        txs=tuple(txs),
        last_seen=max(rest.moment.time for rest in group),
        bounds=total.bounds,
    )
