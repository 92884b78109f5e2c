"""Reads every approval feed, keeps acts, and judges again what they may explain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from chains.model import ChainId, TxId
from walletwatch.approvals.act_sources import ActSource, FeedUnreadable, PostedFeed, Taken
from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.read_times import EVER, Reading, hold_to_reading
from walletwatch.domain.findings import Severity
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.approvals import FeedState
from walletwatch.watch.findings import Incident, day_of
from walletwatch.watch.judging import AUTHORISATION_RULES, Judge

MAX_LINES_SHOWN = 1_000


class FeedFindings:
    """Makes the findings about feeds, each once."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._silences: dict[str, datetime] = {}
        """By feed, the silence (since when) that this process has reported."""

    def report_trouble(self, unit: UnitOfWork, feed: ActSource, known: FeedState | None, why: str) -> None:
        """The feed cannot be read: outflows are undetermined until it can."""
        state = known or FeedState(feed.name, {}, unit.now, unit.now, "", None)
        unit.approvals.save_feed(replace(state, read_at=unit.now, trouble=why))
        summary = f"the approval feed {feed.name} cannot be read: {why}"
        self._report(unit, "feed_silent", summary, feed.name, {"path": feed.location, "error": why})

    def is_silent(self, feed: ActSource, known: FeedState | None, now: datetime) -> bool:
        """Whether nothing new came for longer than the feed allows, and this silence was not reported yet."""
        if feed.silent_after is None or known is None or known.trouble:
            return False
        return now - known.grew_at >= feed.silent_after and self._silences.get(feed.name) != known.grew_at

    def report_silence(self, unit: UnitOfWork, feed: ActSource, known: FeedState) -> None:
        """Once a silence. What is known still counts: an outflow without approval is one, not undetermined."""
        since = format_utc(known.grew_at)
        summary = f"the approval feed {feed.name} can be read, and has had nothing new since {since}"
        bound = "" if feed.silent_after is None else f"{feed.silent_after.total_seconds():.0f}"
        evidence = {"path": feed.location, "silent_since": since, "silent_after_secs": bound}
        self._report(unit, "feed_silent", summary, feed.name, evidence, since)
        self._silences[feed.name] = known.grew_at

    def report_malformed(self, unit: UnitOfWork, feed: ActSource) -> None:
        """One finding a feed and day; further lines of that day join its evidence."""
        midnight = unit.now.replace(hour=0, minute=0, second=0, microsecond=0)
        lines = unit.approvals.malformed(feed.name, since=midnight)
        shown = [{"line": m["line"], "error": m["error"]} for m in lines[:MAX_LINES_SHOWN]]
        summary = f"{len(lines)} line{'s' if len(lines) != 1 else ''} of the approval feed {feed.name} cannot be read"
        evidence = {"feed": feed.name, "path": feed.location, "lines": shown, "count": len(lines)}
        finding = self._report(unit, "feed_malformed", summary, feed.name, evidence)
        unit.findings.amend(finding, summary, {"about": feed.name, **evidence})

    def report_rewritten(self, unit: UnitOfWork, feed: ActSource, evidence: dict[str, Any]) -> None:
        """A past that was changed."""
        summary = f"the approval feed {feed.name} is a log that only grows, and its past was changed"
        period = format_utc(unit.now)
        payload = {"path": feed.location, **evidence}
        unit.audit.append("walletwatch", "approval.rewritten", feed.name, payload)
        self._report(unit, "content_mismatch", summary, feed.name, evidence, period, Severity.CRITICAL)

    def report_conflicts(self, unit: UnitOfWork, new: Iterable[Act]) -> None:
        """Second requests under a known id with other content."""
        requests = {act.request_id for act in new if act.kind is ActKind.REQUEST}
        for request_id in sorted(requests):
            for conflict in self._judge.approvals.book.conflicts(request_id):
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
        about = {"feed": feed, **evidence}
        incident = Incident(rule, summary, feed, period or day_of(unit.now), evidence=about, severity=severity)
        return self._judge.findings.report(unit, incident).id


