"""`report`: what managers read."""

from __future__ import annotations

import sys
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import TzOption
from walletwatch.cli.sessions import session_of

app = typer.Typer()


class ReportFormat(StrEnum):
    """How to write the report."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"
    HTML = "html"


@app.callback()
def begin() -> None:
    """Reports from the store; no node is queried."""


@app.command("daily", epilog="Example: walletwatch report daily --date 2026-11-21 --format html > day.html")
def daily(
    context: typer.Context,
    day: Annotated[str | None, typer.Option("--date", help="The day, as 2026-11-21; default: today.")] = None,
    tz: TzOption = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="How to write it.")] = ReportFormat.TABLE,
) -> None:
    """Report one day. Books to zero, outflows and their approvals, findings, alerts, limits, the audit log's head."""
    from walletwatch.service.reporting import daily_text

    session = session_of(context)
    with session.reading() as unit:
        text = daily_text(session.settings, unit, form.value, _read_day(day), session.zone(tz))
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def _read_day(day: str | None) -> date | None:
    if day is None:
        return None
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise UsageProblem(f'"{day[:40]}" is not a date', where="--date", hint="write it as 2026-11-21") from None
