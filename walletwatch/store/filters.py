"""What a listing may be narrowed by; every filter is named after the field it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select

from chains.model import TxId


@dataclass(frozen=True, slots=True)
class Filter:
    """None means "any". Times are half-open [since, until); `chain` is the CAIP-2 text; no limit unless given."""

    since: datetime | None = None
    until: datetime | None = None
    chain: str | None = None
    tx: TxId | None = None
    wallet: str | None = None
    asset: str | None = None
    state: str | None = None
    rule: str | None = None
    severity: str | None = None
    verdict: str | None = None
    mode: str | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    request_id: str | None = None
    limit: int | None = None


def narrow(
    query: Select[Any], wanted: Filter, columns: Any, time: str, fields: Sequence[tuple[str, str]]
) -> Select[Any]:
    """Apply `wanted` to `query`: `time` names the time column, `fields` pairs a filter's name with its column."""
    if wanted.since is not None:
        query = query.where(columns[time] >= wanted.since)
    if wanted.until is not None:
        query = query.where(columns[time] < wanted.until)
    for name, column in fields:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[column] == value)
    return query if wanted.limit is None else query.limit(wanted.limit)
