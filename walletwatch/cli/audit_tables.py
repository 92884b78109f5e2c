"""Audit entries as a listing."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from walletwatch.cli.cells import time_column
from walletwatch.cli.output import Column, Listing, show_value, text_column

FIELDS = ("seq", "recorded_at", "actor", "action", "subject", "payload", "leaf_hash")


def entries_listing(zone: ZoneInfo) -> Listing:
    """Entries as a table: when, who, what."""
    columns = (
        text_column("seq", "seq", right=True),
        time_column("recorded", "recorded_at", zone),
        text_column("actor", "actor"),
        text_column("action", "action"),
        text_column("subject", "subject"),
        Column("payload", lambda row: show_value(row["payload"]), lambda row: _short(show_value(row["payload"]))),
    )
    return Listing(FIELDS, columns, "no entries")


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}…"
