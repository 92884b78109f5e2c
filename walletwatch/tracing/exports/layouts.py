"""The layout of a trace's picture, and its amounts as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chains.model import AssetId, format_units
from walletwatch.output.texts import clean
from walletwatch.tracing.flows import THRESHOLD
from walletwatch.tracing.traces import Trace, TraceEdge, TraceNode, TraceStop

Symbols = Mapping[AssetId, tuple[str, int]]
"""Symbol and decimals by asset."""


@dataclass(frozen=True, slots=True)
class Unit:
    """How amounts of one asset are written."""

    symbol: str
    decimals: int

    def exact(self, units: int) -> str:
        """With all digits: '4,502.9 BTC'."""
        return f"{format_units(units, self.decimals)} {self.symbol}"

    def short(self, units: int, places: int = 4) -> str:
        """Rounded down to `places` decimals, with a mark if it is not exact: '0.1234… ETH'."""
        keep = min(places, self.decimals)
        step: int = 10 ** (self.decimals - keep)
        if 0 < units < step:
            return self.exact(units)
        mark = "…" if units % step else ""
        return f"{format_units(units // step, keep)}{mark} {self.symbol}"


def unit_of(asset: AssetId, symbols: Symbols) -> Unit:
    """The unit of `asset`; base units and its CAIP-19 id if it has no symbol."""
    symbol, decimals = symbols.get(asset, (f"base units of {asset}", 0))
    return Unit(clean(symbol), decimals)


PICTURE_WIDTH = 1380
NARROW, WIDE = 215, 460
"""Bounds of a column's width; more columns make a wider picture."""
BAR_WIDTH = 14
FLOW_HEIGHT = 460
"""The height of the bars in the column with the most value, in pixels."""
MIN_BAR = 4
SLOT = 40
"""The height of two lines of text beside a bar."""
GAP = 12
MAX_PER_COLUMN = 18
"""Further addresses of a hop are drawn as one box; the tables list them all."""


@dataclass(slots=True)
class Box:
    """A node as drawn: `members` are the nodes it stands for. Pixels from the top left of the flow."""

    id: str
    column: int
    kind: str
    members: list[TraceNode]
    tainted: int
    holding: int
    sent: int = 0
    x: int = 0
    y: int = 0
    height: int = 0

    @property
    def value(self) -> int:
        """The amount shown by its height."""
        return max(self.tainted, self.sent)


@dataclass(slots=True)
class Ribbon:
    """All flows from one box to another. `start` and `end` are its upper edges, in pixels."""

    source: Box
    target: Box
    tainted: int
    edges: list[TraceEdge]
    start: int = 0
    end: int = 0
    width: int = 0

    @property
    def backward(self) -> bool:
        """Whether value went back to an earlier hop, or stayed in the column."""
        return self.target.column <= self.source.column


@dataclass(slots=True)
class Layout:
    """A drawing's geometry, in pixels."""

    boxes: list[Box]
    ribbons: list[Ribbon]
    width: int
    height: int
    columns: dict[int, int] = field(default_factory=dict)
    """Where each hop's column begins."""


def kind_of(node: TraceNode, stops: Iterable[TraceStop]) -> str:
    """How a node is drawn: `victim`, a stop's category, `small`, `holding` (most of it) or `passed`."""
    if node.hop == 0:
        return "victim"
    reasons = [stop for stop in stops if stop.reason != "hops"]
    services = [stop for stop in reasons if stop.reason != THRESHOLD]
    if services:
        return services[0].category or services[0].reason
    if node.holding * 2 > node.tainted:  # a smaller holding is shown as a part of the bar
        return "holding"
    return "small" if reasons else "passed"


