"""SVG, XML and HTML documents out of elements; every text and attribute in them is cleaned."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from walletwatch.output.texts import clean

Child = Element | str
_SVG = "http://www.w3.org/2000/svg"


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
    root.set("xmlns", _SVG)
    return to_xml(root)


def to_xml(root: Element) -> str:
    """A standalone XML document."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def to_html(root: Element) -> str:
    """A standalone HTML document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
