"""Exporting a case as a STIX 2.1 bundle, for other exchanges' and authorities' systems.

STIX has no object for a blockchain address; the published extension `cryptocurrency-wallet` is used, as in other feeds
of ransom and theft addresses. Ids are digests: the same case gives the same bundle.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from chains.registry import format_hash
from walletwatch.output.texts import clean
from walletwatch.tracing.exports.layouts import Symbols, unit_of
from walletwatch.tracing.results import Standing, rank_places
from walletwatch.tracing.traces import Trace, TraceNode

Stix = dict[str, Any]
WALLET_EXTENSION = "extension-definition--be78509e-6958-51b1-8b26-d17ee0eba2d7"
_SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""STIX 2.1 §2.9: the namespace of deterministic ids of observables."""
_OWN_NAMESPACE = uuid.uuid5(_SCO_NAMESPACE, "walletwatch")


def render_stix(traces: Sequence[Trace], symbols: Symbols) -> bytes:
    """The bundle as JSON: addresses, payments between them, and a grouping for the case."""
    case = traces[0].case
    author = _author(case.opened_at)
    objects: dict[str, Stix] = {author["id"]: author}
    for trace in traces:
        for item in _objects(trace, symbols, author["id"]):
            objects.setdefault(item["id"], item)
    members = [key for key in objects if key != author["id"]]
    grouping = {
        **_shared_fields("grouping", author["id"], case.opened_at, case.id),
        "name": clean(case.name),
        "description": _describe(traces, symbols),
        "context": "suspicious-activity",
        "object_refs": members,
    }
    bundle_id = f"bundle--{uuid.uuid5(_OWN_NAMESPACE, case.id)}"
    body = {"type": "bundle", "id": bundle_id, "objects": [*objects.values(), *([grouping] if members else [])]}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _stamp(moment: datetime) -> str:
    """STIX requires at least milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _author(moment: datetime) -> Stix:
    stamp = _stamp(moment)
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid.uuid5(_OWN_NAMESPACE, 'identity')}",
        "created": stamp,
        "modified": stamp,
        "name": "walletwatch",
        "identity_class": "system",
    }


def _shared_fields(kind: str, author: str, moment: datetime, *identity: str) -> Stix:
    stamp = _stamp(moment)
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid5(_OWN_NAMESPACE, ' '.join((kind, *identity)))}",
        "created_by_ref": author,
        "created": stamp,
        "modified": stamp,
    }


def _describe(traces: Sequence[Trace], symbols: Symbols) -> str:
    parts = [f"{unit_of(t.asset, symbols).exact(t.stolen)} ({t.asset})" for t in traces]
    case = traces[0].case
    seeds = dict.fromkeys(format_hash(case.chain, seed.tx) for seed in case.seeds)
    return f"Stolen on {case.chain}: {', '.join(parts)}, in {', '.join(seeds)}. Followed by {traces[0].model}."


def _objects(trace: Trace, symbols: Symbols, author: str) -> list[Stix]:
    wallets = {node.id: _wallet(node) for node in trace.nodes if node.address}
    found = list(wallets.values())
    found += _labels(trace, wallets, author)
    found += _payments(trace, symbols, wallets, author)
    return found + _indicators(trace, symbols, wallets, author)


def _wallet(node: TraceNode) -> Stix:
    key = orjson.dumps({"value": node.address}, option=orjson.OPT_SORT_KEYS).decode()
    return {
        "type": "cryptocurrency-wallet",
        "spec_version": "2.1",
        "id": f"cryptocurrency-wallet--{uuid.uuid5(_SCO_NAMESPACE, key)}",
        "value": node.address,
        "extensions": {WALLET_EXTENSION: {"extension_type": "new-sco"}},
    }


def _labels(trace: Trace, wallets: dict[str, Stix], author: str) -> list[Stix]:
    """A STIX note for each labelled address: a label is a statement of its source, not a fact of the chain."""
    return [
        {
            **_shared_fields("note", author, node.first_seen, trace.case.id, node.id),
            "abstract": clean(f"{node.label} ({node.category})"),
            "content": clean(f"{node.address} on {node.chain} is labelled {node.label} ({node.category})."),
            "object_refs": [wallets[node.id]["id"]],
        }
        for node in trace.nodes
        if node.id in wallets and node.label
    ]


def _payments(trace: Trace, symbols: Symbols, wallets: dict[str, Stix], author: str) -> list[Stix]:
    unit = unit_of(trace.asset, symbols)
    found: list[Stix] = []
    for edge in trace.edges:
        if edge.source not in wallets or edge.target not in wallets or edge.source == edge.target:
            continue
        tx = format_hash(trace.case.chain, edge.tx)
        identity = (trace.case.id, str(trace.asset), tx, edge.source, edge.target, str(len(found)))
        found.append(
            {
                **_shared_fields("relationship", author, edge.time, *identity),
                "relationship_type": "paid",
                "source_ref": wallets[edge.source]["id"],
                "target_ref": wallets[edge.target]["id"],
                "description": f"{unit.exact(edge.amount)}, of it {unit.exact(edge.tainted)} stolen, in {tx}",
            }
        )
    return found


def _indicators(trace: Trace, symbols: Symbols, wallets: dict[str, Stix], author: str) -> list[Stix]:
    """The thief's addresses that still hold stolen value: others should refuse deposits from these."""
    unit = unit_of(trace.asset, symbols)
    return [
        {
            **_shared_fields("indicator", author, place.last_seen, trace.case.id, str(trace.asset), place.node),
            "name": f"holds {unit.exact(place.tainted)} stolen",
            "indicator_types": ["malicious-activity"],
            "pattern": f"[cryptocurrency-wallet:value = '{_quoted(place.address)}']",
            "pattern_type": "stix",
            "valid_from": _stamp(place.last_seen),
        }
        for place in rank_places(trace)
        if place.standing is Standing.HELD and place.node in wallets
    ]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
