"""Reading approval feeds into the store, and judging again what a late act may explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from chains.model import ChainId, TxId
from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.feeds import Feed, FeedBatch, FeedUnreadable, read_feed
from walletwatch.approvals.positions import FeedPosition
from walletwatch.domain.findings import Severity
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.pipeline.judging import Judge
from walletwatch.pipeline.moves import judge_moves_again
from walletwatch.pipeline.operations import Trouble, day_of, report_trouble
from walletwatch.rules.registry import catalogue
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.approvals import FeedState

_MAX_LINES_SHOWN = 1_000
_MAX_LOOKS = 10_000


class FeedDesk:
    """All configured feeds. Whoever reads holds the approval desk (`ApprovalDesk.held`)."""

    def __init__(self, store: Store, judge: Judge, feeds: Sequence[Feed]) -> None:
        self._store = store
        self._judge = judge
        self._feeds = tuple(feeds)
        self._rules = tuple(t.name for t in catalogue() if t.family == "authorisation")

    def read(self) -> None:
        """Take in everything that was written since; a feed that cannot be read blinds the approvals, and is told."""
        for feed in self._feeds:
            for _ in range(_MAX_LOOKS):
                if not self._look(feed):
                    break

    def _look(self, feed: Feed) -> bool:
        """One look at one feed, one transaction. True if there is more to take at once."""
        now = self._store.clock()
        with self._store.reading() as unit:
            known = unit.approvals.feed(feed.name)
        position = FeedPosition() if known is None else FeedPosition.from_json(known.position)
        try:
            batch = read_feed(feed, position, now)
        except FeedUnreadable as error:
            self._note_trouble(feed, known, str(error))
            return False
        if known is not None and not known.trouble and batch.position == position and not batch.rewritten:
            return False
        try:
            with self._store.transaction() as unit:
                self._take(unit, feed, known, batch)
        except BaseException:
            self._judge.desk.forget()
            raise
        return batch.more

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _take(self, unit: UnitOfWork, feed: Feed, known: FeedState | None, batch: FeedBatch) -> None:
        new = [act for act in batch.acts if self._add(unit, act)]
        malformed = [m for m in batch.malformed if self._add_malformed(unit, m)]
        grew = bool(batch.acts or batch.malformed) or known is None
        grew_at = unit.now if grew else known.grew_at if known is not None else unit.now
        unit.approvals.save_feed(FeedState(feed.name, batch.position.as_json(), unit.now, grew_at, ""))
        if new or malformed:
            self._record(unit, feed, batch, len(new), len(malformed))
        if malformed:
            self._tell_malformed(unit, feed)
        if batch.rewritten:
            self._tell_rewritten(unit, feed, batch.rewritten)
        self._judge.desk.refresh(unit)
        self._tell_conflicts(unit, new)
        seeing_again = known is not None and bool(known.trouble)
        for chain, txid in self._concerned(unit, new, everything=seeing_again):
            self._judge.judge_again(unit, unit.outflows.of_tx(chain, txid))
            judge_moves_again(unit, self._judge, chain, txid)

    def _add(self, unit: UnitOfWork, act: Act) -> bool:
        unit.approvals.forget_malformed(act.feed, act.line)
        return unit.approvals.add_act(act, act.read_at or unit.now)

    def _add_malformed(self, unit: UnitOfWork, bad: Malformed) -> bool:
        new = unit.approvals.add_malformed(bad.feed, bad.line, bad.error, bad.raw, unit.now)
        if new:
            payload = {"path": bad.feed, "line": bad.line, "error": bad.error, "sha256": bad.digest.hex()}
            unit.audit.append("walletwatch", "approval.malformed", bad.feed, payload)
        return new

    def _record(self, unit: UnitOfWork, feed: Feed, batch: FeedBatch, acts: int, malformed: int) -> None:
        payload = {
            "path": str(feed.path),
            "from_byte": batch.from_byte,
            "sha256": batch.digest,
            "acts": acts,
            "malformed": malformed,
            "requests": sorted({act.request_id for act in batch.acts})[:_MAX_LINES_SHOWN],
        }
        unit.audit.append("walletwatch", "approval.batch", feed.name, payload)

    # --- findings about feeds -----------------------------------------------------------------------------------------

    def _note_trouble(self, feed: Feed, known: FeedState | None, why: str) -> None:
        if known is not None and known.trouble == why:
            return
        with self._store.transaction() as unit:
            state = known or FeedState(feed.name, FeedPosition().as_json(), unit.now, unit.now, "")
            unit.approvals.save_feed(replace(state, read_at=unit.now, trouble=why))
            summary = f"the approval feed {feed.name} cannot be read: {why}"
            self._report(unit, "feed_silent", summary, feed.name, {"path": str(feed.path), "error": why})

    def _tell_malformed(self, unit: UnitOfWork, feed: Feed) -> None:
        """One finding a feed and day; further lines of that day join its evidence."""
        midnight = unit.now.replace(hour=0, minute=0, second=0, microsecond=0)
        lines = unit.approvals.malformed(feed.name, since=midnight)
        shown = [{"line": m["line"], "error": m["error"]} for m in lines[:_MAX_LINES_SHOWN]]
        summary = f"{len(lines)} line{'s' if len(lines) != 1 else ''} of the approval feed {feed.name} cannot be read"
        evidence = {"feed": feed.name, "path": str(feed.path), "lines": shown, "count": len(lines)}
        finding = self._report(unit, "feed_malformed", summary, feed.name, evidence)
        unit.findings.amend(finding, summary, {"about": feed.name, **evidence})

    def _tell_rewritten(self, unit: UnitOfWork, feed: Feed, evidence: dict[str, Any]) -> None:
        summary = f"the approval feed {feed.name} is a log that only grows, and its past was changed"
        period = format_utc(unit.now)
        payload = {"path": str(feed.path), **evidence}
        unit.audit.append("walletwatch", "approval.rewritten", feed.name, payload)
        self._report(unit, "content_mismatch", summary, feed.name, evidence, period, Severity.CRITICAL)

    def _tell_conflicts(self, unit: UnitOfWork, new: Iterable[Act]) -> None:
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

    # --- late acts ----------------------------------------------------------------------------------------------------

    def _concerned(self, unit: UnitOfWork, new: Sequence[Act], *, everything: bool) -> list[tuple[ChainId, TxId]]:
        """Transactions that the new acts may explain, or whose explanation they may take away."""
        if not new and not everything:
            return []
        found = dict.fromkeys(unit.approvals.spent_on({act.request_id for act in new}))
        requests = [self._judge.desk.book.get(act.request_id) for act in new]
        intents = [r.intent for r in requests if r is not None]
        places = {(i.asset, i.destination.key) for i in intents}
        amounts = {(i.asset, i.amount) for i in intents}
        named = {act.txid for act in new if act.txid is not None}
        for chain, txid in unit.findings.unresolved(self._rules):
            payments = [(o.asset, p) for o in unit.outflows.of_tx(chain, txid) for p in o.payments]
            fits = any((asset, p.address.key) in places or (asset, p.amount) in amounts for asset, p in payments)
            if everything or txid in named or fits:
                found[chain, txid] = None
        return list(found)
