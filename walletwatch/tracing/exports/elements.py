"""XML elements and the texts inside pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from chains.model import AssetId, format_units

Symbols = Mapping[AssetId, tuple[str, int]]
"""Symbol and decimals by asset."""

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """A stranger's text without control characters, which XML forbids, and without marks that turn the reading
    direction, which can make one address look like another.
    """
    return _UNPRINTABLE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Unit:
    """How amounts of one asset are written."""

    symbol: str
    decimals: int

    def exact(self, units: int) -> str:
        """Every digit: '4,502.9 BTC'."""
        return f"{format_units(units, self.decimals)} {self.symbol}"

    def short(self, units: int, places: int = 4) -> str:
        """Rounded down to `places` decimals, marked if it is not exact: '0.1234… ETH'."""
        keep = min(places, self.decimals)
        step: int = 10 ** (self.decimals - keep)
        if 0 < units < step:
            return self.exact(units)
        mark = "…" if units % step else ""
        return f"{format_units(units // step, keep)}{mark} {self.symbol}"


def unit_of(asset: AssetId, symbols: Symbols) -> Unit:
    """The unit of `asset`; base units of its CAIP-19 id where nobody knows better."""
    symbol, decimals = symbols.get(asset, (f"base units of {asset}", 0))
    return Unit(clean(symbol), decimals)


def percent(part: int, whole: int) -> str:
    """'12.3 %', by integers, half up; 100 % is said only of all."""
    if not whole:
        return "0 %"
    tenths = (part * 2000 // whole + 1) // 2
    tenths = min(tenths, 999) if part < whole else tenths
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


def shorten(address: str, head: int = 8, tail: int = 6) -> str:
    """'1B6rJRfj…v2kdZw7P': both ends, for a picture; the whole stands beside it in a tooltip."""
    return address if len(address) <= head + tail + 2 else f"{address[:head]}…{address[-tail:]}"


Child = Element | str
SVG = "http://www.w3.org/2000/svg"


def element(tag: str, /, *children: Child, **attributes: str | int) -> Element:
    """`element("text", "hello", class_="title", x=3)`; a trailing underscore is dropped, inner ones become hyphens."""
    node = Element(tag, {k.rstrip("_").replace("_", "-"): clean(str(v)) for k, v in attributes.items()})
    for child in children:
        append(node, child)
    return node


def append(node: Element, child: Child) -> None:
    """Add an element or a text at the end."""
    if isinstance(child, Element):
        node.append(child)
    elif len(node):
        node[-1].tail = (node[-1].tail or "") + clean(child)
    else:
        node.text = (node.text or "") + clean(child)


def to_svg(root: Element) -> str:
    """A standalone SVG document."""
    root.set("xmlns", SVG)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def to_xml(root: Element) -> str:
    """A standalone XML document."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def to_html(root: Element) -> str:
    """A standalone HTML document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
