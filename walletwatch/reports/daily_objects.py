"""The daily report as the JSON object other programs rely on, and as CSV: one line a value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from chains.model import AssetId
from chains.registry import format_hash
from walletwatch.domain.cases import Case
from walletwatch.domain.objects import Json, Names, silence_object, time_text
from walletwatch.output.tables import write_csv
from walletwatch.reports.daily import DailyReport
from walletwatch.reports.daily_limits import DailyBook, HotShare, LimitUse

REPORT_TYPE = "walletwatch.daily-report/v1"
CSV_FIELDS = ("day", "section", "row", "field", "value")


def daily_object(report: DailyReport) -> Json:
    """The *daily report* object. Amounts are texts of base units, None where they are not known."""
    names = Names(report.assets, report.chains)
    return {
        "type": REPORT_TYPE,
        "day": report.day.isoformat(),
        "timezone": report.zone,
        "since": time_text(report.since),
        "until": time_text(report.until),
        "made_at": time_text(report.made_at),
        "complete": report.is_over,
        "balances": report.balances,
        "wallets": [_book(book, names) for book in report.books],
        "outflows": [
            {
                "state": tally.state,
                "approval": tally.outcome,
                **names.unit(tally.asset),
                "count": tally.count,
                "amount": str(tally.amount),
            }
            for tally in report.outflows
        ],
        "findings": [
            {
                "rule": tally.rule,
                "rule_id": tally.rule_id,
                "severity": str(tally.severity),
                "verdict": str(tally.verdict),
                "mode": tally.mode,
                "count": tally.count,
            }
            for tally in report.findings
        ],
        "alerts": _alerts(report),
        "limits": [_limit(use) for use in report.limits],
        "hot_share": [_share(share, names) for share in report.hot],
        "silences": [silence_object(silence) for silence in report.silences],
        "unwatched": [_unwatched(dict(row), names) for row in report.unwatched],
        "cases": [_case(case, names) for case in report.cases],
        "audit": {
            "size": report.audit.size,
            "root": report.audit.root,
            "signed_size": report.audit.signed_size,
            "signed_at": time_text(report.audit.signed_at),
        },
    }


def _text(units: int | None) -> str | None:
    return None if units is None else str(units)


def _book(book: DailyBook, names: Names) -> Json:
    chain = str(book.asset.id.chain)
    return {
        "wallet": book.wallet,
        "role": book.role,
        "chain": names.chain(chain),
        "chain_id": chain,
        "asset": str(book.asset.id),
        "symbol": book.asset.symbol,
        "decimals": book.asset.decimals,
        "opening": _text(book.opening),
        "in": str(book.received),
        "out": str(book.sent),
        "fees": str(book.fees),
        "closing": _text(book.closing),
        "chain_balance": _text(book.chain_balance),
        "difference": _text(book.difference),
        "reason": book.reason,
    }


def _alerts(report: DailyReport) -> Json:
    alerts = report.alerts
    return {
        "opened": alerts.opened,
        "by_severity": {str(severity): count for severity, count in alerts.by_severity.items()},
        "by_state": dict(alerts.by_state),
        "acknowledged": alerts.acknowledged,
        "waiting": alerts.waiting,
        "time_to_acknowledge_secs": {"median": alerts.median_secs, "max": alerts.max_secs},
    }


def _limit(use: LimitUse) -> Json:
    return {
        "rule_id": use.rule_id,
        "rule": use.type,
        "allowed": use.allowed,
        "limit": _text(use.limit),
        "used": _text(use.used),
        "asset": use.asset or None,
        "symbol": use.symbol or None,
        "decimals": use.decimals,
        "used_percent": use.percent or None,
        "tx": use.tx or None,
        "at": time_text(use.at),
        "violations": use.broken,
        "reason": use.reason,
    }


def _share(share: HotShare, names: Names) -> Json:
    unit: Json = {"asset": "USD", "symbol": "USD", "decimals": 8}
    if share.asset is not None:
        unit = names.unit(share.asset.id)
    return {
        **unit,
        "online": _text(share.online),
        "whole": _text(share.whole),
        "percent": share.percent or None,
        "reason": share.reason,
    }


def _unwatched(row: Json, names: Names) -> Json:
    since, until = (time_text(row[key]) if isinstance(row[key], datetime) else None for key in ("since", "until"))
    heights = {"from_height": row["from_height"], "to_height": row["to_height"]}
    chain = {"chain": names.chain(row["chain"]), "chain_id": row["chain"]}
    return {**chain, "since": since, "until": until, **heights, "reason": row["reason"]}


def _case(case: Case, names: Names) -> Json:
    return {
        "case": case.id,
        "name": case.name,
        "chain": names.chain(str(case.chain)),
        "chain_id": str(case.chain),
        "state": str(case.state),
        "opened_at": time_text(case.opened_at),
        "opened_by": case.opened_by,
        "txs": list(dict.fromkeys(format_hash(case.chain, seed.tx) for seed in case.seeds)),
        "stolen": [{**names.unit(asset), "amount": str(stolen_of(case, asset))} for asset in case.assets],
    }


def stolen_of(case: Case, asset: AssetId) -> int:
    """Base units of `asset` that the case began with."""
    return sum(seed.amount for seed in case.seeds if seed.asset == asset)


# --- CSV --------------------------------------------------------------------------------------------------------------


def daily_csv(report: DailyReport) -> str:
    """Every value of the object on a line of its own: day, section, row of the section (from 1), field, value."""
    return write_csv(CSV_FIELDS, _csv_rows(daily_object(report)))


def _csv_rows(found: Json) -> Iterator[tuple[Any, ...]]:
    for section, value in found.items():
        rows = value if isinstance(value, list) else [value]
        for number, row in enumerate(rows, start=1):
            fields = row if isinstance(row, dict) else {"": row}
            yield from ((found["day"], section, number, name, leaf) for name, leaf in _leaves(fields))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{name}.{number}")
    else:
        yield name, value
