"""From what a transaction took out of the perimeter to findings and an alert, in the block's own transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from chains.model import AccountTransaction, ChainId, ChainTransaction, TxId
from chains.registry import format_hash
from walletwatch.deployment import Deployment, fingerprint
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow, OutflowState, by_asset
from walletwatch.domain.prices import Unknown
from walletwatch.domain.routes import readings_of
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import MatchResult, Reading
from walletwatch.history.facts import StoreFacts
from walletwatch.history.history_cache import HistoryCache
from walletwatch.rules.engine import OncePerRule, judge, judge_event
from walletwatch.rules.facts import AwaitedRequest, Event, InternalTransfer
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig, catalogue
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import StoredTransaction
from walletwatch.watch.approval_service import ApprovalService, spending_of
from walletwatch.watch.findings import AlertRaiser, FindingWriter, Verdicts
from walletwatch.watch.internal_transfers import internal_transfers_of

_log = logging.getLogger(__name__)

AUTHORISATION_RULES = tuple(t.name for t in catalogue() if t.family == "authorisation")


class Judge:
    """Judges what transactions do, when first seen and again when an act arrives that may explain them."""

    def __init__(self, deployment: Deployment, approvals: ApprovalService, alert_writer: AlertRaiser) -> None:
        self.deployment = deployment
        self.approvals = approvals
        self.alert_writer = alert_writer
        self.findings = FindingWriter(deployment, alert_writer)
        self._cache = HistoryCache(deployment, approvals.requests_to)
        self._on_error = OncePerRule(_log_broken_rule)
        self._authorisation = tuple(c for c in deployment.rules if c.type in (*AUTHORISATION_RULES, "after_freeze"))

    # --- outflows and internal transfers ------------------------------------------------------------------------------

    def judge_again(self, unit: UnitOfWork, chain: ChainId, txid: TxId) -> None:
        """An act arrived that may explain what a transaction did, or take its explanation away."""
        self.judge_outflows(unit, unit.outflows.of_tx(chain, txid))
        stored = unit.ledger.transaction(chain, txid)
        if stored is not None and stored.block is not None:
            self.judge_internal_transfers(unit, stored, PayeeIndex())

    def release(self, unit: UnitOfWork, chain: ChainId, txid: TxId) -> None:
        """A transaction failed, was dropped, replaced or orphaned: its requests are free, and what was found for want
        of them is judged again.
        """
        freed = unit.approvals.release(chain, txid)
        self.approvals.reopen(freed)
        for other_chain, other in self.concerned(unit, freed):
            if other != txid:
                self.judge_again(unit, other_chain, other)

    def concerned(self, unit: UnitOfWork, request_ids: Iterable[str]) -> list[tuple[ChainId, TxId]]:
        """Transactions with an authorisation finding that these requests may explain: by destination or amount."""
        requests = [self.approvals.book.get(request_id) for request_id in request_ids]
        intents = [r.intent for r in requests if r is not None]
        if not intents:
            return []
        payees = {(i.asset, i.destination.key) for i in intents}
        amounts = {(i.asset, i.amount) for i in intents}
        found = []
        for chain, txid in unit.findings.unresolved(AUTHORISATION_RULES):
            paid = [(o.asset, p) for o in unit.outflows.of_tx(chain, txid) for p in o.payments]
            if any((asset, p.address.key) in payees or (asset, p.amount) in amounts for asset, p in paid):
                found.append((chain, txid))
        return found

    def judge_outflows(
        self,
        unit: UnitOfWork,
        outflows: Sequence[Outflow],
        tx: ChainTransaction | None = None,
        payees: PayeeIndex | None = None,
    ) -> tuple[Finding, ...]:
        """Match and judge the outflows of one transaction, in place of what was found before; the new findings. With
        `tx` it is first seen, or moves something else than it showed, and every rule applies. Without, only its
        approvals changed, and those rules apply that ask for them.
        """
        if not outflows:
            return ()
        first = outflows[0]
        verdicts = list(self._verdicts(unit, outflows, tx, PayeeIndex() if payees is None else payees))
        return self.findings.settle(unit, (first.chain, first.tx, first.family), verdicts, outflows)

    def _verdicts(
        self, unit: UnitOfWork, outflows: Sequence[Outflow], tx: ChainTransaction | None, payees: PayeeIndex
    ) -> Iterator[Verdicts]:
        again = tx is None
        rules = self._authorisation if again else self.deployment.rules
        known = unit.findings.of_tx(outflows[0].chain, outflows[0].tx)
        types = {config.type for config in rules}
        before = [f for f in known if f.outflow is not None and f.rule in types]
        for some in by_asset(outflows):
            result = _known(partial(self.approvals.match, unit, some, partial(self._readings, unit, some[0], tx)))
            if isinstance(result, MatchResult):
                if not again or _stands(unit, some[0]):
                    self.approvals.allocate(unit, result, some[0].family)
            elif again:
                continue  # without an answer of the approvals, what was found stands
            for outflow in some:
                found = self._judge_one(unit, outflow, tx, payees, result, rules)
                yield Verdicts(outflow.broadcast_at, found, [f for f in before if f.outflow == outflow.id])

    def _readings(self, unit: UnitOfWork, outflow: Outflow, tx: ChainTransaction | None) -> Sequence[Reading]:
        """Other ways to read what the transaction of `outflow` paid in its asset."""
        stored = unit.ledger.transaction(outflow.chain, outflow.tx) if tx is None else None
        tx = tx if stored is None else stored.tx
        if tx is None:
            return ()
        return readings_of(tx, self.deployment.chains[outflow.chain].perimeter, outflow.asset, outflow.payments)

    def _judge_one(
        self,
        unit: UnitOfWork,
        outflow: Outflow,
        tx: ChainTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown,
        rules: Iterable[RuleConfig],
    ) -> tuple[Finding, ...]:
        facts = self._facts(unit, outflow, tx, payees, result)
        return judge(outflow, facts, rules, self.deployment.rules_digest, unit.now, on_error=self._on_error)

    def judge_internal_transfers(
        self, unit: UnitOfWork, stored: StoredTransaction, payees: PayeeIndex
    ) -> tuple[Finding, ...]:
        """Match and judge what a mined transaction moved between own wallets, in place of what was found before; the
        new findings.
        """
        watched = self.deployment.chains[stored.chain]
        at = stored.first_seen if stored.block_time is None else min(stored.first_seen, stored.block_time)
        moves = internal_transfers_of(stored.tx, watched.perimeter, watched.native.id, stored.chain, at)
        new: list[Finding] = []
        for some in moves.values():
            result = self._match_transfers(unit, stored, some)
            for move in some:
                found = self._judge_event(unit, move, None, payees, result)
                before = [f for f in unit.findings.of_tx(move.chain, move.tx) if _is_about(f, move)]
                verdicts = Verdicts(move.at, found, before)
                new += self.findings.settle(unit, (move.chain, move.tx, stored.family), (verdicts,))
        return tuple(new)

    def _match_transfers(
        self, unit: UnitOfWork, stored: StoredTransaction, moves: Sequence[InternalTransfer]
    ) -> MatchResult | Unknown:
        family = unit.ledger.conflicts(stored.chain, stored.tx.txid, stored.family)
        spending = spending_of(moves, family, [stored.first_seen], [stored.block_time])
        result = _known(partial(self.approvals.match_spending, unit, spending))
        if isinstance(result, MatchResult):
            outflows = unit.outflows.of_tx(stored.chain, stored.tx.txid)
            shared = any(o.asset == moves[0].asset for o in outflows)
            self.approvals.allocate(unit, result, stored.family, clear=not shared)
        return result

    # --- other events -------------------------------------------------------------------------------------------------

    def judge_event(
        self, unit: UnitOfWork, event: Event, family: TxId, tx: AccountTransaction | None, payees: PayeeIndex
    ) -> tuple[Finding, ...]:
        """Judge what is matched to no request; the new findings. Of an awaited request, which has no transaction, the
        alert is the request's own.
        """
        unmatched = Unknown("only outflows and own moves are matched to requests")
        found = self._judge_event(unit, event, tx, payees, unmatched)
        return self.findings.keep(unit, found, _key_of(event, family))

    def _judge_event(
        self,
        unit: UnitOfWork,
        event: Event,
        tx: AccountTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown,
    ) -> tuple[Finding, ...]:
        facts = self._facts(unit, event, tx, payees, result)
        rules, digest = self.deployment.rules, self.deployment.rules_digest
        return judge_event(event, facts, rules, digest, unit.now, on_error=self._on_error)

    def _facts(
        self,
        unit: UnitOfWork,
        subject: Outflow | Event,
        tx: ChainTransaction | None,
        payees: PayeeIndex,
        result: MatchResult | Unknown,
    ) -> StoreFacts:
        return StoreFacts(self._cache.sources(unit, subject, tx), subject, lambda: tx, result, lambda: payees)


def _stands(unit: UnitOfWork, outflow: Outflow) -> bool:
    """Whether a payment is waiting or in the chain: what failed, was dropped or replaced holds no request."""
    if outflow.state is OutflowState.REPLACED:
        return False
    if outflow.state is not OutflowState.SEEN:
        return True
    stored = unit.ledger.transaction(outflow.chain, outflow.tx)
    return stored is None or stored.tx.outlook is None or stored.tx.outlook.gone_since is None


def _known(match: Callable[[], MatchResult]) -> MatchResult | Unknown:
    try:
        return match()
    except Unknown as unknown:
        return unknown


def _is_about(finding: Finding, move: InternalTransfer) -> bool:
    subject = (finding.rule, finding.wallet, finding.asset)
    return subject == ("unapproved_move", move.wallet, str(move.asset))


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