def lay_out(trace: Trace) -> Layout:
    """Compute the layout of `trace`."""
    boxes, box_of = _make_boxes(trace)
    ribbons = _make_ribbons(trace.edges, box_of)
    hops = sorted({box.column for box in boxes})
    pitch = max(NARROW, min(WIDE, PICTURE_WIDTH // max(1, len(hops))))
    columns = {hop: number * pitch for number, hop in enumerate(hops)}
    tallest = max((sum(b.value for b in boxes if b.column == hop) for hop in hops), default=0) or 1
    for box in boxes:
        box.x = columns[box.column]
        box.height = max(MIN_BAR, box.value * FLOW_HEIGHT // tallest)
    for ribbon in ribbons:
        ribbon.width = max(1, ribbon.tainted * FLOW_HEIGHT // tallest)
    heights = [_stack([b for b in boxes if b.column == hop], ribbons) for hop in hops]
    height = max(heights, default=0)
    for hop, column in zip(hops, heights, strict=True):
        for box in (b for b in boxes if b.column == hop):
            box.y += (height - column) // 2
    _dock(boxes, ribbons)
    return Layout(boxes, ribbons, max(PICTURE_WIDTH, len(hops) * pitch), height, columns)


def _make_boxes(trace: Trace) -> tuple[list[Box], dict[str, Box]]:
    stops: dict[str, list[TraceStop]] = {}
    for stop in trace.stops:
        stops.setdefault(stop.node, []).append(stop)
    sent: dict[str, int] = {}
    for edge in trace.edges:
        if edge.source != edge.target:
            sent[edge.source] = sent.get(edge.source, 0) + edge.tainted
    columns = _columns(trace)
    singles = [
        Box(n.id, columns[n.id], kind_of(n, stops.get(n.id, ())), [n], n.tainted, n.holding, sent.get(n.id, 0))
        for n in trace.nodes
    ]
    boxes: list[Box] = []
    for column in sorted(set(columns.values())):
        boxes += _gather([box for box in singles if box.column == column])
    return boxes, {node.id: box for box in boxes for node in box.members}


def _columns(trace: Trace) -> dict[str, int]:
    """A node's column is its hop; a node without payments is right of all its payers, so that arrows point forward."""
    hops = {node.id: node.hop for node in trace.nodes}
    payers = {edge.source for edge in trace.edges if edge.source != edge.target}
    columns = dict(hops)
    for edge in trace.edges:
        if edge.target not in payers:
            columns[edge.target] = max(columns[edge.target], hops[edge.source] + 1)
    return columns


def _gather(column: Sequence[Box]) -> list[Box]:
    """The largest nodes of a column as boxes of their own, the rest of each kind as one box."""
    order = sorted(column, key=lambda b: (b.kind == "small", -b.value, b.id))
    alone = [box for box in order[:MAX_PER_COLUMN] if box.kind != "small" or len(order) <= MAX_PER_COLUMN // 2]
    rest: dict[str, Box] = {}
    for box in order:
        if box in alone:
            continue
        group = rest.setdefault(box.kind, Box(f"{box.column}:{box.kind}", box.column, box.kind, [], 0, 0))
        group.members += box.members
        group.tainted += box.tainted
        group.holding += box.holding
        group.sent += box.sent
    return alone + list(rest.values())


def _make_ribbons(edges: Iterable[TraceEdge], box_of: dict[str, Box]) -> list[Ribbon]:
    ribbons: dict[tuple[str, str], Ribbon] = {}
    for edge in edges:
        source, target = box_of[edge.source], box_of[edge.target]
        if source is target:
            continue
        ribbon = ribbons.setdefault((source.id, target.id), Ribbon(source, target, 0, []))
        ribbon.tainted += edge.tainted
        ribbon.edges.append(edge)
    return list(ribbons.values())


def _stack(column: list[Box], ribbons: Sequence[Ribbon]) -> int:
    """Stack a column's boxes, each near the sources of its value; returns the column's height."""

    def middle(box: Box) -> int:
        sources = [(r.source, r.tainted) for r in ribbons if r.target is box and r.source.column < box.column]
        weight = sum(tainted for _, tainted in sources)
        return sum((s.y + s.height // 2) * tainted for s, tainted in sources) // weight if weight else 0

    y = 0
    for box in sorted(column, key=lambda b: (middle(b), -b.value, b.id)):
        slot = max(box.height, SLOT)
        box.y = y + (slot - box.height) // 2
        y += slot + GAP
    return y - GAP if column else 0


def _dock(boxes: Sequence[Box], ribbons: Sequence[Ribbon]) -> None:
    """Stack the ribbons along the bars at both ends, so that they do not cross there."""
    for box in boxes:
        for leaving, far in ((True, "target"), (False, "source")):
            docked = [r for r in ribbons if (r.source if leaving else r.target) is box]
            docked.sort(key=lambda r: (getattr(r, far).y, r.source.id, r.target.id))
            whole = max(box.value, sum(r.tainted for r in docked)) or 1
            done = 0
            for ribbon in docked:
                edge = box.y + done * box.height // whole
                if leaving:
                    ribbon.start = edge
                else:
                    ribbon.end = edge
                done += ribbon.tainted
