"""The daily report as table, Markdown, CSV, JSON and HTML."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from rich.console import Group
from rich.table import Table
from rich.text import Text

from chains.model import format_units
from walletwatch.domain.times import format_utc
from walletwatch.output.tables import dump_json, rich_table, write_console, write_markdown
from walletwatch.output.texts import clean, escape_markdown, percent
from walletwatch.reports.daily import DailyReport
from walletwatch.reports.daily_limits import LimitUse
from walletwatch.reports.daily_objects import daily_csv, daily_object
from walletwatch.reports.daily_sheets import AGREES, NOT_TOLD, Sheet, headline, make_sheets, say_secs

_FINE_OUTCOMES = ("approved", "approved late", "not judged")
_FULL_BAR = 100


@cache
def _template() -> Template:
    loader = PackageLoader("walletwatch.reports", "html")
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("daily.html.j2")


def render_page(report: DailyReport) -> str:
    """The page."""
    sheets = {sheet.title: sheet for sheet in make_sheets(report)}
    return (
        _template().render(
            report=report,
            tone=_tone(report),
            headline=headline(report),
            figures=_figures(report),
            sheets=sheets,
            marks={title: _marks(sheet) for title, sheet in sheets.items()},
            bars=[_bar(use) for use in report.limits],
            day=f"{report.day:%A}, {report.day.day} {report.day:%B %Y}",
            made_at=f"{format_utc(report.made_at)[:19]}Z",
        )
        + "\n"
    )


def _tone(report: DailyReport) -> str:
    """`bad` where somebody has to act, `good` where all is proved fine, `plain` otherwise."""
    if report.balances is False or any(t.outcome not in _FINE_OUTCOMES for t in report.outflows):
        return "bad"
    return "plain" if report.balances is None or report.alerts.waiting else "good"


def _figures(report: DailyReport) -> list[tuple[str, str, str, str]]:
    """(number, what, detail, tone) of the tiles."""
    alerts = report.alerts
    odd = sum(t.count for t in report.outflows if t.outcome not in _FINE_OUTCOMES)
    taken = [f"{alerts.waiting} waiting"] if alerts.waiting else []
    taken += [f"taken after {say_secs(alerts.median_secs)}"] if alerts.median_secs is not None else []
    differing = sum(bool(book.difference) for book in report.books)
    books = {None: "not held against the chain", True: "agree with the chain", False: "differ from the chain"}
    return [
        (str(len(report.books)), "books", books[report.balances], "bad" if differing else "good"),
        (str(sum(t.count for t in report.outflows)), "outflows", f"{odd} not as approved", "bad" if odd else "good"),
        (str(alerts.opened), "alerts", ", ".join(taken) or "none to take", "bad" if alerts.waiting else "plain"),
        (_share(report), "online", "share of all value at the end", "plain"),
    ]


def _share(report: DailyReport) -> str:
    whole = report.hot[-1] if report.hot else None
    if whole is None or whole.online is None or not whole.whole:
        return "?"
    return percent(whole.online, whole.whole)


def _marks(sheet: Sheet) -> list[str]:
    """A class for each row: what stands out."""
    return [_mark(sheet.title, row) for row in sheet.rows]


def _mark(title: str, row: tuple[str, ...]) -> str:
    if title == "Balances":
        return "" if row[-1] in (AGREES, NOT_TOLD) else "bad"
    if title == "Outflows":
        return "" if row[0] in _FINE_OUTCOMES else "bad"
    return row[0] if title == "Findings" else ""


def _bar(use: LimitUse) -> dict[str, str | int]:
    """A limit as a bar; what is above it fills the bar and is red."""
    known = use.used is not None and use.limit
    width = min(_FULL_BAR, (use.used or 0) * _FULL_BAR // use.limit) if known and use.limit else 0
    used = use.reason if use.used is None else f"{format_units(use.used, use.decimals)} {use.symbol}".strip()
    return {
        "id": use.rule_id,
        "allowed": use.allowed,
        "used": used,
        "percent": use.percent,
        "width": width,
        "tone": "bad" if use.broken else "good",
        "broken": use.broken,
    }


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
            return dump_json(daily_object(report))
        case ReportForm.CSV:
            return daily_csv(report)
        case ReportForm.MD:
            return _markdown(report)
        case ReportForm.HTML:
            return render_page(report)
        case ReportForm.TABLE:
            return write_console(tables(report), width or _WIDTH)


def title_of(report: DailyReport) -> str:
    """`Daily report 2024-05-31 (Asia/Tokyo)`, and whether the day is over."""
    part = "" if report.is_over else ", the day so far"
    return f"Daily report {report.day.isoformat()} ({report.zone}{part})"


# --- a terminal -------------------------------------------------------------------------------------------------------


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
    note = [Text(f"  {sheet.note}", style="dim")] if sheet.note else []
    return [Text(sheet.title, style="bold"), rich_table(sheet.headings, sheet.rows), *note]


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(report: DailyReport) -> str:
    head = [f"# {escape_markdown(title_of(report))}\n", *(f"- {escape_markdown(line)}" for line in headline(report))]
    sections = [f"\n## {escape_markdown(sheet.title)}\n\n{_markdown_section(sheet)}" for sheet in make_sheets(report)]
    return "\n".join([*head, *sections]).rstrip("\n") + "\n"


def _markdown_section(sheet: Sheet) -> str:
    if not sheet.rows:
        return escape_markdown(sheet.empty) + "\n"
    note = f"\n{escape_markdown(sheet.note)}\n" if sheet.note else ""
    return write_markdown(sheet.headings, sheet.rows) + note
