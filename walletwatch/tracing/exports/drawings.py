"""Drawing a trace as SVG: a flow diagram from left to right, with widths by amount."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from chains.registry import format_hash
from walletwatch.output.texts import append, element, percent, shorten, to_svg
from walletwatch.tracing.exports.layouts import BAR_WIDTH, Box, Layout, Ribbon, Symbols, Unit, lay_out, unit_of
from walletwatch.tracing.traces import Totals, Trace

COLOURS = {
    "victim": "#1d3557",
    "passed": "#94a3b8",
    "holding": "#c8324a",
    "exchange": "#2463c4",
    "service": "#0f8a7e",
    "mixer": "#7c3aa8",
    "bridge": "#d97a1f",
    "sanctioned": "#8f1d1d",
    "small": "#c9ced6",
}
OTHER_COLOUR = "#8a6d3b"
MEANINGS = {
    "victim": "stolen from",
    "passed": "passed on",
    "holding": "still there, watched",
    "exchange": "at an exchange",
    "service": "at a service",
    "mixer": "in a mixer or CoinJoin",
    "bridge": "in a bridge",
    "sanctioned": "at a sanctioned address",
    "small": "too small to follow",
}
INK, SOFT, LINE, PAPER = "#172033", "#5b6577", "#e3e7ee", "#ffffff"
FONT = "'Inter','Segoe UI','Helvetica Neue',Arial,'Liberation Sans','DejaVu Sans',sans-serif"
MONO = "ui-monospace,'SF Mono',Consolas,'Liberation Mono','DejaVu Sans Mono',monospace"
MARGIN, HEAD, FOOT = 36, 196, 64
_PARTS = (
    ("at_services", "at services", "exchange"),
    ("holding", "still held by the thief", "holding"),
    ("fees", "network fees", "passed"),
    ("below_threshold", "parts too small to follow", "small"),
)


def render_svg(trace: Trace, symbols: Symbols, as_of: str = "") -> str:
    """A standalone SVG, without scripts, fonts or links. `as_of` names the last block of the trace."""
    return to_svg(draw(trace, symbols, as_of))


def draw(trace: Trace, symbols: Symbols, as_of: str = "") -> Element:
    """The picture as an SVG element, to embed in a page."""
    unit = unit_of(trace.asset, symbols)
    layout = lay_out(trace)
    width = layout.width + 2 * MARGIN
    height = HEAD + layout.height + FOOT
    title = f"{trace.case.name}: {unit.exact(trace.stolen)} stolen"
    root = element("svg", viewBox=f"0 0 {width} {height}", width=width, height=height, role="img", font_family=FONT)
    append(root, element("title", title))
    append(root, element("rect", width=width, height=height, fill=PAPER))
    append(root, _head(trace, unit, width, as_of))
    flow = element("g", transform=f"translate({MARGIN},{HEAD})")
    append(flow, _columns(layout))
    for ribbon in sorted(layout.ribbons, key=lambda r: -r.width):
        append(flow, _ribbon(ribbon, trace, unit))
    for box in layout.boxes:
        append(flow, _box(box, unit))
    append(root, flow)
    append(root, _legend(layout, height - 26))
    return root


def colour_of(kind: str) -> str:
    """The colour of a kind of node."""
    return COLOURS.get(kind, OTHER_COLOUR)


def _text(text: str, x: int, y: int, size: int = 13, fill: str = INK, /, **more: str | int) -> Element:
    return element("text", text, x=x, y=y, font_size=size, fill=fill, **more)


def _head(trace: Trace, unit: Unit, width: int, as_of: str) -> Element:
    head = element("g")
    append(head, _text(trace.case.name, MARGIN, 44, 24, font_weight=700))
    since = min((n.first_seen for n in trace.nodes), default=None)
    facts = [f"{unit.exact(trace.stolen)} stolen", *([_day(since)] if since else []), f"followed by {trace.model}"]
    append(head, _text(" · ".join([*facts, *([as_of] if as_of else [])]), MARGIN, 68, 14, SOFT))
    append(head, _totals_bar(trace.totals[trace.model], unit, width - 2 * MARGIN))
    return head


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _totals_bar(totals: Totals, unit: Unit, width: int) -> Element:
    """One bar for the stolen amount, divided into where it is now."""
    group = element("g", transform=f"translate({MARGIN},88)")
    append(group, element("rect", width=width, height=12, rx=6, fill=LINE))
    parts = [(getattr(totals, name), words, colour_of(kind)) for name, words, kind in _PARTS]
    whole = sum(amount for amount, _, _ in parts)
    done, at = 0, 0
    for amount, words, colour in parts:
        if amount:
            start, end = done * width // whole, (done + amount) * width // whole
            piece = element("rect", x=start, width=max(2, end - start), height=12, fill=colour, rx=2)
            append(piece, element("title", f"{words}: {unit.exact(amount)}"))
            append(group, piece)
        append(group, element("circle", cx=at + 5, cy=34, r=5, fill=colour))
        append(group, _text(words, at + 16, 38, 12, SOFT))
        share = f"{unit.short(amount)} · {percent(amount, whole)}" if amount else "none"
        append(group, _text(share, at + 16, 56, 13, font_weight=600))
        done += amount
        at += width // len(parts)
    return group


def _columns(layout: Layout) -> Element:
    group = element("g")
    for hop, x in layout.columns.items():
        append(group, _text("stolen from" if hop == 0 else f"hop {hop}", x, -18, 11, SOFT, letter_spacing="0.06em"))
    return group


def _ribbon(ribbon: Ribbon, trace: Trace, unit: Unit) -> Element:
    x1, x2 = ribbon.source.x + BAR_WIDTH, ribbon.target.x
    a, b, w = ribbon.start, ribbon.end, ribbon.width
    if ribbon.backward:
        low = max(ribbon.source.y + ribbon.source.height, ribbon.target.y + ribbon.target.height) + 26
        path = (
            f"M{x1},{a} C{x1 + 60},{a} {x1 + 60},{low} {x1},{low} L{x2},{low} C{x2 - 60},{low} {x2 - 60},{b} {x2},{b}"
        )
        shape = element("path", d=path, fill="none", stroke=colour_of(ribbon.target.kind), stroke_dasharray="4 3")
        shape.set("stroke-width", "1.5")
    else:
        m = (x1 + x2) // 2
        path = f"M{x1},{a} C{m},{a} {m},{b} {x2},{b} L{x2},{b + w} C{m},{b + w} {m},{a + w} {x1},{a + w} Z"
        shape = element("path", d=path, fill=colour_of(ribbon.target.kind), fill_opacity="0.30")
    append(shape, element("title", _describe_ribbon(ribbon, trace, unit)))
    return shape


def _describe_ribbon(ribbon: Ribbon, trace: Trace, unit: Unit) -> str:
    lines = [f"{_name(ribbon.source)} → {_name(ribbon.target)}", f"{unit.exact(ribbon.tainted)} tainted"]
    chain = trace.case.chain
    lines += [f"{_day(e.time)}, block {e.height}: {format_hash(chain, e.tx)}" for e in ribbon.edges[:5]]
    if len(ribbon.edges) > 5:
        lines.append(f"and {len(ribbon.edges) - 5} more transactions")
    return "\n".join(lines)


def _name(box: Box) -> str:
    """The full name, for tooltips."""
    if len(box.members) > 1:
        return f"{len(box.members)} addresses"
    node = box.members[0]
    return f"{node.label} ({node.address})" if node.label and node.address else node.label or node.address or node.id


def _box(box: Box, unit: Unit) -> Element:
    group = element("g")
    colour = colour_of(box.kind)
    append(group, element("title", _describe_box(box, unit)))
    shape = {"x": box.x, "width": BAR_WIDTH, "rx": 3}
    append(group, element("rect", y=box.y, height=box.height, fill=colour, **shape))
    if box.kind == "passed" and box.holding and box.value:
        part = max(2, box.holding * box.height // box.value)
        append(group, element("rect", y=box.y + box.height - part, height=part, fill=COLOURS["holding"], **shape))
    first, second = _captions(box, unit)
    middle, x = box.y + box.height // 2, box.x + BAR_WIDTH + 9
    halo: dict[str, str | int] = {
        "paint_order": "stroke",
        "stroke": PAPER,
        "stroke_width": 4,
        "stroke_linejoin": "round",
    }
    named = len(box.members) > 1 or bool(box.members[0].label)
    font: dict[str, str | int] = {} if named else {"font_family": MONO}
    append(group, _text(first, x, middle - 3, 13, font_weight=600, **halo, **font))
    append(group, _text(second, x, middle + 14, 12, SOFT, **halo))
    return group


def _captions(box: Box, unit: Unit) -> tuple[str, str]:
    if len(box.members) > 1:
        return f"{len(box.members)} more addresses", f"{unit.short(box.value)} · {MEANINGS.get(box.kind, box.kind)}"
    node = box.members[0]
    name = shorten(node.label, 20, 8) if node.label else shorten(node.address or node.id)
    amount = unit.short(box.value)
    if box.kind == "passed" and box.holding:
        return name, f"{amount} · {unit.short(box.holding)} left"
    return name, f"{amount} · {shorten(node.address)}" if node.label and node.address else amount


def _describe_box(box: Box, unit: Unit) -> str:
    lines = [_name(box), MEANINGS.get(box.kind, box.kind)]
    if box.tainted:
        lines.append(f"received {unit.exact(box.tainted)} tainted")
    if box.holding:
        lines.append(f"holds {unit.exact(box.holding)}")
    lines.append(f"{_day(min(n.first_seen for n in box.members))} to {_day(max(n.last_seen for n in box.members))}")
    return "\n".join(lines + [n.address for n in box.members[:12] if len(box.members) > 1])


def _legend(layout: Layout, y: int) -> Element:
    kinds = _in_legend_order({box.kind for box in layout.boxes})
    group = element("g", transform=f"translate({MARGIN},{y})")
    x = 0
    for kind in kinds:
        append(group, element("rect", x=x, y=-10, width=12, height=12, rx=3, fill=colour_of(kind)))
        words = MEANINGS.get(kind, kind)
        append(group, _text(words, x + 18, 0, 12, SOFT))
        x += 18 + len(words) * 7 + 22
    return group


def _in_legend_order(kinds: Iterable[str]) -> Sequence[str]:
    known = list(COLOURS)
    return sorted(kinds, key=lambda k: (known.index(k) if k in known else len(known), k))
