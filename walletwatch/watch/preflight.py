"""Judges an unsigned transaction by the netting, matching and rules of one that was seen. Nothing is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.family import UnsignedTransaction
from chains.model import ChainTransaction, ControlChange, TxId
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow, OutflowState, by_asset, outflows_of
from walletwatch.domain.prices import Unknown
from walletwatch.domain.routes import readings_of
from walletwatch.domain.withdrawals import MatchResult, Reading, Spending
from walletwatch.history.facts import Sources, StoreFacts
from walletwatch.history.what_if import WhatIf
from walletwatch.rules.engine import judge, judge_event
from walletwatch.rules.facts import ControlEvent, InternalTransfer
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import UnitOfWork
from walletwatch.watch.approval_service import ApprovalService, fee_of, spending_of
from walletwatch.watch.internal_transfers import internal_transfers_of

_SIGNED_ONLY = frozenset({"unusual_signers"})
_BUILT = frozenset({"signing_fingerprint"})


@dataclass(frozen=True, slots=True)
class PreflightJudgement:
    """What the rules say of an unsigned transaction. `matches` hold what the approvals say, one for each asset that
    leaves or moves; `not_judged` are ids of rules that need signatures.
    """

    outflows: tuple[Outflow, ...]
    moves: tuple[InternalTransfer, ...]
    control: tuple[ControlEvent, ...]
    matches: tuple[MatchResult, ...]
    findings: tuple[Finding, ...]
    not_judged: tuple[str, ...]


class PreflightJudge:
    """Judges one unsigned in a view of the store that changes nothing. `blind` is why approvals cannot be consulted."""

    def __init__(
        self,
        unit: UnitOfWork,
        deployment: Deployment,
        approvals: ApprovalService,
        watched: WatchedChain,
        payees: PayeeIndex,
        blind: str = "",
    ) -> None:
        self._unit = unit
        self._deployment = deployment
        self._approvals = approvals
        self._watched = watched
        self._payees = payees
        self._blind = blind

    def judge(self, unsigned: UnsignedTransaction, at: datetime) -> PreflightJudgement:
        """Everything the rules say of `unsigned`, as if it had been seen at `at`."""
        tx = unsigned.transaction
        family = self._family(tx)
        outflows = self._outflows(tx, at, family[0])
        moves = internal_transfers_of(tx, self._watched.perimeter, self._watched.native.id, self._watched.chain, at)
        events = tuple(self._control_events(unsigned, at))
        rules, left_out = _applicable(self._deployment.rules, unsigned)
        judged: list[tuple[Sequence[Outflow | InternalTransfer | ControlEvent], MatchResult | Unknown]] = []
        judged += [
            (some, self._match(spending_of(some, family, [at], fee=fee_of(some)), tx)) for some in by_asset(outflows)
        ]
        judged += [(some, self._match(spending_of(some, family, [at]), None)) for some in moves.values()]
        matches = tuple(result for _, result in judged if isinstance(result, MatchResult))
        judged.append((events, Unknown("only outflows and own moves are matched to requests")))
        what_if = WhatIf(self._unit, outflows, frozenset({tx.txid, *family}))
        sources = what_if.sources(self._deployment, self._approvals.requests_to)
        findings = tuple(
            finding
            for subjects, result in judged
            for subject in subjects
            for finding in self._findings(subject, tx, result, sources, rules)
        )
        flat = tuple(move for some in moves.values() for move in some)
        return PreflightJudgement(outflows, flat, events, matches, findings, left_out)

    def _findings(
        self,
        subject: Outflow | InternalTransfer | ControlEvent,
        tx: ChainTransaction,
        result: MatchResult | Unknown,
        sources: Sources,
        rules: Sequence[RuleConfig],
    ) -> tuple[Finding, ...]:
        facts = StoreFacts(sources, subject, lambda: tx, result, lambda: self._payees)
        digest = self._deployment.rules_digest
        if isinstance(subject, Outflow):
            return judge(subject, facts, rules, digest, subject.first_seen)
        return judge_event(subject, facts, rules, digest, subject.at)

    def _family(self, tx: ChainTransaction) -> tuple[TxId, ...]:
        """Waiting transactions it would replace share their requests with it, and no longer count in limits."""
        chain = self._watched.chain
        for rival in self._unit.ledger.rivals(chain, tx):
            stored = self._unit.ledger.transaction(chain, rival)
            if stored is not None and stored.block is None:
                return tuple(dict.fromkeys((stored.family, *self._unit.ledger.family(chain, stored.family), tx.txid)))
        return (tx.txid,)

    def mined_rivals(self, tx: ChainTransaction) -> tuple[TxId, ...]:
        """Transactions in the chain that used up what `tx` spends: it can never be mined."""
        chain, found = self._watched.chain, []
        for rival in self._unit.ledger.rivals(chain, tx):
            stored = self._unit.ledger.transaction(chain, rival)
            if stored is not None and stored.block is not None:
                found.append(rival)
        return tuple(found)

    def _outflows(self, tx: ChainTransaction, at: datetime, family: TxId) -> tuple[Outflow, ...]:
        result = self._watched.net(tx)
        return outflows_of(tx, result, self._watched.chain, state=OutflowState.SEEN, first_seen=at, family=family)

    def _match(self, spending: Spending, tx: ChainTransaction | None) -> MatchResult | Unknown:
        if self._blind:
            return Unknown(self._blind)
        try:
            return self._approvals.match_spending(self._unit, spending, lambda: self._readings(spending, tx))
        except Unknown as unknown:
            return unknown

    def _readings(self, spending: Spending, tx: ChainTransaction | None) -> Sequence[Reading]:
        return () if tx is None else readings_of(tx, self._watched.perimeter, spending.asset, spending.payments)

    def _control_events(self, unsigned: UnsignedTransaction, at: datetime) -> Iterator[ControlEvent]:
        grouped: dict[str, list[ControlChange]] = defaultdict(list)
        for change in unsigned.control:
            wallet = self._watched.perimeter.wallet_of(change.account)
            if wallet is not None:
                grouped[wallet.name].append(change)
        for name, changes in sorted(grouped.items()):
            yield ControlEvent(self._watched.chain, unsigned.transaction.txid, name, at, tuple(changes))


def _applicable(
    rules: Sequence[RuleConfig], unsigned: UnsignedTransaction
) -> tuple[tuple[RuleConfig, ...], tuple[str, ...]]:
    """The rules that apply before signing, and the ids of those that need signatures."""
    signing = unsigned.transaction.signing
    closed = (_SIGNED_ONLY | _BUILT) if signing is None else (frozenset() if signing.signers else _SIGNED_ONLY)
    return tuple(c for c in rules if c.type not in closed), tuple(c.id for c in rules if c.type in closed)
