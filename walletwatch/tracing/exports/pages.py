"""Exporting a case as one self-contained HTML page, without scripts and network access."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from chains.registry import format_hash
from walletwatch.domain.cases import TaintModel
from walletwatch.output.texts import Child, append, element, percent, shorten, to_html
from walletwatch.tracing.exports.drawings import MEANINGS, colour_of, draw
from walletwatch.tracing.exports.layouts import Symbols, Unit, kind_of, unit_of
from walletwatch.tracing.results import Resting, rank_places
from walletwatch.tracing.traces import Trace, TraceEdge, TraceNode

STYLE = """
:root { color-scheme: light; --ink: #172033; --soft: #5b6577; --line: #e3e7ee; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink); line-height: 1.45; font-size: 14px;
  font-family: Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 28px 24px 40px; }
.picture { background: #fff; border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; }
.picture svg { display: block; margin: 0 auto; max-width: 100%; height: auto; min-width: 900px; }
.picture g:hover > rect { filter: brightness(0.9); }
.picture path:hover { fill-opacity: 0.55; }
h2 { font-size: 17px; margin: 34px 0 12px; }
.table { background: #fff; border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; font-weight: 600; color: var(--soft); padding: 10px 12px; white-space: nowrap; }
td { padding: 8px 12px; border-top: 1px solid var(--line); vertical-align: top; }
.amount { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.n { text-align: right; color: var(--soft); width: 1%; font-variant-numeric: tabular-nums; }
.time { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
td.mono { font-family: ui-monospace, 'SF Mono', Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace;
  font-size: 12px; word-break: break-all; min-width: 180px; }
.chip { display: inline-block; color: #fff; border-radius: 9px; padding: 1px 9px; font-size: 12px;
  white-space: nowrap; }
.more, .gaps { color: var(--soft); padding: 8px 12px; margin: 0; }
.gaps { padding-left: 30px; }
footer { margin-top: 34px; color: var(--soft); font-size: 12px; }
@media print { body { background: #fff; } main { max-width: none; padding: 0; } .picture, .table { border: 0; } }
"""


MAX_ROWS = 2_000
"""Limit of rows in a table; the CSV has all, and the page says how many are omitted."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_MODELS = {
    TaintModel.POISON: "all that a tainted payment touches (full values; does not add up)",
    TaintModel.HAIRCUT: "every payment takes tainted and clean money in proportion",
    TaintModel.FIFO: "what came first leaves first",
    TaintModel.LIFO: "what came last leaves first",
    TaintModel.TIHO: "stolen money goes to the largest payments",
}


def render_html(traces: Sequence[Trace], symbols: Symbols, as_of: str = "") -> str:
    """The page of a case: for each stolen asset a picture, the places to act on, addresses and movements."""
    case = traces[0].case
    body = element("main")
    for trace in traces:
        append(body, _asset_section(trace, symbols, as_of))
    append(body, _footer(traces))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{case.name}: where the money went"),
        element("style", STYLE),
    )
    return to_html(element("html", head, element("body", body), lang="en"))


def _asset_section(trace: Trace, symbols: Symbols, as_of: str) -> Element:
    unit = unit_of(trace.asset, symbols)
    places = rank_places(trace)
    section = element("section")
    append(section, element("div", draw(trace, symbols, as_of), class_="picture"))
    append(section, element("h2", "What to freeze first"))
    append(section, _places_table(trace, places, unit))
    append(section, element("h2", "How sure is that? The same money by five models"))
    append(section, _models_table(trace, unit))
    append(section, element("h2", f"Addresses ({len(trace.nodes)})"))
    append(section, _nodes_table(trace, unit))
    append(section, element("h2", f"Movements ({len(trace.edges)})"))
    append(section, _edges_table(trace, unit))
    if trace.gaps:
        gaps = (element("li", gap) for gap in trace.gaps[:MAX_ROWS])
        append(section, element("h2", "What could not be seen"))
        append(section, element("ul", *gaps, class_="gaps"))
    return section


def _table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[Child]]) -> Element:
    """`heads` are (title, CSS class of the column)."""
    head = element("tr", *(element("th", title, class_=css) for title, css in heads))
    body = element("tbody")
    for row in rows[:MAX_ROWS]:
        cells = (element("td", cell, class_=css) for cell, (_, css) in zip(row, heads, strict=True))
        append(body, element("tr", *cells))
    table = element("table", element("thead", head), body)
    wrapped = element("div", table, class_="table")
    if len(rows) > MAX_ROWS:
        append(wrapped, element("p", f"{len(rows) - MAX_ROWS} more rows are in the CSV export.", class_="more"))
    return wrapped


def _chip(text: str, kind: str) -> Element:
    return element("span", text, class_="chip", style=f"background:{colour_of(kind)}")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _places_table(trace: Trace, places: Sequence[Resting], unit: Unit) -> Element:
    heads = [
        ("", "n"),
        ("Where", ""),
        ("Address", "mono"),
        (f"Stolen {unit.symbol} there", "amount"),
        ("Share", "amount"),
    ]
    rows: list[list[Child]] = [
        [
            str(number),
            element("span", _chip(_place_words(place), _place_kind(place)), " ", place.label),
            place.address or place.node,
            unit.exact(place.tainted).removesuffix(f" {unit.symbol}"),
            percent(place.tainted, trace.stolen),
            _time(place.last_seen),
            place.advice,
        ]
        for number, place in enumerate(places, start=1)
    ]
    return _table([*heads, ("Since (UTC)", "time"), ("To do", "")], rows)


def _place_kind(place: Resting) -> str:
    kinds = {"held": "holding", "lost sight": "holding", "small": "small"}
    return kinds.get(place.standing, place.category or "mixer")


def _place_words(place: Resting) -> str:
    return str(place.standing) if place.standing in ("held", "lost sight", "small") else place.category


def _models_table(trace: Trace, unit: Unit) -> Element:
    heads = [("Model", ""), ("Stolen", "amount"), ("At services", "amount"), ("Still held", "amount")]
    rows: list[list[Child]] = []
    for model, totals in trace.totals.items():
        name = element("span", element("strong", model.upper()), f": {_MODELS[model]}")
        amounts = (totals.stolen, totals.at_services, totals.holding, totals.fees, totals.below_threshold)
        rows.append([name, *(unit.exact(a).removesuffix(f" {unit.symbol}") for a in amounts)])
    return _table([*heads, ("Fees", "amount"), ("Too small", "amount")], rows)


def _nodes_table(trace: Trace, unit: Unit) -> Element:
    heads = [("Hop", "n"), ("Address", "mono"), ("Who", ""), (f"Tainted {unit.symbol} in", "amount")]
    stops = {node.id: [s for s in trace.stops if s.node == node.id] for node in trace.nodes[:MAX_ROWS]}
    rows = [_node_row(node, kind_of(node, stops.get(node.id, ())), unit) for node in trace.nodes]
    return _table([*heads, ("Still there", "amount"), ("First seen (UTC)", "time"), ("Last seen (UTC)", "time")], rows)


def _node_row(node: TraceNode, kind: str, unit: Unit) -> list[Child]:
    who = element("span", _chip(MEANINGS.get(kind, kind), kind), " ", node.label)
    amounts = [unit.exact(n).removesuffix(f" {unit.symbol}") if n else "" for n in (node.tainted, node.holding)]
    times = [_time(node.first_seen), _time(node.last_seen)]
    return [str(node.hop), node.address or node.id, who, *amounts, *times]


def _edges_table(trace: Trace, unit: Unit) -> Element:
    heads = [("Time (UTC)", "time"), ("Block", "n"), ("From", "mono"), ("To", "mono"), ("Amount", "amount")]
    rows = [_edge_row(trace, edge, unit) for edge in trace.edges]
    return _table([*heads, ("of it tainted", "amount"), ("Transaction", "mono")], rows)


def _edge_row(trace: Trace, edge: TraceEdge, unit: Unit) -> list[Child]:
    ends = (element("span", shorten(end, 12, 8), title=end) for end in (edge.source, edge.target))
    amounts = (unit.exact(n).removesuffix(f" {unit.symbol}") for n in (edge.amount, edge.tainted))
    return [_time(edge.time), str(edge.height), *ends, *amounts, format_hash(trace.case.chain, edge.tx)]


def _footer(traces: Sequence[Trace]) -> Element:
    case = traces[0].case
    seeds: Iterable[str] = dict.fromkeys(format_hash(case.chain, seed.tx) for seed in case.seeds)
    text = (
        f"Case {case.id} on {case.chain}, opened {_time(case.opened_at)} UTC by {case.opened_by}. "
        f"Theft: {', '.join(seeds)}. Amounts are exact. A label is somebody's statement, with its own source; "
        "taint is a convention, not a proof of who owns what."
    )
    return element("footer", element("p", text))
