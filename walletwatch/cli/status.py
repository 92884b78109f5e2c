"""`status`: where every chain stands, what waits, what is open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from chains.registry import format_hash
from walletwatch.cli.filters import FormatOption
from walletwatch.cli.sessions import Session, session_of
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.times import format_utc
from walletwatch.output.tables import Column, Format, Listing, Row, dump_json, render, show_value, text_column

if TYPE_CHECKING:
    from walletwatch.settings.chains import ChainSettings
    from walletwatch.store import UnitOfWork

EXAMPLE = "walletwatch status --format json"
SILENT_AFTER = timedelta(minutes=2)
"""A worker reports every few seconds; one that has not for so long is not running."""

FIELDS = ("chain", "chain_id", "cursor", "tip", "lag", "state", "endpoints", "last_error", "reported_at")


def _endpoints(row: Row) -> str:
    """`127.0.0.1:8332 ok 3 ms` of every endpoint."""
    shown = []
    for endpoint in row["endpoints"]:
        latency = "" if endpoint.get("latency_ms") is None else f" {endpoint['latency_ms']} ms"
        shown.append(f"{endpoint['name']} {endpoint['state']}{latency}")
    return ", ".join(shown)


LISTING = Listing(
    FIELDS,
    (
        text_column("chain", "chain"),
        text_column("state", "state"),
        Column("cursor", lambda row: show_value((row["cursor"] or {}).get("height")), right=True),
        Column("tip", lambda row: show_value((row["tip"] or {}).get("height")), right=True),
        text_column("lag", "lag", right=True),
        Column("nodes", _endpoints),
        text_column("last error", "last_error"),
        text_column("note", "note"),
    ),
    "no chain is configured",
)


def status(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Show where every chain stands. A row a chain; then what waits to be sent, open alerts, the audit log."""
    session = session_of(context)
    with session.reading() as unit:
        found = status_object(session, unit)
    if form is Format.JSON:
        typer.echo(dump_json(found), nl=False)
        return
    typer.echo(render(found["chains"], LISTING, form), nl=False)
    if form is not Format.CSV:
        outbox, audit = found["outbox"], found["audit"]
        typer.echo(f"\noutbox: {outbox['due']} due, {outbox['failed']} failed; open alerts: {found['alerts']['open']}")
        typer.echo(f"audit log: {audit['size']} entries, root {audit['root']}")


def status_object(session: Session, unit: UnitOfWork) -> dict[str, Any]:
    """Everything `status` shows, as the JSON object."""
    reports = unit.chain_state.reports()
    outbox, head = unit.alerts.outbox_counts(), unit.audit.head()
    return {
        "chains": [_chain_row(c, unit, reports.get(str(c.id))) for c in session.settings.chains],
        "outbox": {"due": outbox.get("due", 0), "failed": outbox.get("failed", 0)},
        "alerts": {"open": unit.alerts.count(AlertState.OPEN)},
        "audit": {"size": head.size, "root": head.root.hex()},
    }


def _chain_row(
    chain: ChainSettings, unit: UnitOfWork, reported: tuple[dict[str, Any], datetime] | None
) -> dict[str, Any]:
    place = unit.chain_state.cursor(chain.id)
    report, at = reported or ({}, None)
    cursor = None if place is None else {"height": place.ref.height, "hash": format_hash(chain.id, place.ref.hash)}
    tip = report.get("tip")
    return {
        "chain": chain.name,
        "chain_id": str(chain.id),
        "cursor": cursor,
        "tip": tip,
        "lag": None if cursor is None or tip is None else max(0, tip["height"] - cursor["height"]),
        "state": _state(report, at, unit.now),
        "endpoints": report.get("endpoints", []),
        "last_error": report.get("last_error", ""),
        "note": report.get("note", ""),
        "reported_at": None if at is None else format_utc(at),
    }


def _state(report: dict[str, Any], at: datetime | None, now: datetime) -> str:
    """The worker's own word, unless it stopped telling."""
    if at is None:
        return "never run"
    state = str(report.get("state", ""))
    return state if state == "halted" or now - at < SILENT_AFTER else "not running"
