"""`audit export`: an evidence pack that a regulator checks without us."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chains.model import format_hash
from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.findings import finding_rows, findings_listing
from walletwatch.cli.outflows import outflow_rows, outflows_listing
from walletwatch.cli.output import Format, render
from walletwatch.cli.queries import not_found
from walletwatch.cli.sessions import Session
from walletwatch.cli.trace_folds import fold, symbols_of

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
    """Entries about the case, its transactions, the requests they used up and the alerts that told of them."""
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
    from walletwatch.store.filters import Filter

    txids = {seed.tx for seed in stored.case.seeds}
    about = {f.id for txid in txids for f in unit.findings.of_tx(stored.case.chain, txid)}
    told = unit.alerts.by_fingerprint(f"case/{stored.case.id}")
    every = [a.id for a in unit.alerts.find(Filter()) if about.intersection(a.findings)]
    return {*every, *([told.id] if told is not None else [])}


def _tables(session: Session, unit: UnitOfWork, subjects: set[str] | None) -> dict[str, bytes]:
    """Outflows and findings as CSV; with `subjects`, of those transactions only."""
    from walletwatch.store.filters import Filter

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
