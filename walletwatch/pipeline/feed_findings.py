"""What is told about the approval feeds themselves: unreadable, silent, malformed, rewritten, contradicting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from walletwatch.approvals.sources import ActSource
from walletwatch.domain.findings import Severity
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.pipeline.judging import Judge
from walletwatch.pipeline.operations import Trouble, day_of, report_trouble
from walletwatch.store import UnitOfWork
from walletwatch.store.approvals import FeedState

MAX_LINES_SHOWN = 1_000


class FeedTeller:
    """Makes the findings about feeds, each once."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._silences: dict[str, datetime] = {}
        """By feed, the silence (since when) that this process has told."""

    def note_trouble(self, unit: UnitOfWork, feed: ActSource, known: FeedState | None, why: str) -> None:
        """The feed cannot be read: outflows are undetermined until it can."""
        state = known or FeedState(feed.name, {}, unit.now, unit.now, "")
        unit.approvals.save_feed(replace(state, read_at=unit.now, trouble=why))
        summary = f"the approval feed {feed.name} cannot be read: {why}"
        self._report(unit, "feed_silent", summary, feed.name, {"path": feed.place, "error": why})

    def is_silent(self, feed: ActSource, known: FeedState | None, now: datetime) -> bool:
        """Whether nothing new came for longer than the feed allows, and nobody was told of this silence."""
        if feed.silent_after is None or known is None or known.trouble:
            return False
        return now - known.grew_at >= feed.silent_after and self._silences.get(feed.name) != known.grew_at

    def tell_silence(self, unit: UnitOfWork, feed: ActSource, known: FeedState) -> None:
        """Once a silence. What is known still counts: an outflow without approval is one, not undetermined."""
        since = format_utc(known.grew_at)
        summary = f"the approval feed {feed.name} can be read, and has had nothing new since {since}"
        bound = "" if feed.silent_after is None else f"{feed.silent_after.total_seconds():.0f}"
        evidence = {"path": feed.place, "silent_since": since, "silent_after_secs": bound}
        self._report(unit, "feed_silent", summary, feed.name, evidence, since)
        self._silences[feed.name] = known.grew_at

    def tell_malformed(self, unit: UnitOfWork, feed: ActSource) -> None:
        """One finding a feed and day; further lines of that day join its evidence."""
        midnight = unit.now.replace(hour=0, minute=0, second=0, microsecond=0)
        lines = unit.approvals.malformed(feed.name, since=midnight)
        shown = [{"line": m["line"], "error": m["error"]} for m in lines[:MAX_LINES_SHOWN]]
        summary = f"{len(lines)} line{'s' if len(lines) != 1 else ''} of the approval feed {feed.name} cannot be read"
        evidence = {"feed": feed.name, "path": feed.place, "lines": shown, "count": len(lines)}
        finding = self._report(unit, "feed_malformed", summary, feed.name, evidence)
        unit.findings.amend(finding, summary, {"about": feed.name, **evidence})

    def tell_rewritten(self, unit: UnitOfWork, feed: ActSource, evidence: dict[str, Any]) -> None:
        """A past that was changed."""
        summary = f"the approval feed {feed.name} is a log that only grows, and its past was changed"
        period = format_utc(unit.now)
        payload = {"path": feed.place, **evidence}
        unit.audit.append("walletwatch", "approval.rewritten", feed.name, payload)
        self._report(unit, "content_mismatch", summary, feed.name, evidence, period, Severity.CRITICAL)

    def tell_conflicts(self, unit: UnitOfWork, new: Iterable[Act]) -> None:
        """Second requests under a known id with other content."""
        requests = {act.request_id for act in new if act.kind is ActKind.REQUEST}
        for request_id in sorted(requests):
            for conflict in self._judge.desk.book.conflicts(request_id):
                summary = f"request {request_id} was written twice with different content; the first stands"
                evidence = {
                    "request_id": request_id,
                    "stands": conflict.stands.intent_hash,
                    "other": conflict.other.intent_hash,
                    "other_line": conflict.other.line,
                    "actor": conflict.other.actor,
                }
                period = conflict.other.digest.hex()
                self._report(unit, "content_mismatch", summary, conflict.other.feed, evidence, period, Severity.HIGH)

    def _report(
        self,
        unit: UnitOfWork,
        rule: str,
        summary: str,
        feed: str,
        evidence: dict[str, Any],
        period: str = "",
        severity: Severity | None = None,
    ) -> str:
        told = {"feed": feed, **evidence}
        trouble = Trouble(rule, summary, feed, period or day_of(unit.now), evidence=told, severity=severity)
        return report_trouble(unit, self._judge, trouble).id
