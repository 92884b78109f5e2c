"""From what a transaction took out of the perimeter to findings and an alert, in the block's own transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from chains.model import AccountTransaction, ChainId, ChainTransaction, TxId
from chains.registry import format_hash
from walletwatch.deployment import Deployment, fingerprint
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState, by_asset
from walletwatch.domain.prices import Unknown
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import MatchResult
from walletwatch.history.facts import StoreFacts
from walletwatch.history.history_cache import HistoryCache
from walletwatch.rules.engine import OncePerRule, judge, judge_event
from walletwatch.rules.facts import AwaitedRequest, Event, InternalTransfer
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig, rule_type
from walletwatch.store import UnitOfWork
from walletwatch.watch.approval_service import ApprovalService, answer_of

_log = logging.getLogger(__name__)


class AlertRaiser(Protocol):
    """Makes findings an alert, in the same transaction. Kept apart because alerts and pipeline are siblings."""

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

    def note_change(self, unit: UnitOfWork, fingerprint: str, what: str, *, notable: bool) -> None:
        """Say in the alert, if there is one, that something else changed; `notable` where a person should be called."""

    def explained(self, unit: UnitOfWork, fingerprint: str, request_ids: Sequence[str], late_secs: int) -> None:
        """Approvals that came `late_secs` late explain everything the alert told: it is closed by `system`."""


class Judge:
    """Judges outflows when first seen, and again when an act arrives that may explain them."""

    def __init__(self, deployment: Deployment, approvals: ApprovalService, alert_writer: AlertRaiser) -> None:
        self.deployment = deployment
        self.approvals = approvals
        self.alert_writer = alert_writer
        self._cache = HistoryCache(deployment)
        self._on_error = OncePerRule(_log_broken_rule)
        self._authorisation = tuple(c for c in deployment.rules if rule_type(c.type).family == "authorisation")

    def judge(
        self, unit: UnitOfWork, outflows: Sequence[Outflow], tx: ChainTransaction, payees: PayeeIndex
    ) -> tuple[Finding, ...]:
        """Match and judge the outflows of one new transaction, and tell of what was found."""
        found = [f for one in by_asset(outflows) for f in self._judge_asset(unit, one, tx, payees)]
        new = tuple(f for f in found if self._keep(unit, f))
        self._tell(unit, outflows, new)
        return new

    def _judge_asset(
        self, unit: UnitOfWork, outflows: Sequence[Outflow], tx: ChainTransaction, payees: PayeeIndex
    ) -> list[Finding]:
        result = self._match(unit, outflows)
        if isinstance(result, MatchResult):
            self.approvals.allocate(unit, result, outflows[0].family)
        return [
            finding
            for outflow in outflows
            for finding in self._ask(unit, outflow, tx, payees, result, self.deployment.rules)
        ]

    def _match(self, unit: UnitOfWork, outflows: Sequence[Outflow]) -> MatchResult | Unknown:
        try:
            return self.approvals.match(unit, outflows)
        except Unknown as unknown:
            return unknown

    def _ask(
        self,
        unit: UnitOfWork,
        outflow: Outflow,
        tx: ChainTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown,
        rules: Iterable[RuleConfig],
    ) -> tuple[Finding, ...]:
        facts = self._facts(unit, outflow, tx, payees, result)
        digest = self.deployment.rules_digest
        return judge(outflow, facts, rules, digest, unit.now, on_error=self._on_error)

    def _facts(
        self,
        unit: UnitOfWork,
        subject: Outflow | Event,
        tx: ChainTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown,
    ) -> StoreFacts:
        requests, match = self.approvals.requests_to, answer_of(result)
        return StoreFacts(unit, self.deployment, subject, tx, payees, match, requests, cache=self._cache)

    def judge_event(
        self,
        unit: UnitOfWork,
        event: Event,
        family: TxId,
        tx: AccountTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown | None = None,
    ) -> tuple[Finding, ...]:
        """Judge what is no outflow, note which of its earlier findings no longer hold, and tell of the new ones.

        `result` is what the approvals say, of a move between own wallets. Without a transaction (an awaited request)
        the alert is the request's own.
        """
        matched = result or Unknown("only outflows and own moves are matched to requests")
        facts = self._facts(unit, event, tx, payees, matched)
        rules, digest = self.deployment.rules, self.deployment.rules_digest
        found = judge_event(event, facts, rules, digest, unit.now, on_error=self._on_error)
        new = tuple(f for f in found if self._keep(unit, f))
        if new:
            self.alert_writer.raise_alert(unit, _key_of(event, family), new, ())
        if isinstance(event, InternalTransfer):
            self._resolve_move(unit, event, family, found)
        return new

    def _resolve_move(self, unit: UnitOfWork, move: InternalTransfer, family: TxId, still: Sequence[Finding]) -> None:
        holding = {f.id for f in still}
        ours = [f for f in unit.findings.of_tx(move.chain, move.tx) if f.rule == "unapproved_move"]
        over = [f for f in ours if (f.wallet, f.asset) == (move.wallet, str(move.asset)) and f.id not in holding]
        late_secs = max(0, int((unit.now - move.at).total_seconds()))
        resolved = [self.note_resolved(unit, f, late_secs) for f in over]
        if any(resolved):
            self._close_if_explained(unit, move.chain, move.tx, family)

    def note_resolved(self, unit: UnitOfWork, finding: Finding, late_secs: int) -> bool:
        """Note that something explains a finding, `late_secs` late; False if that was noted before."""
        if not unit.findings.resolve(finding.id, unit.now, late_secs=late_secs):
            return False
        payload = {"finding": finding.id, "rule": finding.rule_id, "late_secs": late_secs}
        about = finding.id if finding.tx is None else format_hash(ChainId.parse(finding.chain), finding.tx)
        unit.audit.append("system", "finding.resolved", about, payload)
        return True

    # --- late acts ----------------------------------------------------------------------------------------------------

    def judge_again(self, unit: UnitOfWork, outflows: Sequence[Outflow]) -> None:
        """An act arrived that may explain these outflows of one transaction, or take their explanation away."""
        new: list[Finding] = []
        resolved = 0
        for some in by_asset(outflows):
            result = self._match(unit, some)
            if isinstance(result, Unknown):
                continue
            self.approvals.allocate(unit, result, some[0].family)
            for outflow in some:
                found = self._ask(unit, outflow, None, PayeeIndex(), result, self._authorisation)
                new += [f for f in found if self._keep(unit, f)]
                resolved += self._resolve(unit, outflow, found)
        if new or resolved:
            self._tell(unit, outflows, new)
        if resolved:
            first = outflows[0]
            self._close_if_explained(unit, first.chain, first.tx, first.family)

    def _resolve(self, unit: UnitOfWork, outflow: Outflow, still: Sequence[Finding]) -> int:
        """Note on authorisation findings that no longer hold by how much the approvals came late."""
        holding = {f.id for f in still}
        count = 0
        for finding in unit.findings.of_tx(outflow.chain, outflow.tx):
            ours = finding.outflow == outflow.id and rule_type(finding.rule).family == "authorisation"
            if not ours or finding.id in holding:
                continue
            late_secs = max(0, int((unit.now - outflow.broadcast_at).total_seconds()))
            count += self.note_resolved(unit, finding, late_secs)
        return count

    def _close_if_explained(self, unit: UnitOfWork, chain: ChainId, txid: TxId, family: TxId) -> None:
        txids = unit.ledger.family(chain, family) or (txid,)
        findings = [f for tx in txids for f in unit.findings.of_tx(chain, tx)]
        # What a rule without enough history notes for information holds no alert open: no approval would explain it.
        loud = [f for f in findings if f.mode is Mode.ENFORCE and f.severity is not Severity.INFO]
        resolved = unit.findings.resolutions([f.id for f in loud])
        if loud and all(f.id in resolved for f in loud):
            late_secs = max(int(r.get("late_secs", 0)) for r in resolved.values())
            requests = [a.request_id for tx in txids for a in unit.approvals.allocations_of(chain, tx)]
            self.alert_writer.explained(unit, fingerprint(chain, family), requests, late_secs)

    # --- keeping ------------------------------------------------------------------------------------------------------

    def _keep(self, unit: UnitOfWork, finding: Finding) -> bool:
        """Keep a finding and record it; False if it is known (at most one for its key, whatever happens)."""
        is_new = unit.findings.add(finding)
        if not is_new and not (finding.verdict is VerdictKind.VIOLATION and unit.findings.settle(finding)):
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
        subject = finding.id if finding.tx is None else format_hash(ChainId.parse(finding.chain), finding.tx)
        unit.audit.append("walletwatch", "finding.made", subject, payload)
        return True

    def keep(self, unit: UnitOfWork, finding: Finding, key: str) -> bool:
        """Keep and tell a finding that no rule function made (operation rules), in the alert `key`."""
        if not self._keep(unit, finding):
            return False
        self.alert_writer.raise_alert(unit, key, (finding,), ())
        return True

    def _tell(self, unit: UnitOfWork, outflows: Sequence[Outflow], findings: Sequence[Finding]) -> None:
        if findings:
            first = outflows[0]
            self.alert_writer.raise_alert(unit, fingerprint(first.chain, first.family), findings, outflows)


def awaited_key(request_id: str) -> str:
    """The alert of a request that was not paid."""
    return f"request_unpaid/{request_id}"


def _key_of(event: Event, family: TxId) -> str:
    if isinstance(event, AwaitedRequest):
        return awaited_key(event.authorisation.request.id)
    return fingerprint(event.chain, family)


def record_outflow(unit: UnitOfWork, action: str, outflow: Outflow) -> None:
    """The audit entry of an outflow's step in life."""
    payload = {
        "outflow": outflow.id,
        "chain": str(outflow.chain),
        "wallet": outflow.wallet,
        "asset": str(outflow.asset),
        "amount": str(outflow.amount),
        "destinations": [[p.address.text, str(p.amount)] for p in outflow.payments],
        "first_seen": format_utc(outflow.first_seen),
        "height": None if outflow.block is None else outflow.block.height,
        "block_hash": None if outflow.block is None else format_hash(outflow.chain, outflow.block.hash),
    }
    unit.audit.append("walletwatch", action, format_hash(outflow.chain, outflow.tx), payload)


def _log_broken_rule(config: RuleConfig, error: Exception) -> None:
    _log.error("rule %s (%s) raised %s: its verdicts are undetermined", config.id, config.type, error, exc_info=error)
