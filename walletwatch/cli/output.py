"""Listings as table, JSON, CSV and Markdown, and the progress bar."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any

from chains.model import format_units


def amount_text(row: Row, key: str = "amount") -> str:
    """`4,502.9 BTC`; base units and the asset's id where its decimals are not known."""
    units = row.get(key)
    if units is None:
        return ""
    if row.get("decimals") is None:
        return f"{int(units):,} base units of {row.get('asset')}"
    return f"{format_units(int(units), row['decimals'])} {row['symbol']}"


def with_whole_units(row: Row) -> Row:
    """The object with its amounts said in whole units beside the base units, for a person."""
    if row.get("decimals") is None or "amount" not in row:
        return row
    said: dict[str, Any] = {"amount": f"{amount_text(row)} ({row['amount']} base units)"}
    if "destinations" in row:
        unit = {key: row[key] for key in ("asset", "symbol", "decimals")}
        said["destinations"] = [d | {"amount": amount_text(d | unit)} for d in row["destinations"]]
    return {**row, **said}


def amount_column(title: str = "amount", key: str = "amount") -> Column:
    """Whole units with their symbol."""
    return Column(title, lambda row: amount_text(row, key), right=True)


def short_hash(text: str) -> str:
    """The first eight and the last four characters that tell: `975ec405…e4d7`."""
    start = 10 if text.startswith("0x") else 8
    return f"{text[:start]}…{text[-4:]}" if len(text) > start + 6 else text


def hash_column(title: str, key: str) -> Column:
    """A hash or long id, cut short in tables only."""
    return Column(title, lambda row: show_value(row.get(key)), lambda row: short_hash(show_value(row.get(key))))


def time_column(title: str, key: str, zone: tzinfo) -> Column:
    """A time of `zone`, to the second."""
    return Column(title, lambda row: local_time(row.get(key), zone))


def local_time(text: str | None, zone: tzinfo) -> str:
    """`2024-05-31 13:26:17` of `zone`, nothing for None."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


Row = Mapping[str, Any]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*\Z")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
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
    """What a person is told if there is no row."""


def text_column(title: str, key: str, *, right: bool = False) -> Column:
    """A column that shows one field as it is."""
    return Column(title, lambda row: show_value(row.get(key)), right=right)


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


def clean(text: str) -> str:
    """Without control characters and text-direction marks: labels and memos are written by strangers, and an escape
    sequence in one could rewrite the terminal.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def render(rows: Sequence[Row], listing: Listing, form: Format, *, width: int | None = None) -> str:
    """The rows as one text that ends with a newline. `width` bounds the table; None asks the terminal."""
    if form is Format.JSON:
        return dump_json(list(rows))
    if form is Format.CSV:
        return _csv(rows, listing.fields)
    if form is Format.MD:
        return _markdown([c.title for c in listing.columns], [[c.show(r) for c in listing.columns] for r in rows])
    return _table(rows, listing, width)


def render_one(row: Row, form: Format, *, width: int | None = None) -> str:
    """One object: its fields one below the other, or one JSON object."""
    if form is Format.JSON:
        return dump_json(dict(row))
    if form is Format.CSV:
        return _csv([row], tuple(row))
    pairs = [[key, line] for key, value in row.items() for line in _unfold(value)]
    if form is Format.MD:
        return _markdown(["field", "value"], pairs)
    sheet = [{"field": key if n == 0 or pairs[n - 1][0] != key else "", "value": v} for n, (key, v) in enumerate(pairs)]
    return _table(sheet, Listing(("field", "value"), (text_column("", "field"), text_column("", "value"))), width)


def _unfold(value: Any) -> list[str]:
    """The lines a field takes: a list of objects one line each, an object one line a member."""
    if isinstance(value, Mapping):
        return [f"{key}: {show_value(item)}" for key, item in value.items()] or [""]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return [", ".join(f"{k} {show_value(v)}" for k, v in item.items() if v not in (None, "")) for item in value]
    return [show_value(value)]


def dump_json(value: Any) -> str:
    """Indented JSON, one value, ending with a newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _csv(rows: Sequence[Row], fields: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow([_cell(row.get(field)) for field in fields])
    return out.getvalue()


def _cell(value: Any) -> str:
    """A CSV cell. A text that a spreadsheet would take for a formula gets an apostrophe before it (CWE-1236)."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.match(text) else text
    return show_value(value)


def _markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(_escape_markdown(cell) for cell in line) + " |\n" for line in lines)


def _escape_markdown(text: str) -> str:
    text = clean(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text) if text != "---" else text


def _table(rows: Sequence[Row], listing: Listing, width: int | None) -> str:
    if not rows:
        return f"{listing.empty}\n"
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(c.title for c in listing.columns)
    )
    for column in listing.columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean((c.short or c.show)(row))) for c in listing.columns))
    out = io.StringIO()
    terminal = sys.stdout.isatty()
    Console(file=out, width=width or (None if terminal else _WIDTH_OFF_TERMINAL), highlight=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


Tell = Callable[[int, int | None], None]
"""Called with what is done, and how much there is in all where that is known."""


@contextmanager
def progress_bar(what: str) -> Iterator[Tell]:
    """A bar over `what`; it is gone when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
