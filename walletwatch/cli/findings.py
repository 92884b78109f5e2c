"""`findings`: what the rules found."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from walletwatch.cli.filters import (
    ChainOption,
    FormatOption,
    LimitOption,
    RuleOption,
    SeverityOption,
    SinceOption,
    TxOption,
    TzOption,
    UntilOption,
    VerdictOption,
    WalletOption,
)
from walletwatch.cli.sessions import Session, make_filter, not_found, session_of, show_object, show_rows
from walletwatch.domain.objects import finding_object
from walletwatch.output.tables import Format, Listing, hash_column, text_column, time_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walletwatch.domain.findings import Finding
    from walletwatch.store import UnitOfWork

app = typer.Typer()

FIELDS = (
    *("id", "rule", "rule_id", "verdict", "severity", "mode", "chain", "chain_id", "tx", "wallet", "asset", "outflow"),
    *("summary", "evidence", "rules_digest", "found_at", "resolved"),
)


def findings_listing(zone: ZoneInfo) -> Listing:
    """How findings are listed."""
    columns = (
        time_column("found", "found_at", zone),
        text_column("severity", "severity"),
        text_column("rule", "rule_id"),
        text_column("verdict", "verdict"),
        text_column("wallet", "wallet"),
        hash_column("tx", "tx"),
        text_column("summary", "summary"),
    )
    return Listing(FIELDS, columns, "no findings")


@app.command("list", epilog="Example: walletwatch findings list --severity critical --since 2026-11-21")
def list_findings(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    tz: TzOption = None,
    tx: TxOption = None,
    chain: ChainOption = None,
    wallet: WalletOption = None,
    rule: RuleOption = None,
    severity: SeverityOption = None,
    verdict: VerdictOption = None,
    mode: Annotated[str | None, typer.Option(help="Only enforce, or only shadow.")] = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List what the rules found. Violations, and what could not be judged; oldest first."""
    session = session_of(context)
    wanted = make_filter(
        session,
        since=since,
        until=until,
        tz=tz,
        tx=tx,
        chain=chain,
        wallet=wallet,
        severity=severity,
        verdict=verdict,
        mode=mode,
        limit=None if rule else limit,
    )
    with session.reading() as unit:
        found = (f for f in unit.findings.find(wanted) if rule in (None, f.rule, f.rule_id))
        show_rows(finding_rows(session, unit, list(islice(found, limit))), findings_listing(session.zone(tz)), form)


@app.command("show", epilog="Example: walletwatch findings show fnd_9a1b… --format json")
def show_finding(context: typer.Context, finding_id: str, form: FormatOption = Format.TABLE) -> None:
    """Show one finding with its evidence."""
    session = session_of(context)
    with session.reading() as unit:
        finding = unit.findings.get(finding_id)
        if finding is None:
            raise not_found("finding", finding_id, "findings list")
        show_object(finding_rows(session, unit, [finding])[0], form)


def finding_rows(session: Session, unit: UnitOfWork, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The *finding* objects, with what explained them later."""
    names, rows = session.names(), []
    for low in range(0, len(findings), 500):
        some = findings[low : low + 500]
        resolved = unit.findings.resolutions([f.id for f in some])
        rows += [finding_object(f, names, resolved=resolved.get(f.id)) for f in some]
    return rows
