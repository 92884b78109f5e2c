"""A transaction before it is signed, held to the same netting, matching and rules as one that was seen. Nothing is
kept: what a rule asks of the past is answered as if this transaction had just been seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.model import Address, AssetId, ChainTransaction, ControlChange, TxId
from chains.unsigned_transactions import UnsignedTransaction
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow, OutflowState, by_asset, outflows_of
from walletwatch.domain.prices import Unknown
from walletwatch.domain.withdrawals import MatchResult, Spending
from walletwatch.history.facts import Requests, StoreFacts
from walletwatch.history.windows import Windows
from walletwatch.rules.engine import judge, judge_event
from walletwatch.rules.facts import ControlEvent, Event, InternalTransfer
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import UnitOfWork
from walletwatch.store.history import LAST_ORDINAL, PastOutflow, PaymentReceived
from walletwatch.watch.approval_service import ApprovalService, answer_of, fee_of, spending_of
from walletwatch.watch.internal_transfers import internal_transfers_of

_SIGNED_ONLY = frozenset({"unusual_signers"})
_BUILT = frozenset({"signing_fingerprint"})


@dataclass(frozen=True, slots=True)
class PreflightJudgement:
    """What the rules say of an unsigned transaction. `matches` hold what the approvals say, one for each asset that
    leaves or moves; `not_judged` are ids of rules that need signatures to be asked.
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
        """Everything the rules say of `draft`, as if it had been seen at `at`."""
        tx = unsigned.transaction
        family = self._family(tx)
        outflows = self._outflows(tx, at, family[0])
        moves = internal_transfers_of(tx, self._watched.perimeter, self._watched.native.id, self._watched.chain, at)
        events = tuple(self._control_events(unsigned, at))
        rules, left_out = _askable(self._deployment.rules, unsigned)
        answers = _Answers(self, unsigned, rules, frozenset({tx.txid, *family}), _counted(outflows))
        for some in by_asset(outflows):
            answers.ask_outflows(some, self._match(spending_of(some, family, [at], fee=fee_of(some)), family[0]))
        for some_moves in moves.values():
            answers.ask_moves(some_moves, self._match(spending_of(some_moves, family, [at]), family[0]))
        for event in events:
            answers.ask_event(event, Unknown("only outflows and own moves are matched to requests"))
        flat = tuple(move for some_moves in moves.values() for move in some_moves)
        return PreflightJudgement(outflows, flat, events, tuple(answers.matches), tuple(answers.findings), left_out)

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

    def _match(self, spending: Spending, family: TxId) -> MatchResult | Unknown:
        if self._blind:
            return Unknown(self._blind)
        try:
            return self._approvals.match_spending(self._unit, spending, family)
        except Unknown as unknown:
            return unknown

    def _control_events(self, unsigned: UnsignedTransaction, at: datetime) -> Iterator[ControlEvent]:
        grouped: dict[str, list[ControlChange]] = defaultdict(list)
        for change in unsigned.control:
            wallet = self._watched.perimeter.wallet_of(change.account)
            if wallet is not None:
                grouped[wallet.name].append(change)
        for name, changes in sorted(grouped.items()):
            yield ControlEvent(self._watched.chain, unsigned.transaction.txid, name, at, tuple(changes))

    def facts(
        self, subject: Outflow | Event, tx: ChainTransaction, result: MatchResult | Unknown, overlay: _Overlay
    ) -> PreflightFacts:
        """What the rules may ask about `subject`."""
        return PreflightFacts(
            self._unit,
            self._deployment,
            subject,
            tx,
            self._payees,
            answer_of(result),
            self._approvals.requests_to,
            overlay,
        )

    @property
    def deployment(self) -> Deployment:
        """The exchange."""
        return self._deployment

    @property
    def unit(self) -> UnitOfWork:
        """The view."""
        return self._unit


