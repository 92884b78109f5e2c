"""Findings about the watching itself: a node that lies or lags, an interval nobody watched, a feed that is dead."""

from __future__ import annotations

from collections.abc import Mapping
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


def report_trouble(
    unit: UnitOfWork,
    judge: Judge,
    rule: str,
    summary: str,
    *,
    about: str,
    period: str,
    chain: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """Keep and tell a finding about `about` (a chain or feed), at most one a `period`. False if it was known."""
    config = operation_rule(judge.deployment, rule)
    rule_id = rule if config is None else config.id
    finding = Finding(
        id=finding_id(chain, None, about, "", rule_id, period),
        rule=rule,
        rule_id=rule_id,
        verdict=VerdictKind.VIOLATION,
        severity=Severity.HIGH if config is None else config.severity,
        mode=Mode.ENFORCE if config is None else config.mode,
        chain=chain,
        tx=None,
        wallet="",
        asset="",
        outflow=None,
        summary=summary,
        evidence={"about": about, **(evidence or {})},
        rules_digest=judge.deployment.rules_digest,
        found_at=unit.now,
    )
    return judge.keep(unit, finding, f"{rule}/{about}/{period}")


def day_of(moment: datetime) -> str:
    """The UTC day, as the period of findings that come at most once a day."""
    return moment.strftime("%Y-%m-%d")
