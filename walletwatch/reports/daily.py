"""The daily report: everything of one local day that a treasurer, an auditor or a regulator asks for, from one
consistent view of the store. Nothing here writes, asks a node, or knows how the report is shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from statistics import median_high
from typing import Any
from zoneinfo import ZoneInfo

from chains.model import Asset, AssetId
from walletwatch.domain.alerts import Alert, Silence
from walletwatch.domain.cases import Case, CaseState
from walletwatch.domain.findings import Finding, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow
from walletwatch.reports.daily_limits import (
    DailyBook,
    HotShare,
    LimitUse,
    PriceAt,
    WatchedWallet,
    online_roles,
    read_books,
    share_online,
    use_limits,
)
from walletwatch.rules.registry import RuleConfig, rule_type
from walletwatch.store import UnitOfWork
from walletwatch.store.statements import Filter


@dataclass(frozen=True, slots=True)
class DailyInputs:
    """What the configuration adds to the store. `chains` are the configured names by CAIP-2 text."""

    zone: ZoneInfo
    wallets: tuple[WatchedWallet, ...]
    assets: Mapping[AssetId, Asset]
    chains: Mapping[str, str]
    rules: tuple[RuleConfig, ...]
    price: PriceAt
    feed_configured: bool


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The audit log as it stands: entries, root, and how far the newest checkpoint reaches."""

    size: int
    root: str
    signed_size: int | None
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DailyReport:
    """One day, [since, until). `made_at` lies within it while the day is not over; the report is then of a part."""

    day: date
    zone: str
    since: datetime
    until: datetime
    made_at: datetime
    books: tuple[DailyBook, ...]
    outflows: tuple[OutflowTally, ...]
    findings: tuple[FindingTally, ...]
    alerts: AlertTimes
    limits: tuple[LimitUse, ...]
    hot: tuple[HotShare, ...]
    silences: tuple[Silence, ...]
    unwatched: tuple[Mapping[str, Any], ...]
    cases: tuple[Case, ...]
    audit: AuditHead
    assets: Mapping[AssetId, Asset] = field(default_factory=dict)
    chains: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the day had ended when the report was made."""
        return self.made_at >= self.until

    @property
    def balances(self) -> bool | None:
        """Whether all books agree with the chain; None if that is not known of any."""
        known = [book.difference for book in self.books if book.difference is not None]
        return all(difference == 0 for difference in known) if known else None


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Midnight to midnight in `zone`: 23 or 25 hours where the clocks change."""
    return (
        datetime.combine(day, time.min, tzinfo=zone),
        datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone),
    )


def build_daily(unit: UnitOfWork, inputs: DailyInputs, day: date) -> DailyReport:
    """The report of the local `day`."""
    since, until = day_bounds(day, inputs.zone)
    books = read_books(unit, inputs.wallets, since, until)
    span = Filter(since=since, until=until)
    outflows, findings = list(unit.outflows.find(span)), list(unit.findings.find(span))
    roles = {wallet.name: wallet.role for wallet in inputs.wallets}
    return DailyReport(
        day=day,
        zone=inputs.zone.key,
        since=since,
        until=until,
        made_at=unit.now,
        books=books,
        outflows=tally_outflows(unit, outflows, feed_configured=inputs.feed_configured),
        findings=tally_findings(findings),
        alerts=time_alerts(list(unit.alerts.find(span))),
        limits=use_limits(unit, inputs.rules, outflows, findings, inputs.price, roles),
        hot=share_online(books, online_roles(inputs.rules), inputs.price, min(until, unit.now)),
        silences=tuple(s for s in unit.alerts.silences() if s.created_at < until and s.until > since),
        unwatched=tuple(unit.chain_state.unwatched(since, until)),
        cases=_cases(unit, since, until),
        audit=_audit_head(unit),
        assets=inputs.assets,
        chains=inputs.chains,
    )


def _cases(unit: UnitOfWork, since: datetime, until: datetime) -> tuple[Case, ...]:
    """Cases that are followed, and those opened that day."""
    cases: Sequence[Case] = [stored.case for stored in unit.cases.find()]
    return tuple(c for c in cases if c.opened_at < until and (c.state is CaseState.OPEN or since <= c.opened_at))


def _audit_head(unit: UnitOfWork) -> AuditHead:
    head, newest = unit.audit.head(), unit.audit.newest_checkpoint()
    if newest is None:
        return AuditHead(head.size, head.root.hex(), None, None)
    return AuditHead(head.size, head.root.hex(), newest[0], newest[2])


# --- counts of one day: what left, what was found, how soon people answered ------------------------------------------

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
