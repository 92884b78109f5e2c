"""Exporting a case to files of several formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson
import resvg_py

from walletwatch.output.texts import to_svg
from walletwatch.tracing.exports.drawings import draw
from walletwatch.tracing.exports.layouts import Symbols
from walletwatch.tracing.exports.pages import render_html
from walletwatch.tracing.exports.stix import render_stix
from walletwatch.tracing.exports.tables import render_csv, render_graphml
from walletwatch.tracing.traces import Trace, trace_as_json

FONTS = Path(__file__).parent / "fonts"
"""DejaVu Sans and Sans Mono, reduced to Latin, Greek and Cyrillic; other scripts use the system's fonts."""
MAX_PIXELS = 8_000
"""Limit of the longer side; larger pictures are scaled down."""


def render_png(svg: str, width: int, height: int) -> bytes:
    """Our own SVG of `width` by `height` as PNG, at twice the size or at most MAX_PIXELS."""
    zoom = min(2.0, MAX_PIXELS / max(width, height, 1))
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=zoom,
        font_dirs=[str(FONTS)],
        sans_serif_family="DejaVu Sans",
        monospace_family="DejaVu Sans Mono",
    )


FORMATS = ("html", "svg", "png", "csv", "graphml", "stix", "json")


def export_files(
    traces: Sequence[Trace], formats: Iterable[str], symbols: Symbols, as_of: str = ""
) -> dict[str, bytes]:
    """File contents by name, for `formats` from FORMATS. `as_of` names the last block of the trace.

    Raises ValueError for an unknown format, or a case without a trace.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)} (known: {', '.join(FORMATS)})")
    if not traces:
        raise ValueError("the case has no trace yet")
    files: dict[str, bytes] = {}
    for name in wanted:
        files.update(_render(name, traces, symbols, as_of))
    return files


def _picture(name: str, trace: Trace, symbols: Symbols, as_of: str) -> bytes:
    root = draw(trace, symbols, as_of)
    size = int(root.get("width", "0")), int(root.get("height", "0"))
    svg = to_svg(root)
    return svg.encode() if name == "svg" else render_png(svg, *size)


def _render(name: str, traces: Sequence[Trace], symbols: Symbols, as_of: str) -> dict[str, bytes]:
    stem = re.sub(r"[^a-zA-Z0-9_-]+", "-", traces[0].case.id) or "case"
    if name == "csv":
        return {f"{stem}-{table}.csv": text.encode() for table, text in render_csv(traces, symbols).items()}
    if name in ("svg", "png"):
        pictures = [_picture(name, trace, symbols, as_of) for trace in traces]
        return {f"{stem}{f'-{n}' if n else ''}.{name}": picture for n, picture in enumerate(pictures)}
    if name == "json":
        return {f"{stem}.json": orjson.dumps(trace_as_json(traces, symbols), option=orjson.OPT_INDENT_2)}
    if name == "stix":
        return {f"{stem}.stix.json": render_stix(traces, symbols)}
    text = render_html(traces, symbols, as_of) if name == "html" else render_graphml(traces)
    return {f"{stem}.{name}": text.encode()}
