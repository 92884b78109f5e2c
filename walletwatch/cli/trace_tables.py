"""A trace as tables: addresses by hop, stops, totals by model."""

from __future__ import annotations

from typing import Any

from walletwatch.cli.cells import amount_text, hash_column
from walletwatch.cli.output import Column, Format, Listing, render, text_column

NODES = Listing(
    ("id", "chain", "address", "label", "category", "hop", "tainted", "holding", "first_seen", "last_seen"),
    (
        text_column("hop", "hop", right=True),
        hash_column("address", "address"),
        text_column("label", "label"),
        Column("tainted", lambda row: amount_text(row, "tainted"), right=True),
        Column("still there", lambda row: amount_text(row, "holding"), right=True),
        text_column("last seen", "last_seen"),
    ),
    "no address yet",
)
STOPS = Listing(
    ("address", "chain", "label", "category", "reason", "tainted", "txs", "onward"),
    (
        text_column("reason", "reason"),
        text_column("label", "label"),
        hash_column("address", "address"),
        Column("tainted", lambda row: amount_text(row, "tainted"), right=True),
    ),
    "no stop yet",
)


def trace_text(found: dict[str, Any], form: Format) -> str:
    """The *trace* object for a person; CSV holds the addresses only, as one table has one header."""
    unit = {key: found.get(key) for key in ("asset", "symbol", "decimals")}
    nodes = [node | unit for node in sorted(found["nodes"], key=lambda n: (n["hop"], n["first_seen"]))]
    if form is Format.CSV:
        return render(nodes, NODES, form)
    totals = [{"model": model, **unit, **sums} for model, sums in found["totals"].items()]
    names = tuple(key for key in totals[0] if key not in unit) if totals else ()
    columns = [text_column("model", "model")]
    columns += [Column(name.replace("_", " "), _total_reader(name), right=True) for name in names if name != "model"]
    head = f"{found['name']} ({found['case']}), {found['state']}: {amount_text(found, 'stolen')} stolen\n\n"
    stops = [stop | unit for stop in found["stops"]]
    parts = (
        render(nodes, NODES, form),
        render(stops, STOPS, form),
        render(totals, Listing(names, tuple(columns)), form),
    )
    return head + "\n".join(parts)


def _total_reader(name: str) -> Any:
    return lambda row: amount_text(row, name)
