"""From what rules find to the store and the alerts; and findings that no rule function makes: events of cases, and
incidents of the watching itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chains.model import ChainId, TxId, format_units
from chains.registry import format_hash
from walletwatch.deployment import Deployment, fingerprint
from walletwatch.domain.cases import CaseEvent, CaseEventKind
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind, finding_id
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.times import format_utc
from walletwatch.rules.registry import RuleConfig, rule_type
from walletwatch.store import UnitOfWork


@dataclass(frozen=True, slots=True)
class Incident:
    """What went wrong with `about` (a chain or feed): at most one a `period`. `severity` overrides the rule's."""

    rule: str
    summary: str
    about: str
    period: str
    chain: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None


class AlertRaiser(Protocol):
    """Makes findings an alert, in the same transaction: what `walletwatch.alerts` fulfils, which stands beside us."""

    def raise_alert(
        self,
        unit: UnitOfWork,
        fingerprint: str,
        findings: Iterable[Finding],
        outflows: Iterable[Outflow],
        before: Mapping[str, OutflowState] | None = None,
    ) -> None:
        """Gather `findings` (new ones, or none) in this fingerprint's alert, renewed by the present `outflows`.
        `before` are the states of those outflows whose state just changed.
        """

    def record_change(self, unit: UnitOfWork, fingerprint: str, what: str, *, notable: bool) -> None:
        """Record in the alert, if there is one, another change; `notable` where people are to be notified."""

    def close_explained(self, unit: UnitOfWork, fingerprint: str, request_ids: Sequence[str], late_secs: int) -> None:
        """Close the alert as `system`: approvals that came `late_secs` late explain every finding in it."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the rules find in one subject of a transaction now, in place of what they found `before`. `at`: when the
    subject is first known to have existed.
    """

    at: datetime
    findings: Sequence[Finding]
    before: Sequence[Finding] = ()


class FindingWriter:
    """Keeps findings, resolves them, and raises or closes their alerts: the one way of a finding into the store."""

    def __init__(self, deployment: Deployment, alert_writer: AlertRaiser) -> None:
        self.deployment = deployment
        self.alert_writer = alert_writer

    def settle(
        self,
        unit: UnitOfWork,
        stored: tuple[ChainId, TxId, TxId],
        verdicts: Iterable[Verdicts],
        outflows: Sequence[Outflow] = (),
    ) -> tuple[Finding, ...]:
        """Make these the verdicts on a transaction (chain, id, family): keep what is new, resolve what no longer holds,
        raise the alert or, where all is explained, close it. Returns the new findings.
        """
        chain, txid, family = stored
        new: list[Finding] = []
        resolved = 0
        for one in verdicts:
            new += [f for f in one.findings if self._add(unit, f)]
            holding = {f.id for f in one.findings}
            over = [f for f in one.before if f.id not in holding]
            unexplained = [f for f in one.findings if rule_type(f.rule).family == "authorisation"]
            late_secs = max(0, int((unit.now - one.at).total_seconds()))
            for finding in over:
                # A theft that looked like another payment's mistake is no less a theft when that payment is made.
                if unexplained and rule_type(finding.rule).family == "authorisation":
                    self._turn(unit, finding, unexplained)
                else:
                    resolved += self.resolve(unit, finding, late_secs)
        if new:
            self.alert_writer.raise_alert(unit, fingerprint(chain, family), new, outflows)
        if resolved:
            self._close_if_explained(unit, chain, txid, family)
        return tuple(new)

    def _turn(self, unit: UnitOfWork, finding: Finding, into: Sequence[Finding]) -> None:
        """Record that a finding turned into other violations: it stays open."""
        names = sorted(f.rule_id for f in into)
        past = unit.findings.history(finding.id)
        if past and past[-1].get("into") == names:
            return
        unit.findings.add_history(finding.id, {"what": "turned", "at": format_utc(unit.now), "into": names})
        payload = {"finding": finding.id, "rule": finding.rule_id, "into": names}
        unit.audit.append("walletwatch", "finding.turned", _subject_of(finding), payload)

    def keep(self, unit: UnitOfWork, findings: Iterable[Finding], key: str) -> tuple[Finding, ...]:
        """Keep findings that stand for themselves, and raise the alert `key` for the new ones, which are returned."""
        new = tuple(f for f in findings if self._add(unit, f))
        if new:
            self.alert_writer.raise_alert(unit, key, new, ())
        return new

    def resolve(self, unit: UnitOfWork, finding: Finding, late_secs: int) -> bool:
        """Record that something explains a finding, `late_secs` late; False if that was recorded before."""
        if not unit.findings.resolve(finding.id, unit.now, late_secs=late_secs):
            return False
        payload = {"finding": finding.id, "rule": finding.rule_id, "late_secs": late_secs}
        unit.audit.append("system", "finding.resolved", _subject_of(finding), payload)
        return True

    def report(self, unit: UnitOfWork, incident: Incident) -> Finding:
        """Keep an incident and raise its alert; returns the finding, which may have been known."""
        config = operation_rule(self.deployment, incident.rule)
        rule_id = incident.rule if config is None else config.id
        finding = Finding(
            id=finding_id(incident.chain, None, incident.about, "", rule_id, incident.period),
            rule=incident.rule,
            rule_id=rule_id,
            verdict=VerdictKind.VIOLATION,
            severity=incident.severity or (Severity.HIGH if config is None else config.severity),
            mode=Mode.ENFORCE if config is None else config.mode,
            chain=incident.chain,
            tx=None,
            wallet="",
            asset="",
            outflow=None,
            summary=incident.summary,
            evidence={"about": incident.about, **incident.evidence},
            rules_digest=self.deployment.rules_digest,
            found_at=unit.now,
        )
        self.keep(unit, (finding,), f"{incident.rule}/{incident.about}/{incident.period}")
        return finding

    def _add(self, unit: UnitOfWork, finding: Finding) -> bool:
        """Keep and record a finding; False if it is known as it is (at most one for its key, whatever happens)."""
        is_new = unit.findings.add(finding)
        settled = not is_new and finding.verdict is VerdictKind.VIOLATION and unit.findings.settle(finding)
        if not is_new and not unit.findings.renew(finding) and not settled:
            return False
        payload = {
            "finding": finding.id,
            "rule": finding.rule,
            "rule_id": finding.rule_id,
            "verdict": str(finding.verdict),
            "severity": str(finding.severity),
            "mode": str(finding.mode),
            "chain": finding.chain,
            "wallet": finding.wallet,
            "asset": finding.asset,
            "summary": finding.summary,
            "evidence": dict(finding.evidence),
            "rules_digest": finding.rules_digest,
        }
        unit.audit.append("walletwatch", "finding.made", _subject_of(finding), payload)
        return True

    def _close_if_explained(self, unit: UnitOfWork, chain: ChainId, txid: TxId, family: TxId) -> None:
        txids = unit.ledger.family(chain, family) or (txid,)
        findings = [f for tx in txids for f in unit.findings.of_tx(chain, tx)]
        # What a rule without enough history finds for information holds no alert open: no approval would explain it.
        loud = [f for f in findings if f.mode is Mode.ENFORCE and f.severity is not Severity.INFO]
        resolved = unit.findings.resolutions([f.id for f in loud])
        if loud and all(f.id in resolved for f in loud):
            late_secs = max(int(r.get("late_secs", 0)) for r in resolved.values())
            requests = [a.request_id for tx in txids for a in unit.approvals.allocations_of(chain, tx)]
            self.alert_writer.close_explained(unit, fingerprint(chain, family), requests, late_secs)


