"""The picture as PNG, by resvg: no browser, and with fonts of our own, for a server may have none."""

from __future__ import annotations

from pathlib import Path

import resvg_py

FONTS = Path(__file__).parent / "fonts"
"""DejaVu Sans and Sans Mono, cut down to Latin, Greek and Cyrillic; other scripts come from the machine's fonts."""
MAX_PIXELS = 8_000
"""On the longer side: larger pictures are drawn at a smaller scale."""


def render_png(svg: str, width: int, height: int) -> bytes:
    """Our own SVG, `width` by `height`, at twice its size where that is no more than MAX_PIXELS."""
    zoom = min(2.0, MAX_PIXELS / max(width, height, 1))
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=zoom,
        font_dirs=[str(FONTS)],
        sans_serif_family="DejaVu Sans",
        monospace_family="DejaVu Sans Mono",
    )
