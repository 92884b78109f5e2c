"""The trace as GraphML, for Gephi, yEd, Cytoscape and NetworkX."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from chains.model import format_hash
from walletwatch.domain.times import format_utc
from walletwatch.tracing.exports.elements import append, element, to_xml
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
