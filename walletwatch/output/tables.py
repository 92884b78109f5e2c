"""Rows of texts as a table on a terminal, as CSV and as Markdown; any value as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from walletwatch.output.texts import clean, escape_markdown, guard_formula

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's title; `right` for numbers."""

    title: str
    right: bool = False


def show_value(value: Any) -> str:
    """One value for a person: nothing for None, yes and no, lists by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(show_value(item) for item in value)
    return str(value)


def dump_json(value: Any) -> str:
    """Indented JSON, one value, ending with a newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_csv(fields: Sequence[str], rows: Iterable[Sequence[Any]], *, line_end: str = "\n") -> str:
    """The rows under a header of `fields`. Lists and objects become JSON; no text is a formula to a spreadsheet.
    RFC 4180 asks for a `line_end` of CR LF.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end)
    writer.writerow(fields)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return guard_formula(value) if isinstance(value, str) else show_value(value)


def write_markdown(headings: Sequence[Heading], rows: Iterable[Sequence[str]]) -> str:
    """A table, one line a row."""
    rule = "| " + " | ".join("---:" if heading.right else "---" for heading in headings) + " |\n"
    return _markdown_row([h.title for h in headings]) + rule + "".join(_markdown_row(row) for row in rows)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |\n"


def rich_table(headings: Sequence[Heading], rows: Iterable[Sequence[str]]) -> Table:
    """A table for a rich console; markup in a cell is text. Without a title in `headings` it has no head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    named = any(heading.title for heading in headings)
    table = Table(box=box.SIMPLE_HEAD if named else None, pad_edge=False, show_edge=False, show_header=named)
    for heading in headings:
        table.add_column(heading.title, justify="right" if heading.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table


def write_console(part: RenderableType, width: int | None) -> str:
    """What a rich console shows, as text without colours or trailing spaces. `width` None is the terminal's."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(part)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
