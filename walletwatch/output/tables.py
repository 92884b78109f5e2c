"""Rows and objects as table, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chains.model import format_units
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


Row = Mapping[str, Any]

_WIDTH_OFF_TERMINAL = 120


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of table and Markdown. `show` makes its text from the row; `short` the table's, where it is cut."""

    title: str
    show: Callable[[Row], str]
    short: Callable[[Row], str] | None = None
    right: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind of object is listed. `fields` are the object's, in order: the header of its CSV."""

    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    empty: str = "nothing"
    """The text of a table without rows."""

    @property
    def headings(self) -> list[Heading]:
        """The columns' titles."""
        return [Heading(column.title, column.right) for column in self.columns]


def render(rows: Sequence[Row], listing: Listing, form: Format, *, width: int | None = None) -> str:
    """The rows as one text that ends with a newline. `width` bounds the table; None asks the terminal."""
    if form is Format.JSON:
        return dump_json(list(rows))
    if form is Format.CSV:
        return write_csv(listing.fields, ([row.get(field) for field in listing.fields] for row in rows))
    if form is Format.MD:
        return write_markdown(listing.headings, ([c.show(row) for c in listing.columns] for row in rows))
    if not rows:
        return f"{listing.empty}\n"
    cells = [[(c.short or c.show)(row) for c in listing.columns] for row in rows]
    return _console_table(listing.headings, cells, width)


def render_one(row: Row, form: Format, *, width: int | None = None) -> str:
    """One object: its fields one below the other, or one JSON object."""
    if form is Format.JSON:
        return dump_json(dict(row))
    if form is Format.CSV:
        return write_csv(tuple(row), [tuple(row.values())])
    pairs = [(key, line) for key, value in row.items() for line in _unfold(value)]
    if form is Format.MD:
        return write_markdown((Heading("field"), Heading("value")), pairs)
    named = [(key if n == 0 or pairs[n - 1][0] != key else "", value) for n, (key, value) in enumerate(pairs)]
    return _console_table((Heading(""), Heading("")), named, width)


def _console_table(headings: Sequence[Heading], rows: Sequence[Sequence[str]], width: int | None) -> str:
    terminal = None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
    return write_console(rich_table(headings, rows), width or terminal)


def _unfold(value: Any) -> list[str]:
    """The lines a field takes: a list of objects one line each, an object one line a member."""
    if isinstance(value, Mapping):
        return [f"{key}: {show_value(item)}" for key, item in value.items()] or [""]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return [", ".join(f"{k} {show_value(v)}" for k, v in item.items() if v not in (None, "")) for item in value]
    return [show_value(value)]


# --- columns ----------------------------------------------------------------------------------------------------------


def text_column(title: str, key: str, *, right: bool = False) -> Column:
    """A column that shows one field as it is."""
    return Column(title, lambda row: show_value(row.get(key)), right=right)


def amount_column(title: str = "amount", key: str = "amount") -> Column:
    """Whole units with their symbol."""
    return Column(title, lambda row: amount_text(row, key), right=True)


def hash_column(title: str, key: str) -> Column:
    """A hash or long id, cut short in tables only."""
    return Column(title, lambda row: show_value(row.get(key)), lambda row: short_hash(show_value(row.get(key))))


def time_column(title: str, key: str, zone: tzinfo) -> Column:
    """A time of `zone`, to the second."""
    return Column(title, lambda row: local_time(row.get(key), zone))


def amount_text(row: Row, key: str = "amount") -> str:
    """`4,502.9 BTC`; base units and the asset's id where its decimals are not known."""
    units = row.get(key)
    if units is None:
        return ""
    if row.get("decimals") is None:
        return f"{int(units):,} base units of {row.get('asset')}"
    return f"{format_units(int(units), row['decimals'])} {row['symbol']}"


def with_whole_units(row: Row) -> Row:
    """The object for a person: its amounts in whole units beside the base units."""
    if row.get("decimals") is None or "amount" not in row:
        return row
    shown: dict[str, Any] = {"amount": f"{amount_text(row)} ({row['amount']} base units)"}
    if "destinations" in row:
        unit = {key: row[key] for key in ("asset", "symbol", "decimals")}
        shown["destinations"] = [d | {"amount": amount_text(d | unit)} for d in row["destinations"]]
    return {**row, **shown}


def short_hash(text: str) -> str:
    """The first eight and the last four digits: `975ec405…e4d7`."""
    start = 10 if text.startswith("0x") else 8
    return f"{text[:start]}…{text[-4:]}" if len(text) > start + 6 else text


def local_time(text: str | None, zone: tzinfo) -> str:
    """`2024-05-31 13:26:17` of `zone`, nothing for None."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
