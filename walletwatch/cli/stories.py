"""The story of one transaction: what left, who asked and approved, what was found, who was told, who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from walletwatch.cli.audit_tables import entries_listing
from walletwatch.cli.cells import amount_text, local_time
from walletwatch.cli.findings import finding_rows
from walletwatch.cli.outflows import outflow_rows
from walletwatch.cli.output import Format, render
from walletwatch.cli.requests import request_rows
from walletwatch.cli.sessions import Session
from walletwatch.domain.objects import alert_object

if TYPE_CHECKING:
    from walletwatch.store import UnitOfWork
    from walletwatch.store.filters import Filter


def story_object(session: Session, unit: UnitOfWork, tx: bytes, wanted: Filter) -> dict[str, Any]:
    """Everything kept about a transaction (`wanted` asks for it), as one object; empty lists where there is nothing."""
    outflows = list(outflow_rows(session, unit, unit.outflows.find(wanted)))
    findings = finding_rows(session, unit, list(unit.findings.find(wanted)))
    alert_ids = {row["id"] for row in findings}
    alerts = [alert_object(alert) for alert in _alerts_about(unit, alert_ids)]
    ids = list(dict.fromkeys(request for row in outflows for request in row["requests"]))
    requests = [row for request in ids for row in request_rows(session, unit, _about_request(request))]
    nearest = [name for name in _named_by(findings) if name not in ids]
    near_requests = [row for request in nearest for row in request_rows(session, unit, _about_request(request))]
    cases = [s.case.id for s in unit.cases.find() if any(seed.tx == tx for seed in s.case.seeds)]
    subjects = {tx.hex(), f"0x{tx.hex()}", *cases, *ids, *nearest}
    subjects |= {row["id"] for rows in (outflows, findings, alerts) for row in rows}
    return {
        "tx": tx.hex(),
        "outflows": outflows,
        "requests": requests,
        "near_requests": near_requests,
        "findings": findings,
        "alerts": alerts,
        "cases": cases,
        "entries": _entries(unit, subjects),
    }


def _named_by(findings: list[dict[str, Any]]) -> dict[str, str]:
    """The requests that findings name, and in what the payment differs from each: DMM Bitcoin's theft stood beside an
    approved request for the same amount.
    """
    found: dict[str, str] = {}
    for row in findings:
        differs = {m["request_id"]: m.get("differs", "") for m in row["evidence"].get("mismatches", ())}
        for request in row["evidence"].get("request_ids", ()):
            found[request] = found.get(request) or differs.get(request, "")
    return found


def _alerts_about(unit: UnitOfWork, findings: set[str]) -> list[Any]:
    from walletwatch.store.filters import Filter

    return [alert for alert in unit.alerts.find(Filter()) if findings.intersection(alert.findings)]


def _about_request(request_id: str) -> Filter:
    from walletwatch.store.filters import Filter

    return Filter(request_id=request_id)


def _entries(unit: UnitOfWork, subjects: set[str]) -> list[dict[str, Any]]:
    """Audit entries about any of `subjects`, in order."""
    from walletwatch.store.filters import Filter

    found = {entry.seq: entry for subject in subjects for entry in unit.audit.find(Filter(subject=subject))}
    return [found[seq].as_json() for seq in sorted(found)]


def story_text(story: dict[str, Any], zone: ZoneInfo, form: Format) -> str:
    """The story for a person: sentences first, then the entries that prove them."""
    lines = [f"transaction {story['tx']}", ""]
    lines += [_outflow_line(row, zone) for row in story["outflows"]]
    lines += [line for row in story["requests"] for line in _request_lines(row, zone)]
    if story["outflows"] and not story["requests"]:
        lines.append("No request explains it.")
    if story["near_requests"]:
        lines += _near_lines(story, zone)
    lines += [f"{row['severity']}: {row['summary']} (rule {row['rule_id']}, {row['id']})" for row in story["findings"]]
    lines += [line for row in story["alerts"] for line in _alert_lines(row, zone)]
    lines += [f"It is followed as case {case}." for case in story["cases"]]
    return "\n".join(lines) + "\n\n" + render(story["entries"], entries_listing(zone), form)


def _outflow_line(row: dict[str, Any], zone: ZoneInfo) -> str:
    where = f"in block {row['height']}" if row["height"] is not None else "unconfirmed"
    to = ", ".join(d.get("label") or d["address"] for d in row["destinations"])
    return (
        f"{amount_text(row)} left {row['wallet']} on {row['chain']}, first seen {local_time(row['first_seen'], zone)}, "
        f"{where} ({row['state']}), to {to}."
    )


def _request_lines(row: dict[str, Any], zone: ZoneInfo) -> list[str]:
    head = f"Request {row['id']}: {amount_text(row)} to {row['destination']} ({row['state']})."
    acts = [
        f"  {local_time(act['at'], zone)} {act['actor']}: {act['act']}"
        + (f", refused: {act['refused']} ({act['reason']})" if act["refused"] else "")
        for act in row["acts"]
    ]
    return [head, *acts]


def _near_lines(story: dict[str, Any], zone: ZoneInfo) -> list[str]:
    differs = _named_by(story["findings"])
    lines = []
    for row in story["near_requests"]:
        why = f"differs in its {differs[row['id']]}" if differs.get(row["id"]) else "is named by a finding"
        lines += [f"The nearest request {why}:", *_request_lines(row, zone)]
    return lines


def _alert_lines(row: dict[str, Any], zone: ZoneInfo) -> list[str]:
    lines = [f"Alert {row['id']} ({row['state']}), opened {local_time(row['opened_at'], zone)}: {row['title']}"]
    lines += [
        f"  {local_time(d['at'], zone)} {d['sink']}: {d['outcome']} after {d['attempts']} attempts"
        for d in row["deliveries"]
    ]
    lines += [
        f"  {local_time(row[key]['at'], zone)} {key} by {row[key]['by']}: {row[key]['reason']}"
        for key in ("acknowledged", "closed")
        if key in row
    ]
    return lines
