"""Findings: at most one for (chain, tx, wallet, asset, rule_id), whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from chains.model import ChainId, TxId
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.times import format_utc
from walletwatch.store import tables as t
from walletwatch.store.statements import Filter, Statement, inserting_new, narrow

_FIELDS = [
    ("chain", "chain"),
    ("tx", "txid"),
    ("wallet", "wallet"),
    ("asset", "asset"),
    ("rule", "rule"),
    ("severity", "severity"),
    ("verdict", "verdict"),
    ("mode", "mode"),
]


_LIFE = ("id", "found_at", "resolved", "history")
"""What another judgement of the same finding does not overwrite."""
_f = t.findings.c
_NEW = inserting_new(t.findings)
_SETTLE = Statement(
    lambda _: update(t.findings).where(_f.id == bindparam("which"), _f.verdict == str(VerdictKind.UNDETERMINED)),
    [c.name for c in t.findings.columns if c.name not in _LIFE],
)


class FindingRepository:
    """Written once; later only resolved, never removed."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def add(self, finding: Finding) -> bool:
        """Keep a finding; False if one with this key was kept before."""
        return _NEW.run(self._c, _row(finding)) == 1

    def settle(self, finding: Finding) -> bool:
        """An undetermined finding that can be judged now becomes the violation it is; False if nothing changed."""
        row = {k: v for k, v in _row(finding).items() if k not in _LIFE}
        return bool(_SETTLE.run(self._c, row | {"which": finding.id}))

    def renew(self, finding: Finding) -> str:
        """Make a kept finding what it is by the present judgement: `returned` if it was resolved, `severity` if it is
        louder or quieter than before, else empty. What it was goes into its history.
        """
        row = self._c.execute(select(_f.severity, _f.resolved).where(_f.id == finding.id)).one()
        if row.resolved is None and row.severity == str(finding.severity):
            return ""
        if row.resolved is not None:
            self.add_history(
                finding.id, {"what": "returned", "at": format_utc(finding.found_at), "after": row.resolved}
            )
        if row.severity != str(finding.severity):
            past = {"what": "severity", "at": format_utc(finding.found_at), "before": row.severity}
            self.add_history(finding.id, past)
        values = {k: v for k, v in _row(finding).items() if k not in _LIFE}
        self._c.execute(update(t.findings).where(_f.id == finding.id).values(**values, resolved=None))
        return "severity" if row.resolved is None else "returned"

    def add_history(self, finding_id: str, event: dict[str, Any]) -> None:
        """Add to what a finding was before."""
        known = self._c.execute(select(_f.history).where(_f.id == finding_id)).scalar_one() or []
        self._c.execute(update(t.findings).where(_f.id == finding_id).values(history=[*known, event]))

    def history(self, finding_id: str) -> list[dict[str, Any]]:
        """What a finding was before, oldest first: `{what, at, …}`."""
        return self._c.execute(select(_f.history).where(_f.id == finding_id)).scalar_one() or []

    def amend(self, finding_id: str, summary: str, evidence: dict[str, Any]) -> None:
        """Replace the evidence of a running finding (a feed's malformed lines of one day)."""
        values = {"summary": summary, "evidence": evidence}
        self._c.execute(update(t.findings).where(t.findings.c.id == finding_id).values(values))

    def resolve(self, finding_id: str, at: datetime, **facts: Any) -> bool:
        """Note what explained it later; the finding stays. False if it was resolved before."""
        c = t.findings.c
        resolved = {"at": format_utc(at), **facts}
        changed = self._c.execute(
            update(t.findings).where(c.id == finding_id, c.resolved.is_(None)).values(resolved=resolved)
        )
        return bool(changed.rowcount)

    def get(self, finding_id: str) -> Finding | None:
        """The finding with this id."""
        found = self.by_ids((finding_id,))
        return found[0] if found else None

    def by_ids(self, ids: Sequence[str]) -> tuple[Finding, ...]:
        """These findings, loudest first."""
        rows = self._c.execute(select(t.findings).where(t.findings.c.id.in_(list(ids))))
        return tuple(sorted((_finding(r) for r in rows), key=lambda f: (f.severity.rank, f.rule_id, f.id)))

    def of_tx(self, chain: ChainId, tx: TxId) -> tuple[Finding, ...]:
        """Every finding about a transaction."""
        c = t.findings.c
        query = select(t.findings).where(c.chain == str(chain), c.txid == tx).order_by(c.found_at, c.id)
        return tuple(_finding(r) for r in self._c.execute(query))

    def of_outflows(self, outflow_ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the findings about each of these outflows (500 at most), oldest first."""
        c = t.findings.c
        query = select(c.outflow, c.id).where(c.outflow.in_(list(outflow_ids))).order_by(c.found_at, c.id)
        found: dict[str, list[str]] = {}
        for row in self._c.execute(query):
            found.setdefault(row.outflow, []).append(row.id)
        return found

    def unresolved(self, rules: Sequence[str]) -> list[tuple[ChainId, TxId]]:
        """Transactions with a finding of one of these rule types that nothing has explained yet, oldest first."""
        c = t.findings.c
        query = select(c.chain, c.txid, func.min(c.found_at)).where(
            c.rule.in_(list(rules)), c.resolved.is_(None), c.txid.is_not(None)
        )
        rows = self._c.execute(query.group_by(c.chain, c.txid).order_by(func.min(c.found_at), c.txid))
        return [(ChainId.parse(r.chain), r.txid) for r in rows]

    def open_of(self, rule: str) -> list[Finding]:
        """Findings of one rule type that nothing has explained yet, oldest first."""
        c = t.findings.c
        query = select(t.findings).where(c.rule == rule, c.resolved.is_(None)).order_by(c.found_at, c.id)
        return [_finding(r) for r in self._c.execute(query)]

    def find(self, wanted: Filter) -> Iterator[Finding]:
        """Findings that fit, oldest first."""
        c = t.findings.c
        query = select(t.findings).order_by(c.found_at, c.id)
        for row in self._c.execute(narrow(query, wanted, c, "found_at", _FIELDS)):
            yield _finding(row)

    def resolutions(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """`{at, late_secs …}` of those that were resolved."""
        c = t.findings.c
        rows = self._c.execute(select(c.id, c.resolved).where(c.id.in_(list(ids)), c.resolved.is_not(None)))
        return {r.id: r.resolved for r in rows}


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "rule": finding.rule,
        "rule_id": finding.rule_id,
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "mode": str(finding.mode),
        "chain": finding.chain,
        "txid": finding.tx,
        "wallet": finding.wallet,
        "asset": finding.asset,
        "outflow": finding.outflow,
        "summary": finding.summary,
        "evidence": dict(finding.evidence),
        "rules_digest": finding.rules_digest,
        "found_at": finding.found_at,
        "resolved": None,
        "history": None,
    }


def _finding(row: Row[Any]) -> Finding:
    return Finding(
        id=row.id,
        rule=row.rule,
        rule_id=row.rule_id,
        verdict=VerdictKind(row.verdict),
        severity=Severity(row.severity),
        mode=Mode(row.mode),
        chain=row.chain,
        tx=row.txid,
        wallet=row.wallet,
        asset=row.asset,
        outflow=row.outflow,
        summary=row.summary,
        evidence=row.evidence,
        rules_digest=row.rules_digest,
        found_at=row.found_at,
    )
