"""What left, what was found and how soon people answered, counted over one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_high

from chains.model import AssetId
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.registry import rule_type
from walletwatch.store import UnitOfWork

APPROVED, APPROVED_LATE = "approved", "approved late"
NOT_JUDGED, UNDETERMINED = "not judged", "undetermined"
_ASKING_MORE = ("unapproved", "destination_mismatch", "amount_mismatch", "approval_reused", "content_mismatch")
"""Of several authorisation findings the first of these names the outcome: what was paid matters before who signed."""


@dataclass(frozen=True, slots=True)
class OutflowTally:
    """Outflows of one state, approval outcome and asset. `amount` in base units, without fee."""

    state: str
    outcome: str
    asset: AssetId
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class FindingTally:
    """Findings of one rule, severity and verdict."""

    rule: str
    rule_id: str
    severity: Severity
    verdict: VerdictKind
    mode: str
    count: int


@dataclass(frozen=True, slots=True)
class AlertTimes:
    """Alerts opened that day by state, and whole seconds until somebody took them. `waiting` still wait."""

    opened: int
    by_severity: Mapping[str, int]
    by_state: Mapping[str, int]
    acknowledged: int
    waiting: int
    median_secs: int | None
    max_secs: int | None


def approval_outcome(
    findings: Iterable[Finding], resolved: Iterable[str], *, feed_configured: bool, requested: bool
) -> str:
    """How an outflow stands to the approvals: `approved`, `approved late` (the log was late, not the people), the
    rule type that names what is wrong, `undetermined`, or `not judged` where there is no approval feed.
    """
    settled = set(resolved)
    ours = [f for f in findings if _is_authorisation(f) and not f.evidence.get("quorum_met")]
    standing = [f for f in ours if f.id not in settled]
    broken = {f.rule for f in standing if f.verdict is VerdictKind.VIOLATION}
    if broken:
        return next((rule for rule in _ASKING_MORE if rule in broken), min(broken))
    if standing:
        return UNDETERMINED
    if ours:
        return APPROVED_LATE
    return APPROVED if feed_configured and requested else NOT_JUDGED


def _is_authorisation(finding: Finding) -> bool:
    try:
        return rule_type(finding.rule).family == "authorisation"
    except KeyError:  # a case's own findings are of no rule type
        return False


def tally_outflows(unit: UnitOfWork, outflows: Sequence[Outflow], *, feed_configured: bool) -> tuple[OutflowTally, ...]:
    """By state, outcome and asset."""
    sums: dict[tuple[str, str, AssetId], list[int]] = defaultdict(lambda: [0, 0])
    for outflow in outflows:
        findings = [f for f in unit.findings.of_tx(outflow.chain, outflow.tx) if f.outflow == outflow.id]
        allocated = unit.approvals.allocations_of(outflow.chain, outflow.tx)
        outcome = approval_outcome(
            findings,
            unit.findings.resolutions([f.id for f in findings]),
            feed_configured=feed_configured,
            requested=any(a.asset == outflow.asset for a in allocated),
        )
        entry = sums[str(outflow.state), outcome, outflow.asset]
        entry[0] += 1
        entry[1] += outflow.amount
    return tuple(OutflowTally(*key, count, amount) for key, (count, amount) in sorted(sums.items()))


def tally_findings(findings: Iterable[Finding]) -> tuple[FindingTally, ...]:
    """By rule, severity and verdict; the loudest first."""
    counts = Counter((f.severity.rank, f.rule, f.rule_id, f.severity, f.verdict, str(f.mode)) for f in findings)
    return tuple(FindingTally(*key[1:], count) for key, count in sorted(counts.items()))


def time_alerts(alerts: Sequence[Alert]) -> AlertTimes:
    """How many, and how soon they were taken; the median of an even number is the higher of the middle two."""
    waits = [
        int((alert.acknowledged.at - alert.opened_at).total_seconds())
        for alert in alerts
        if alert.acknowledged is not None
    ]
    return AlertTimes(
        opened=len(alerts),
        by_severity={s: n for s in Severity if (n := sum(a.severity is s for a in alerts))},
        by_state=dict(sorted(Counter(str(a.state) for a in alerts).items())),
        acknowledged=len(waits),
        waiting=sum(a.acknowledged is None and a.closed is None for a in alerts),
        median_secs=median_high(waits) if waits else None,
        max_secs=max(waits, default=None),
    )
