"""Traces, and their JSON form (CONTRACT §5, *trace*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chains.model import AssetId, ChainId, TxId
from chains.registry import family_of, format_hash
from walletwatch.domain.cases import Case, Onward, TaintModel
from walletwatch.domain.times import format_utc
from walletwatch.tracing.flows import Bounds


@dataclass(frozen=True, slots=True)
class Totals:
    """Where the tainted base units of one asset are, by one model."""

    stolen: int
    at_services: int
    holding: int
    fees: int
    below_threshold: int


@dataclass(frozen=True, slots=True)
class TraceNode:
    """An address (empty for a CoinJoin). `tainted` is all that arrived; `holding` is still there and followed, or there
    beyond the last hop. Hop 0 is where the value was stolen.
    """

    id: str
    chain: str
    address: str
    label: str
    category: str
    hop: int
    tainted: int
    holding: int
    first_seen: datetime
    last_seen: datetime
    holding_bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class TraceEdge:
    """`amount` base units moved from node to node in `tx`, of which `tainted`. `evidence` is the foreign source of
    the transaction, empty for our own node.
    """

    source: str
    target: str
    tx: TxId
    asset: AssetId
    amount: int
    tainted: int
    height: int
    time: datetime
    bounds: Bounds | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class TraceStop:
    """`tainted` base units came to rest at `address` (empty in a CoinJoin, then `node` names its transaction)."""

    node: str
    address: str
    chain: str
    label: str
    category: str
    reason: str
    tainted: int
    onward: Onward | None = None
    txs: tuple[TxId, ...] = ()
    last_seen: datetime | None = None
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One asset of a case by one model; nodes by hop, edges in chain order. `gaps` are texts for assumptions made."""

    case: Case
    model: TaintModel
    asset: AssetId
    stolen: int
    nodes: tuple[TraceNode, ...]
    edges: tuple[TraceEdge, ...]
    stops: tuple[TraceStop, ...]
    totals: Mapping[TaintModel, Totals]
    gaps: tuple[str, ...] = ()

    def node(self, node_id: str) -> TraceNode:
        """The node with this id. Raises KeyError."""
        return next(n for n in self.nodes if n.id == node_id)


def trace_as_json(traces: Sequence[Trace], symbols: Mapping[AssetId, tuple[str, int]] | None = None) -> dict[str, Any]:
    """The *trace* object. The traces after the first one are complete objects under `other_assets`.

    `symbols` are (symbol, decimals) by asset, where known.
    """
    first, *others = traces
    body = _as_json(first, symbols or {})
    if others:
        body["other_assets"] = [_as_json(trace, symbols or {}) for trace in others]
    return body


def _as_json(trace: Trace, symbols: Mapping[AssetId, tuple[str, int]]) -> dict[str, Any]:
    symbol = {"symbol": symbols[trace.asset][0], "decimals": symbols[trace.asset][1]} if trace.asset in symbols else {}
    case = trace.case
    return {
        "case": case.id,
        "name": case.name,
        "state": str(case.state),
        "chain_id": str(case.chain),
        "model": str(trace.model),
        "seeds": [_seed_as_json(case, index) for index in range(len(case.seeds))],
        "asset": str(trace.asset),
        **symbol,
        "stolen": str(trace.stolen),
        "nodes": [_node_as_json(node) for node in trace.nodes],
        "edges": [_edge_as_json(edge, case.chain) for edge in trace.edges],
        "stops": [_stop_as_json(stop, case.chain) for stop in trace.stops],
        "totals": {
            str(model): {name: str(getattr(totals, name)) for name in Totals.__slots__}
            for model, totals in trace.totals.items()
        },
        "gaps": list(trace.gaps),
    }


def _seed_as_json(case: Case, index: int) -> dict[str, Any]:
    seed = case.seeds[index]
    number = {"vout": seed.ordinal} if family_of(case.chain).keeps_coins else {"log_index": seed.log_index}
    return {
        "chain": str(case.chain),
        "tx": format_hash(case.chain, seed.tx),
        **number,
        "address": seed.address.text,
        "asset": str(seed.asset),
        "amount": str(seed.amount),
        "height": seed.height,
    }


def _bounds_as_json(bounds: Bounds | None, of: str = "tainted") -> dict[str, str]:
    return {} if bounds is None else {f"{of}_min": str(bounds.low), f"{of}_max": str(bounds.high)}


def _node_as_json(node: TraceNode) -> dict[str, Any]:
    return {
        "id": node.id,
        "chain": node.chain,
        "address": node.address,
        **{key: value for key, value in (("label", node.label), ("category", node.category)) if value},
        "hop": node.hop,
        "tainted": str(node.tainted),
        "holding": str(node.holding),
        "first_seen": format_utc(node.first_seen),
        "last_seen": format_utc(node.last_seen),
        **_bounds_as_json(node.holding_bounds, "holding"),
    }


def _edge_as_json(edge: TraceEdge, chain: ChainId) -> dict[str, Any]:
    return {
        "from": edge.source,
        "to": edge.target,
        "tx": format_hash(chain, edge.tx),
        "asset": str(edge.asset),
        "amount": str(edge.amount),
        "tainted": str(edge.tainted),
        "height": edge.height,
        "time": format_utc(edge.time),
        **_bounds_as_json(edge.bounds),
        **({"evidence": "foreign", "source": edge.evidence} if edge.evidence else {}),
    }


def _stop_as_json(stop: TraceStop, chain: ChainId) -> dict[str, Any]:
    onward = stop.onward
    return {
        "address": stop.address,
        "chain": stop.chain,
        "label": stop.label,
        "category": stop.category,
        "reason": stop.reason,
        "tainted": str(stop.tainted),
        "txs": [format_hash(chain, tx) for tx in stop.txs],
        **({} if onward is None else {"onward": {k: getattr(onward, k) for k in ("chain", "address", "memo")}}),
        **_bounds_as_json(stop.bounds),
    }
