"""How fields of the JSON objects read in a table: amounts in whole units, times of the reader's zone, short hashes."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from chains.model import format_units
from walletwatch.cli.output import Column, Row, show_value


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
