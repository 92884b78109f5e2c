"""A trace as CSV tables and as GraphML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from chains.model import format_units
from chains.registry import format_hash
from walletwatch.domain.times import format_utc
from walletwatch.output.tables import write_csv
from walletwatch.output.texts import append, element, to_xml
from walletwatch.tracing.exports.layouts import Symbols, unit_of
from walletwatch.tracing.flows import Bounds
from walletwatch.tracing.traces import Trace, TraceEdge, TraceNode

_NODE_KEYS = {"chain": "string", "address": "string", "label": "string", "category": "string", "hop": "int"} | {
    "tainted": "string",
    "holding": "string",
    "first_seen": "string",
    "last_seen": "string",
}
_EDGE_KEYS = {"tx": "string", "asset": "string", "amount": "string", "tainted": "string"} | {
    "height": "long",
    "time": "string",
}


def render_graphml(traces: Sequence[Trace]) -> str:
    """One directed graph an asset. Amounts are texts of base units: 2**256 fits no number of GraphML."""
    root = element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    for domain, keys in (("node", _NODE_KEYS), ("edge", _EDGE_KEYS)):
        for name, kind in keys.items():
            key = element("key", id=f"{domain}_{name}", for_=domain)
            key.set("attr.name", name)
            key.set("attr.type", kind)
            append(root, key)
    for trace in traces:
        graph = element("graph", id=str(trace.asset), edgedefault="directed")
        for node in trace.nodes:
            append(graph, _node(node))
        for number, edge in enumerate(trace.edges):
            append(graph, _edge(trace, edge, number))
        append(root, graph)
    return to_xml(root)


def _data(domain: str, values: dict[str, str]) -> list[Element]:
    return [element("data", value, key=f"{domain}_{name}") for name, value in values.items() if value]


def _node(node: TraceNode) -> Element:
    values = {
        "chain": node.chain,
        "address": node.address,
        "label": node.label,
        "category": node.category,
        "hop": str(node.hop),
        "tainted": str(node.tainted),
        "holding": str(node.holding),
        "first_seen": format_utc(node.first_seen),
        "last_seen": format_utc(node.last_seen),
    }
    return element("node", *_data("node", values), id=node.id)


def _edge(trace: Trace, edge: TraceEdge, number: int) -> Element:
    values = {
        "tx": format_hash(trace.case.chain, edge.tx),
        "asset": str(edge.asset),
        "amount": str(edge.amount),
        "tainted": str(edge.tainted),
        "height": str(edge.height),
        "time": format_utc(edge.time),
    }
    return element("edge", *_data("edge", values), id=f"e{number}", source=edge.source, target=edge.target)


NODE_COLUMNS = (
    "asset",
    "id",
    "chain",
    "address",
    "label",
    "category",
    "hop",
    "tainted",
    "tainted_coins",
    "holding",
    "holding_coins",
    "first_seen",
    "last_seen",
)
EDGE_COLUMNS = (
    "asset",
    "from",
    "to",
    "tx",
    "height",
    "time",
    "amount",
    "amount_coins",
    "tainted",
    "tainted_coins",
    "tainted_min",
    "tainted_max",
)
STOP_COLUMNS = (
    "asset",
    "node",
    "address",
    "chain",
    "label",
    "category",
    "reason",
    "tainted",
    "tainted_coins",
    "onward_chain",
    "onward_address",
    "onward_memo",
    "txs",
)


def render_csv(traces: Sequence[Trace], symbols: Symbols) -> dict[str, str]:
    """`nodes`, `edges` and `stops` as CSV texts (RFC 4180)."""
    return {
        "nodes": _table(NODE_COLUMNS, (row for trace in traces for row in _node_rows(trace, symbols))),
        "edges": _table(EDGE_COLUMNS, (row for trace in traces for row in _edge_rows(trace, symbols))),
        "stops": _table(STOP_COLUMNS, (row for trace in traces for row in _stop_rows(trace, symbols))),
    }


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    return write_csv(columns, rows, line_end="\r\n")


def _coins(units: int, trace: Trace, symbols: Symbols) -> str:
    """A plain decimal number, without thousands' marks."""
    return format_units(units, unit_of(trace.asset, symbols).decimals).replace(",", "")


def _node_rows(trace: Trace, symbols: Symbols) -> Iterable[Sequence[str | int]]:
    for node in trace.nodes:
        yield (
            str(trace.asset),
            node.id,
            node.chain,
            node.address,
            node.label,
            node.category,
            node.hop,
            node.tainted,
            _coins(node.tainted, trace, symbols),
            node.holding,
            _coins(node.holding, trace, symbols),
            format_utc(node.first_seen),
            format_utc(node.last_seen),
        )


def _edge_rows(trace: Trace, symbols: Symbols) -> Iterable[Sequence[str | int]]:
    for edge in trace.edges:
        bounds = edge.bounds or Bounds(edge.tainted, edge.tainted)
        yield (
            str(trace.asset),
            edge.source,
            edge.target,
            format_hash(trace.case.chain, edge.tx),
            edge.height,
            format_utc(edge.time),
            edge.amount,
            _coins(edge.amount, trace, symbols),
            edge.tainted,
            _coins(edge.tainted, trace, symbols),
            bounds.low,
            bounds.high,
        )


def _stop_rows(trace: Trace, symbols: Symbols) -> Iterable[Sequence[str | int]]:
    for stop in trace.stops:
        onward = stop.onward
        yield (
            str(trace.asset),
            stop.node,
            stop.address,
            stop.chain,
            stop.label,
            stop.category,
            stop.reason,
            stop.tainted,
            _coins(stop.tainted, trace, symbols),
            onward.chain if onward else "",
            onward.address if onward else "",
            onward.memo if onward else "",
            " ".join(format_hash(trace.case.chain, tx) for tx in stop.txs),
        )