def _subject_of(finding: Finding) -> str:
    return finding.id if finding.tx is None else format_hash(ChainId.parse(finding.chain), finding.tx)


# --- what no rule function finds --------------------------------------------------------------------------------------


def operation_rule(deployment: Deployment, rule: str) -> RuleConfig | None:
    """The rule of this type as configured; operation rules are always on, but one may be put to shadow mode."""
    return next((c for c in deployment.rules if c.type == rule), None)


def day_of(moment: datetime) -> str:
    """The UTC day, as the period of findings that come at most once a day."""
    return moment.strftime("%Y-%m-%d")


def finding_of(event: CaseEvent, deployment: Deployment, now: datetime) -> Finding:
    """A case's event as a finding: arrivals are louder than movements, because there funds can be frozen."""
    arrived = event.kind is CaseEventKind.ARRIVED
    asset = deployment.asset(event.asset)
    evidence = {
        "case": event.case,
        "event": str(event.kind),
        "amount": str(event.amount),
        "asset": str(event.asset),
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "address": "" if event.address is None else event.address.text,
        "to": [address.text for address in event.to],
        "label": event.label,
        "category": event.category,
        "height": event.block.height,
    }
    if event.onward is not None:
        evidence["onward"] = {
            "chain": event.onward.chain,
            "address": event.onward.address,
            "memo": event.onward.memo,
        }
    rule = "case_arrival" if arrived else "case_movement"
    return Finding(
        id=event.id,
        rule=rule,
        rule_id=rule,
        verdict=VerdictKind.VIOLATION,
        severity=Severity.HIGH if arrived else Severity.MEDIUM,
        mode=Mode.ENFORCE,
        chain=str(event.asset.chain),
        tx=event.tx,
        wallet="",
        asset=str(event.asset),
        outflow=None,
        summary=describe_event(event, asset.symbol, asset.decimals),
        evidence=evidence,
        rules_digest=deployment.rules_digest,
        found_at=now,
    )


def describe_event(event: CaseEvent, symbol: str, decimals: int) -> str:
    """One sentence for a person."""
    amount = f"{format_units(event.amount, decimals)} {symbol}"
    place = "" if event.address is None else event.address.text
    match event.kind:
        case CaseEventKind.MOVED:
            count = len(event.to)
            return f"{amount} stolen moved on from {place} to {count} address{'es' if count != 1 else ''}"
        case CaseEventKind.ARRIVED:
            who = event.label or place
            return f"{amount} stolen arrived at {who} ({event.category}), address {place}: ask to freeze it"
        case CaseEventKind.COINJOIN:
            return f"{amount} stolen went into a CoinJoin"
        case CaseEventKind.THRESHOLD:
            return f"{amount} stolen came to rest at {place} in parts too small to follow"
        case CaseEventKind.HOPS:
            return f"{amount} stolen reached the last hop that is followed, {place}"
