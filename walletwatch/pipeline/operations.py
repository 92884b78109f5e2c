"""Findings about the watching itself: a node that lies or lags, an interval nobody watched, a feed that is dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.ids import finding_id
from walletwatch.pipeline.deployments import Deployment
from walletwatch.pipeline.judging import Judge
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import UnitOfWork


def operation_rule(deployment: Deployment, rule: str) -> RuleConfig | None:
    """The rule of this type as configured; operation rules are always on, but one may be put to shadow mode."""
    return next((c for c in deployment.rules if c.type == rule), None)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with `about` (a chain or feed): told at most once a `period`. `severity` overrides the rule's."""

    rule: str
    summary: str
    about: str
    period: str
    chain: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None


def report_trouble(unit: UnitOfWork, judge: Judge, trouble: Trouble) -> Finding:
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
