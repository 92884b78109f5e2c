"""The trace as text for a terminal: a tree by hop, and what to freeze first."""

from __future__ import annotations

from collections.abc import Sequence

from walletwatch.output.texts import one_line, percent
from walletwatch.tracing.exports.layouts import kind_of
from walletwatch.tracing.exports.units import Symbols, Unit, unit_of
from walletwatch.tracing.ranking import rank_places
from walletwatch.tracing.traces import Trace, TraceNode

MAX_LINES = 200
_MARKS = {"victim": "robbed", "passed": "passed on", "holding": "HOLDS IT", "small": "too small to follow"}


def render_tree(trace: Trace, symbols: Symbols) -> str:
    """Plain text, one line an address; an address reached by several ways stands under the largest payer."""
    unit = unit_of(trace.asset, symbols)
    totals = trace.totals[trace.model]
    head = [
        f"{one_line(trace.case.name)} ({trace.case.id}, {trace.case.state})",
        (
            f"stolen {unit.exact(trace.stolen)} · by {trace.model}: at services {unit.exact(totals.at_services)}, "
            f"held {unit.exact(totals.holding)}, fees {unit.exact(totals.fees)}, "
            f"too small {unit.exact(totals.below_threshold)}"
        ),
        "",
    ]
    lines = _branches(trace, unit)
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more addresses (export the case to see them)"]
    gaps = ["", *(f"not seen: {one_line(gap)}" for gap in trace.gaps[:10])] if trace.gaps else []
    return "\n".join([*head, *lines, "", *_places(trace, unit), *gaps]) + "\n"


def _branches(trace: Trace, unit: Unit) -> list[str]:
    parents = _parents(trace)
    children: dict[str | None, list[TraceNode]] = {}
    for node in trace.nodes:
        children.setdefault(parents.get(node.id), []).append(node)
    lines: list[str] = []
    stack: list[tuple[TraceNode, str, str]] = [(root, "", "") for root in reversed(children.get(None, []))]
    while stack:
        node, lead, below = stack.pop()
        lines.append(lead + _line(trace, node, unit))
        nested = sorted(children.get(node.id, []), key=lambda n: (-n.tainted, n.id))
        for place, child in reversed(list(enumerate(nested))):
            last = place == len(nested) - 1
            stack.append((child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))
    return lines


def _parents(trace: Trace) -> dict[str, str]:
    """By node, who of an earlier hop paid it most."""
    hops = {node.id: node.hop for node in trace.nodes}
    paid: dict[str, dict[str, int]] = {}
    for edge in trace.edges:
        if hops[edge.source] < hops[edge.target]:
            payers = paid.setdefault(edge.target, {})
            payers[edge.source] = payers.get(edge.source, 0) + edge.tainted
    return {node: max(payers, key=lambda p: (payers[p], p)) for node, payers in paid.items()}


def _line(trace: Trace, node: TraceNode, unit: Unit) -> str:
    kind = kind_of(node, [s for s in trace.stops if s.node == node.id])
    who = f" {one_line(node.label)}" if node.label else ""
    amount = f"  {unit.exact(node.tainted)}" if node.tainted else ""
    left = f", {unit.exact(node.holding)} left" if node.holding and kind == "passed" else ""
    return f"{one_line(node.address or node.id)}{who}{amount}  [{_MARKS.get(kind, one_line(kind))}{left}]"


def _places(trace: Trace, unit: Unit) -> Sequence[str]:
    places = rank_places(trace)
    lines = ["what to freeze first:"] if places else []
    for number, place in enumerate(places[:20], start=1):
        who = f"{one_line(place.label)} " if place.label else ""
        share = percent(place.tainted, trace.stolen)
        where = f"{who}{one_line(place.address or place.node)}"
        lines.append(f"{number:3}. {unit.exact(place.tainted)} ({share})  {where}: {place.advice}")
    return lines + ([f"     and {len(places) - 20} more"] if len(places) > 20 else [])
