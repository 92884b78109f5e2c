"""The daily report: everything of one local day that a treasurer, an auditor or a regulator asks for, from one
consistent view of the store. Nothing here writes, asks a node, or knows how the report is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chains.model import Asset, AssetId
from walletwatch.domain.alerts import Silence
from walletwatch.domain.cases import Case, CaseState
from walletwatch.reports.daily_books import DailyBook, WatchedWallet, read_books
from walletwatch.reports.daily_counts import (
    AlertTimes,
    FindingTally,
    OutflowTally,
    tally_findings,
    tally_outflows,
    time_alerts,
)
from walletwatch.reports.daily_limits import (
    HotShare,
    LimitUse,
    PriceAt,
    online_roles,
    share_online,
    use_limits,
)
from walletwatch.rules.registry import RuleConfig
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