_MAX_READS = 10_000
NOT_READ_AFTER = timedelta(seconds=60)
"""A feed that could not be looked at for longer was not read in that interval."""
LOOKS_KEPT_EVERY = timedelta(seconds=20)
_NOTHING = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What became of one posted line, once it is kept. `refused` is the rule by which a taken act does not count."""

    line: int
    result: Literal["taken", "duplicate", "malformed"]
    act: str = ""
    request_id: str = ""
    refused: str = ""
    reason: str = ""


class FeedReader:
    """All configured feeds. Read while holding the approval service (`ApprovalService.held`)."""

    def __init__(self, store: Store, judge: Judge, feeds: Sequence[ActSource]) -> None:
        self._store = store
        self._judge = judge
        self._feeds = tuple(feeds)
        self._findings = FeedFindings(judge)
        self._looked: dict[str, datetime] = {}
        """By feed, when this process could last read it."""

    def read(self) -> None:
        """Take in everything that was written since; a feed that cannot be read makes verdicts undetermined, and is
        reported.
        """
        for feed in self._feeds:
            for _ in range(_MAX_READS):
                if not self._read_once(feed):
                    break

    @property
    def sources(self) -> tuple[ActSource, ...]:
        """What is read, in the order of the configuration."""
        return self._feeds

    def posted(self, name: str) -> PostedFeed:
        """The endpoint's feed of this name. Raises LookupError."""
        for feed in self._feeds:
            if feed.name == name and isinstance(feed, PostedFeed):
                return feed
        raise LookupError(f"no endpoint is called {name}")

    def post(self, name: str, body: bytes) -> list[LineAnswer]:
        """Keep the lines of one POST, all or none, and judge again what they may explain. When this returns they are
        on disk. Takes the approval service itself, after the signatures were checked. Raises LookupError.
        """
        feed = self.posted(name)
        post = feed.read_post(body, self._store.clock())
        with self._judge.approvals.held(), self._keeping() as unit:
            known = unit.approvals.lock_feed(feed.name, unit.now)
            taken = feed.take_post(post, known.position, lambda bad: unit.approvals.has_malformed(bad.feed, bad.raw))
            new = {act.line for act in self._take(unit, feed, known, taken)}
        numbers = iter(act.line in new for act in taken.acts)
        return [_answer(a, is_new=isinstance(a, Act) and next(numbers)) for a in post.answers]

    # --- one read -----------------------------------------------------------------------------------------------------

    def _read_once(self, feed: ActSource) -> bool:
        """Read one feed once, in one transaction. True if there is more to read at once."""
        now = self._store.clock()
        with self._store.reading() as unit:
            known = unit.approvals.feed(feed.name)
        try:
            taken = feed.read_new({} if known is None else known.position, now)
        except FeedUnreadable as error:
            self._report_trouble(feed, known, str(error))
            return False
        if taken is None and known is not None and known.trouble:
            taken = Taken((), (), known.position, _NOTHING)
        if taken is None:
            self._check_silence(feed, known)
            self._record_read(feed, known, now)
            return False
        with self._keeping() as unit:
            if _moved(unit.approvals.feed(feed.name, lock=True), known):
                return True  # another process took it meanwhile
            self._take(unit, feed, known, taken)
        self._looked[feed.name] = now
        return taken.more

    def _record_read(self, feed: ActSource, known: FeedState | None, now: datetime) -> None:
        """Keep now and then that the feed could be read, so that a later process knows since when it was not."""
        self._looked[feed.name] = now
        if known is not None and (known.looked_at is None or now - known.looked_at >= LOOKS_KEPT_EVERY):
            with self._store.transaction() as unit:
                unit.approvals.record_read(feed.name, now)

    def _reading(self, unit: UnitOfWork, feed: ActSource, known: FeedState | None, *, exported: bool) -> Reading:
        """How the feed was read up to now; an interval without reading is put on record when it ends."""
        if exported or known is None or not known.position:
            return Reading(feed.max_late, EVER)
        looks = [at for at in (known.looked_at, self._looked.get(feed.name)) if at is not None]
        last = max(looks, default=None)
        if last is None or unit.now - last <= NOT_READ_AFTER:
            return Reading(feed.max_late)
        payload = {
            "path": feed.location,
            "since": format_utc(last),
            "until": format_utc(unit.now),
            "why": known.trouble,
        }
        unit.audit.append("walletwatch", "approval.unread", feed.name, payload)
        return Reading(feed.max_late, last)

    @contextmanager
    def _keeping(self) -> Iterator[UnitOfWork]:
        """A transaction; what the approval service learned in one that fails is forgotten."""
        try:
            with self._store.transaction() as unit:
                yield unit
        except BaseException:
            self._judge.approvals.forget()
            raise

    def _report_trouble(self, feed: ActSource, known: FeedState | None, why: str) -> None:
        if known is not None and known.trouble == why:
            return
        with self._store.transaction() as unit:
            self._findings.report_trouble(unit, feed, known, why)

    def _check_silence(self, feed: ActSource, known: FeedState | None) -> None:
        if known is not None and self._findings.is_silent(feed, known, self._store.clock()):
            with self._store.transaction() as unit:
                self._findings.report_silence(unit, feed, known)

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _take(self, unit: UnitOfWork, feed: ActSource, known: FeedState | None, taken: Taken) -> list[Act]:
        """Keep the batch; the acts that are new."""
        reading = self._reading(unit, feed, known, exported=taken.exported)
        new = [act for act in taken.acts if self._add(unit, act, reading, exported=taken.exported)]
        malformed = [m for m in taken.malformed if self._add_malformed(unit, m)]
        grew = bool(new or malformed if taken.exported else taken.acts or taken.malformed) or known is None
        grew_at = unit.now if grew else known.grew_at if known is not None else unit.now
        unit.approvals.save_feed(FeedState(feed.name, dict(taken.position), unit.now, grew_at, "", unit.now))
        if new or malformed:
            self._record(unit, feed, taken, len(new), len(malformed))
        if malformed:
            self._findings.report_malformed(unit, feed)
        if taken.rewritten:
            self._findings.report_rewritten(unit, feed, taken.rewritten)
        self._judge.approvals.refresh(unit)
        self._findings.report_conflicts(unit, new)
        seeing_again = known is not None and bool(known.trouble)
        for chain, txid in self._concerned(unit, new, everything=seeing_again):
            self._judge.judge_again(unit, chain, txid)
        return new

    def _add(self, unit: UnitOfWork, act: Act, reading: Reading, *, exported: bool) -> bool:
        if exported and unit.approvals.says_the_same(act):
            return False
        unit.approvals.forget_malformed(act.feed, act.line)
        held = hold_to_reading(act, reading, self._judge.approvals.people)
        if held.refused != act.refused and unit.approvals.knows(act):
            return False  # read again from the beginning of its feed: it stays what it was when it was first read
        return unit.approvals.add_act(held, held.read_at or unit.now)

    def _add_malformed(self, unit: UnitOfWork, bad: Malformed) -> bool:
        new = unit.approvals.add_malformed(bad.feed, bad.line, bad.error, bad.raw, unit.now)
        if new:
            payload = {"path": bad.feed, "line": bad.line, "error": bad.error, "sha256": bad.digest.hex()}
            unit.audit.append("walletwatch", "approval.malformed", bad.feed, payload)
        return new

    def _record(self, unit: UnitOfWork, feed: ActSource, taken: Taken, acts: int, malformed: int) -> None:
        payload: dict[str, Any] = {
            "path": feed.location,
            f"from_{taken.counted}": taken.begins,
            "sha256": taken.digest,
            "acts": acts,
            "malformed": malformed,
            "requests": sorted({act.request_id for act in taken.acts})[:MAX_LINES_SHOWN],
        }
        unit.audit.append("walletwatch", "approval.batch", feed.name, payload)

    # --- late acts ----------------------------------------------------------------------------------------------------

    def _concerned(self, unit: UnitOfWork, new: Sequence[Act], *, everything: bool) -> list[tuple[ChainId, TxId]]:
        """Transactions that the new acts may explain, or whose explanation they may take away."""
        if not new and not everything:
            return []
        ids = {act.request_id for act in new}
        found = dict.fromkeys((*unit.approvals.spent_on(ids), *self._judge.concerned(unit, ids)))
        named = {act.txid for act in new if act.txid is not None}
        if everything or named:
            open_ones = unit.findings.unresolved(AUTHORISATION_RULES)
            found |= dict.fromkeys(one for one in open_ones if everything or one[1] in named)
        return list(found)


def _moved(now: FeedState | None, known: FeedState | None) -> bool:
    """Whether our position in the feed is no longer what it was when the read began."""
    return (None if now is None else now.position) != (None if known is None else known.position)


def _answer(answer: Act | Malformed, *, is_new: bool) -> LineAnswer:
    if isinstance(answer, Malformed):
        return LineAnswer(answer.line, "malformed", reason=answer.error)
    result: Literal["taken", "duplicate"] = "taken" if is_new else "duplicate"
    kind = answer.kind.value
    return LineAnswer(answer.line, result, kind, answer.request_id, answer.refused, answer.reason)