class _Answers:
    """Gathers what the rules say of one unsigned."""

    def __init__(
        self,
        approvals: PreflightJudge,
        unsigned: UnsignedTransaction,
        rules: Sequence[RuleConfig],
        gone: frozenset[TxId],
        own: Sequence[tuple[PastOutflow, Outflow]],
    ) -> None:
        self._approvals = approvals
        self._tx = unsigned.transaction
        self._rules = rules
        self._overlay = _Overlay(approvals.unit, approvals.deployment, gone, own)
        self.matches: list[MatchResult] = []
        self.findings: list[Finding] = []

    def ask_outflows(self, outflows: Sequence[Outflow], result: MatchResult | Unknown) -> None:
        self._note(result)
        digest = self._approvals.deployment.rules_digest
        for outflow in outflows:
            facts = self._approvals.facts(outflow, self._tx, result, self._overlay)
            self.findings += judge(outflow, facts, self._rules, digest, outflow.first_seen)

    def ask_moves(self, moves: Sequence[InternalTransfer], result: MatchResult | Unknown) -> None:
        self._note(result)
        for move in moves:
            self.ask_event(move, result)

    def ask_event(self, event: ControlEvent | InternalTransfer, result: MatchResult | Unknown) -> None:
        facts = self._approvals.facts(event, self._tx, result, self._overlay)
        self.findings += judge_event(event, facts, self._rules, self._approvals.deployment.rules_digest, event.at)

    def _note(self, result: MatchResult | Unknown) -> None:
        if isinstance(result, MatchResult):
            self.matches.append(result)


class _Overlay:
    """The past with the transaction's own outflows in it, and without what it would replace."""

    def __init__(
        self,
        unit: UnitOfWork,
        deployment: Deployment,
        gone: frozenset[TxId],
        own: Sequence[tuple[PastOutflow, Outflow]],
    ) -> None:
        self._unit = unit
        self._gone = gone
        self._own = own
        self.windows = Windows(self.past, lambda a, units, at: deployment.prices.price(a, at).value_e8(units))

    def past(self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None) -> list[PastOutflow]:
        """Outflows in (after, until], newest first."""
        rows = self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset)
        own = [r for r, _ in reversed(self._own) if wallet in (None, r.wallet) and asset in (None, r.asset)]
        return [*(r for r in own if after < r.broadcast_at <= until), *(r for r in rows if r.tx not in self._gone)]

    def receipts(self, rows: Iterable[PaymentReceived], destination: Address, after: datetime) -> list[PaymentReceived]:
        """What `destination` got after a time, by these rows and by the unsigned transaction."""
        own = (
            PaymentReceived(row, payment.ordinal, payment.amount)
            for row, outflow in self._own
            for payment in outflow.payments
            if payment.address == destination and row.broadcast_at > after
        )
        return [*(r for r in rows if r.row.tx not in self._gone), *own]


class PreflightFacts(StoreFacts):
    """The store's facts about what is not in the store yet."""

    def __init__(
        self,
        unit: UnitOfWork,
        deployment: Deployment,
        subject: Outflow | Event,
        tx: ChainTransaction,
        payees: PayeeIndex,
        match: Callable[[], MatchResult],
        requests: Requests,
        overlay: _Overlay,
    ) -> None:
        super().__init__(unit, deployment, subject, tx, payees, match, requests, overlay.windows)
        self._overlay = overlay

    def _receipts(self, destination: Address, window_secs: int, after: datetime) -> Sequence[PaymentReceived]:
        rows = super()._receipts(destination, window_secs, after)
        return self._overlay.receipts(rows, destination, after)


def _askable(
    rules: Sequence[RuleConfig], unsigned: UnsignedTransaction
) -> tuple[tuple[RuleConfig, ...], tuple[str, ...]]:
    """The rules that can be asked now, and the ids of those that only signatures can answer."""
    signing = unsigned.transaction.signing
    closed = (_SIGNED_ONLY | _BUILT) if signing is None else (frozenset() if signing.signers else _SIGNED_ONLY)
    return tuple(c for c in rules if c.type not in closed), tuple(c.id for c in rules if c.type in closed)


def _counted(outflows: Sequence[Outflow]) -> list[tuple[PastOutflow, Outflow]]:
    """The draft's own outflows as they would stand in the past."""
    return [(PastOutflow(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.tx, LAST_ORDINAL), o) for o in outflows]
