"""Findings that no rule function makes: events of cases, and trouble of the watching itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chains.model import format_units
from walletwatch.deployment import Deployment
from walletwatch.domain.cases import CaseEvent, CaseEventKind
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.ids import finding_id
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import UnitOfWork
from walletwatch.watch.judging import Judge


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


def operation_rule(deployment: Deployment, rule: str) -> RuleConfig | None:
    """The rule of this type as configured; operation rules are always on, but one may be put to shadow mode."""
    return next((c for c in deployment.rules if c.type == rule), None)


@dataclass(frozen=True, slots=True)
class Incident:
    """What went wrong with `about` (a chain or feed): told at most once a `period`. `severity` overrides the rule's."""

    rule: str
    summary: str
    about: str
    period: str
    chain: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None


def report_incident(unit: UnitOfWork, judge: Judge, trouble: Incident) -> Finding:
    """Keep and tell it; the finding, which may have been known."""
    config = operation_rule(judge.deployment, trouble.rule)
    rule_id = trouble.rule if config is None else config.id
    finding = Finding(
        id=finding_id(trouble.chain, None, trouble.about, "", rule_id, trouble.period),
        rule=trouble.rule,
        rule_id=rule_id,
        verdict=VerdictKind.VIOLATION,
        severity=trouble.severity or (Severity.HIGH if config is None else config.severity),
        mode=Mode.ENFORCE if config is None else config.mode,
        chain=trouble.chain,
        tx=None,
        wallet="",
        asset="",
        outflow=None,
        summary=trouble.summary,
        evidence={"about": trouble.about, **trouble.evidence},
        rules_digest=judge.deployment.rules_digest,
        found_at=unit.now,
    )
    judge.keep(unit, finding, f"{trouble.rule}/{trouble.about}/{trouble.period}")
    return finding


def day_of(moment: datetime) -> str:
    """The UTC day, as the period of findings that come at most once a day."""
    return moment.strftime("%Y-%m-%d")
