"""`audit why` and `audit export`: one story, one pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from chains.registry import format_hash
from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.findings import finding_rows, findings_listing
from walletwatch.cli.outflows import outflow_rows, outflows_listing
from walletwatch.cli.requests import request_rows
from walletwatch.cli.sessions import Session, not_found
from walletwatch.cli.trace import fold, symbols_of
from walletwatch.domain.objects import alert_object
from walletwatch.output.tables import (
    Column,
    Format,
    Listing,
    amount_text,
    local_time,
    render,
    show_value,
    text_column,
    time_column,
)

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


if TYPE_CHECKING:
    from walletwatch.store import UnitOfWork
    from walletwatch.store.statements import Filter


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
    from walletwatch.store.statements import Filter

    return [alert for alert in unit.alerts.find(Filter()) if findings.intersection(alert.findings)]


def _about_request(request_id: str) -> Filter:
    from walletwatch.store.statements import Filter

    return Filter(request_id=request_id)


def _entries(unit: UnitOfWork, subjects: set[str]) -> list[dict[str, Any]]:
    """Audit entries about any of `subjects`, in order."""
    from walletwatch.store.statements import Filter

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


if TYPE_CHECKING:
    from walletwatch.audit.leaves import AuditEntry
    from walletwatch.audit.notes import SigningKey
    from walletwatch.store import Store, UnitOfWork
    from walletwatch.store.cases import StoredCase

_TRACE_FILES = ("html", "svg", "png", "csv", "json")


def write_evidence(session: Session, store: Store, key: SigningKey, note: str, out: Path, case: str | None) -> int:
    """Write the pack under the checkpoint `note`; how many entries it holds. Never overwrites."""
    from walletwatch.audit.notes import open_checkpoint
    from walletwatch.audit.packs import Pack, write_pack
    from walletwatch.audit.proofs import build_proofs

    if out.exists():
        raise UsageProblem(f"{out} exists", hint="name another file: evidence is never overwritten")
    size = open_checkpoint(note, key.verifying_key).size
    files = _case_files(session, case) if case is not None else {}
    with store.reading() as unit:
        entries = [e for e in unit.audit.entries() if e.seq < size]
        proofs = []
        if case is not None:
            entries = _about(unit, case, entries)
            proofs = build_proofs(entries, note, key.verifying_key, unit.audit.leaf_hashes(size))
        files |= _tables(session, unit, {e.subject for e in entries} if case is not None else None)
        page = files.pop("report.html", None) or _daily_page(session, unit)
    with out.open("xb") as file:
        write_pack(file, Pack(entries, proofs, note, page, files), key)
    return len(entries)


def _case_files(session: Session, case: str) -> dict[str, bytes]:
    """The case's picture, tables and graph; its page is the pack's report."""
    from walletwatch.tracing.exports.files import export_files

    folded = fold(session, case, None)
    made = export_files(folded.traces, _TRACE_FILES, symbols_of(session), f"block {folded.stored.cursor}")
    page = next(content for name, content in made.items() if name.endswith(".html"))
    return {f"trace/{name}": content for name, content in made.items()} | {"report.html": page}


def _daily_page(session: Session, unit: UnitOfWork) -> bytes:
    from walletwatch.service.reporting import daily_text

    return daily_text(session.settings, unit, "html").encode()


def _about(unit: UnitOfWork, case: str, entries: list[AuditEntry]) -> list[AuditEntry]:
    """Entries about the case, its transactions, the requests they used up and the alerts about them."""
    stored = unit.cases.get(case)
    if stored is None:
        raise not_found("case", case, "trace list")
    subjects = {stored.case.id, *_alerts_of(unit, stored), *_transactions_of(unit, stored)}
    return [entry for entry in entries if entry.subject in subjects]


def _transactions_of(unit: UnitOfWork, stored: StoredCase) -> set[str]:
    chain = stored.case.chain
    txids = {one.tx.txid for one in unit.cases.transactions(stored.case.id)} | {s.tx for s in stored.case.seeds}
    return {format_hash(chain, txid) for txid in txids}


def _alerts_of(unit: UnitOfWork, stored: StoredCase) -> set[str]:
    from walletwatch.store.statements import Filter

    txids = {seed.tx for seed in stored.case.seeds}
    about = {f.id for txid in txids for f in unit.findings.of_tx(stored.case.chain, txid)}
    own = unit.alerts.by_fingerprint(f"case/{stored.case.id}")
    every = [a.id for a in unit.alerts.find(Filter()) if about.intersection(a.findings)]
    return {*every, *([own.id] if own is not None else [])}


def _tables(session: Session, unit: UnitOfWork, subjects: set[str] | None) -> dict[str, bytes]:
    """Outflows and findings as CSV; with `subjects`, of those transactions only."""
    from walletwatch.store.statements import Filter

    def wanted(tx: bytes | None) -> bool:
        return subjects is None or (tx is not None and (tx.hex() in subjects or f"0x{tx.hex()}" in subjects))

    outflows = [o for o in unit.outflows.find(Filter()) if wanted(o.tx)]
    findings = [f for f in unit.findings.find(Filter()) if wanted(f.tx)]
    zone = session.zone(None)
    tables = {
        "outflows.csv": render(list(outflow_rows(session, unit, iter(outflows))), outflows_listing(zone), Format.CSV),
        "findings.csv": render(finding_rows(session, unit, findings), findings_listing(zone), Format.CSV),
    }
    return {name: text.encode() for name, text in tables.items()}
