"""The daily report in every form a person or program asks for."""

from __future__ import annotations

import io
import json
import re
from enum import StrEnum

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from walletwatch.reports.daily import DailyReport
from walletwatch.reports.daily_objects import daily_csv, daily_object
from walletwatch.reports.daily_pages import render_page
from walletwatch.reports.daily_sheets import Sheet, headline, make_sheets

_WIDTH = 120


class ReportForm(StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"
    HTML = "html"


def render_daily(report: DailyReport, form: ReportForm | str, *, width: int | None = None) -> str:
    """The report as one text that ends with a newline. `width` bounds the table. Raises ValueError for another form."""
    match ReportForm(form):
        case ReportForm.JSON:
            return json.dumps(daily_object(report), indent=2, ensure_ascii=False) + "\n"
        case ReportForm.CSV:
            return daily_csv(report)
        case ReportForm.MD:
            return _markdown(report)
        case ReportForm.HTML:
            return render_page(report)
        case ReportForm.TABLE:
            return _terminal(report, width or _WIDTH)


def title_of(report: DailyReport) -> str:
    """`Daily report 2024-05-31 (Asia/Tokyo)`, and whether the day is over."""
    part = "" if report.is_over else ", the day so far"
    return f"Daily report {report.day.isoformat()} ({report.zone}{part})"


# --- a terminal -------------------------------------------------------------------------------------------------------


def _terminal(report: DailyReport, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(tables(report))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def tables(report: DailyReport) -> Group:
    """The report for a rich console."""
    parts: list[Text | Table] = [
        Text(title_of(report), style="bold"),
        *(Text(f"  {line}") for line in headline(report)),
    ]
    for sheet in make_sheets(report):
        parts += [Text(), *_table(sheet)]
    return Group(*parts)


def _table(sheet: Sheet) -> list[Text | Table]:
    if not sheet.rows:
        return [Text.assemble((sheet.title, "bold"), f": {sheet.empty}")]
    named = any(heading.title for heading in sheet.headings)
    table = Table(box=box.SIMPLE_HEAD if named else None, pad_edge=False, show_edge=False, show_header=named)
    for heading in sheet.headings:
        table.add_column(heading.title, justify="right" if heading.right else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row))
    note = [Text(f"  {sheet.note}", style="dim")] if sheet.note else []
    return [Text(sheet.title, style="bold"), table, *note]


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(report: DailyReport) -> str:
    parts = [f"# {_escape(title_of(report))}", "", *(f"- {_escape(line)}" for line in headline(report))]
    for sheet in make_sheets(report):
        parts += ["", f"## {_escape(sheet.title)}", "", *_markdown_table(sheet)]
    return "\n".join(parts) + "\n"


def _markdown_table(sheet: Sheet) -> list[str]:
    if not sheet.rows:
        return [_escape(sheet.empty)]
    lines = [_line([heading.title for heading in sheet.headings])]
    lines.append("|" + "|".join("---:" if heading.right else "---" for heading in sheet.headings) + "|")
    lines += [_line(row) for row in sheet.rows]
    return [*lines, "", _escape(sheet.note)] if sheet.note else lines


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", safe)
