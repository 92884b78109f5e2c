"""Texts made safe to show, and elements of XML, SVG and HTML."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, tostring

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*\Z")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With the full-width forms, which spreadsheets of Japanese systems take for the same characters (OWASP)."""
_MARKDOWN = re.compile(r"([\\`*_\[\]|#])")


def clean(text: str) -> str:
    """`text` with U+FFFD for each control character other than tab and newline, each mark that changes the reading
    direction, each invisible character, each line separator and each half of a surrogate pair.

    An escape sequence could rewrite the terminal, a direction mark can make one address look like another, and XML
    forbids most of these characters.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """`text` cleaned, on one line, with single spaces."""
    return clean(" ".join(text.split()))


def guard_formula(text: str) -> str:
    """`text` cleaned, with an apostrophe before it if a spreadsheet could take it for a formula (CWE-1236).

    It could if it begins with `=`, `+`, `-` or `@`, also after white space, or with a tab or newline. A plain number
    keeps its sign.
    """
    text = clean(text)
    begins = text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\n"))
    return f"'{text}" if begins and not _NUMBER.match(text) else text


def escape_markdown(text: str) -> str:
    """`text` cleaned and on one line, with no character that Markdown or HTML reads as markup."""
    safe = clean(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(r"\\\1", safe)


def percent(part: int, whole: int) -> str:
    """'12.3 %', by integers, half up; 100 % only where `part` is all of `whole`."""
    if not whole:
        return "0 %"
    tenths = (part * 2000 // whole + 1) // 2
    tenths = min(tenths, 999) if part < whole else tenths
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


def shorten(text: str, head: int = 8, tail: int = 6) -> str:
    """'1B6rJRfj…v2kdZw7P': both ends of an address or label, where the whole is shown elsewhere."""
    return text if len(text) <= head + tail + 2 else f"{text[:head]}…{text[-tail:]}"


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
