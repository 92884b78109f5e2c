"""The request book as the store has it, and its answer to: who approved this payment?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from chains.model import MAX_AMOUNT, Address, AssetId, ChainId, TxId
from walletwatch.approvals.matching import match, match_readings
from walletwatch.approvals.policies import PolicyHistory, PolicyVersion
from walletwatch.approvals.quorums import JudgementTime, authorise, authoriser, leeway_of
from walletwatch.approvals.request_book import RequestBook
from walletwatch.approvals.settlements import Leeway
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.people import People
from walletwatch.domain.policies import Policy
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import Act, ActKind, Authorisation, MatchResult, Reading, Request, Spending
from walletwatch.rules.facts import InternalTransfer
from walletwatch.store import UnitOfWork
from walletwatch.store.approvals import Allocation

_WHOLE_SECOND = timedelta(microseconds=999_999)
"""A block's time is a whole second, cut off: what was approved within it may still have come before the block."""

_MOST_VOID = 50

PriceOf = Callable[[AssetId, datetime], Price]


class SpentRequests(Mapping[str, TxId]):
    """Which transaction used up a request first, read on demand. The transaction being matched does not count, nor do
    those that conflict with it: of these only one can be mined.
    """

    def __init__(self, unit: UnitOfWork, conflicting: AbstractSet[TxId]) -> None:
        self._unit = unit
        self._conflicting = conflicting

    def __getitem__(self, request_id: str) -> TxId:
        found = self._unit.approvals.spent_by(request_id, self._conflicting)
        if found is None:
            raise KeyError(request_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._unit.approvals.spent_ids(self._conflicting))

    def __len__(self) -> int:
        return len(self._unit.approvals.spent_ids(self._conflicting))


class ApprovalService:
    """One for all chains: held while judging, because the book is one and a request is spent once. It is held
    together with the approvals `before` it, whose rules may still be judged by while its successor is in use.
    """

    def __init__(
        self,
        people: People,
        policies: Sequence[Policy],
        price_of: PriceOf,
        *,
        configured: bool,
        before: ApprovalService | None = None,
    ) -> None:
        self._people = people
        self._present = PolicyVersion(tuple(policies))
        self._policies = PolicyHistory((self._present,))
        self._price_of = price_of
        self._configured = configured
        self._lock: AbstractContextManager[bool] = threading.RLock()
        if before is not None:
            self._lock = before._lock  # noqa: SLF001 - of its own kind
        self._book = RequestBook(people)
        self._voided: set[str] = set()
        self._last_row = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else judges or reads a feed meanwhile."""
        with self._lock:
            yield

    def reopen(self, request_ids: Iterable[str]) -> None:
        """A reorg took back what paid these requests."""
        for request_id in request_ids:
            self._book.reopen(request_id)

    @property
    def people(self) -> People:
        """Everybody with a say, as configured."""
        return self._people

    @property
    def book(self) -> RequestBook:
        """Every request known."""
        return self._book

    def refresh(self, unit: UnitOfWork) -> None:
        """Take in acts that were kept since, by this process or another."""
        fresh = self._last_row == 0
        for row, act in unit.approvals.acts_after(self._last_row):
            self._book.add(act)
            self._last_row = row
            if act.kind is ActKind.REQUEST and self._book.void(act.request_id):
                self._voided.add(act.request_id)
        if fresh:
            self._load_policies(unit)
            self.retire(unit.approvals.paid_for_good())

    def keep_policies(self, unit: UnitOfWork) -> None:
        """Put the policies of this service into force: what was approved before stays under those of its time.
        Recorded, and read again by every later start.
        """
        digest = self._present.digest
        if unit.approvals.keep_policies(digest, self._present.document, unit.now):
            payload = {"digest": digest, "policies": self._present.document}
            unit.audit.append("walletwatch", "policies.changed", "policies", payload)
        self._load_policies(unit)

    def _load_policies(self, unit: UnitOfWork) -> None:
        """Every version that was kept; the present one too, where it was not kept yet."""
        kept = unit.approvals.policies()
        versions = [PolicyVersion.from_document(k.document, k.since) for k in kept]
        if not kept or kept[-1].digest != self._present.digest:
            versions.append(replace(self._present, since=unit.now if kept else None))
        self._policies = PolicyHistory(tuple(versions))

    def retire(self, request_ids: Iterable[str]) -> None:
        """These requests were paid for good: matching need not pass over them again. Where a policy lets several
        transactions pay one request, more may be to come.
        """
        if self._policies.has_parts:
            return
        for request_id in request_ids:
            self._book.retire(request_id)

    def forget(self) -> None:
        """Begin anew from the store: what was taken in belonged to a transaction that failed."""
        self._book = RequestBook(self._people)
        self._voided = set()
        self._last_row = 0

    def requests_to(self, chain: ChainId, destination: Address) -> Sequence[Request]:
        """Every request that names `destination` on `chain`."""
        return list(self._book.naming(chain, destination))

    def match(
        self, unit: UnitOfWork, outflows: Sequence[Outflow], readings: Callable[[], Sequence[Reading]]
    ) -> MatchResult:
        """What the approvals say of one transaction's outflows in one asset. Raises Unknown without any feed."""
        result = self.match_spending(unit, self._spending(unit, outflows), readings)
        if all(outflow.state is OutflowState.FINAL for outflow in outflows):
            self.retire(m.authorisation.request.id for m in result.matches)
        return result

    def match_spending(
        self, unit: UnitOfWork, spending: Spending, readings: Callable[[], Sequence[Reading]] = tuple
    ) -> MatchResult:
        """What the approvals say of what one transaction paid in one asset; `readings` are other ways to read what
        was paid. Raises Unknown without any feed.
        """
        if not self._configured:
            raise Unknown("no approval feed is configured")
        authorise_one = authoriser(
            spending,
            policies=self._policies,
            people=self._people,
            price_of=lambda asset: self._price_of(asset, spending.broadcast_at),
        )
        # What paid a request for good may still be judged again, by a late act: a transaction's own payment does not
        # spend its request.
        self.reopen(a.request_id for tx in spending.family for a in unit.approvals.allocations_of(spending.chain, tx))
        conflicting = frozenset({spending.tx, *spending.family})
        leeway = self._leeway(unit, spending, conflicting)
        spent, blind = SpentRequests(unit, conflicting), unit.approvals.trouble()
        result = match_readings(
            spending, readings, lambda read: match(read, self._book, spent, authorise_one, blind, leeway)
        )
        return replace(result, void=self._void_for(result)) if result.unexplained and self._voided else result

    def _leeway(self, unit: UnitOfWork, spending: Spending, conflicting: AbstractSet[TxId]) -> Leeway | None:
        price = self._price_of
        terms = leeway_of(spending, policies=self._policies, price_of=lambda a: price(a, spending.broadcast_at))
        if terms is None:
            return None

        def paid(request_id: str) -> tuple[int, int]:
            amount, count = unit.approvals.paid_by_others(request_id, conflicting)
            return MAX_AMOUNT if amount is None else amount, count

        return Leeway(terms, paid)

    def _void_for(self, result: MatchResult) -> tuple[Act, ...]:
        """Request acts that open nothing and name just what was paid: somebody tried."""
        asset = result.spending.asset
        paid = {(p.address.key, p.amount) for p in result.unexplained}
        acts = (act for request_id in sorted(self._voided) for act in self._book.void(request_id))
        fits = (a for a in acts if a.intent is not None and a.intent.asset == asset)
        return tuple(a for a in fits if a.intent and (a.intent.destination.key, a.intent.amount) in paid)[:_MOST_VOID]

    def standing(self, request: Request, at: datetime) -> Authorisation:
        """Whether `request` is approved as of `at`, by whatever wallet it would be paid."""
        return authorise(
            request,
            JudgementTime.now(at),
            policies=self._policies,
            people=self._people,
            price_of=lambda asset: self._price_of(asset, at),
        )

    def allocate(self, unit: UnitOfWork, result: MatchResult, family: TxId, *, clear: bool = True) -> None:
        """Record which requests the payments used up, in place of what was recorded before (or, not cleared, beside
        it).
        """
        spending = result.spending
        if clear:
            unit.approvals.clear_allocations(spending.chain, spending.tx, spending.asset)
        unit.approvals.allocate(
            Allocation(
                spending.chain,
                spending.tx,
                spending.asset,
                m.payment.ordinal,
                m.authorisation.request.id,
                family,
                m.payment.amount,
            )
            for m in result.matches
        )

    @staticmethod
    def _spending(unit: UnitOfWork, outflows: Sequence[Outflow]) -> Spending:
        first = outflows[0]
        family = unit.ledger.conflicts(first.chain, first.tx, first.family)
        seen, blocks = [o.first_seen for o in outflows], [o.block_time for o in outflows]
        return spending_of(outflows, family, seen, blocks, fee_of(outflows))


def spending_of(
    lost: Sequence[Outflow] | Sequence[InternalTransfer],
    family: tuple[TxId, ...],
    seen: Sequence[datetime],
    blocks: Sequence[datetime | None] = (),
    fee: int = 0,
) -> Spending:
    """What one transaction paid in one asset, as it is matched to requests. `lost`: what its wallets lost, not empty;
    `seen` and `blocks`: when each was first seen and its block's time; `fee` (base units) where it is of that asset.
    """
    first = lost[0]
    seen_at = min(seen)
    mined = [time + _WHOLE_SECOND for time in blocks if time is not None]
    return Spending(
        chain=first.chain,
        tx=first.tx,
        asset=first.asset,
        wallets=tuple(part.wallet for part in lost),
        payments=first.payments,
        broadcast_at=min([seen_at, *mined]),
        from_block_time_only=bool(mined),
        family=family,
        seen_at=seen_at,
        fee=fee,
    )


def fee_of(outflows: Sequence[Outflow]) -> int:
    """What the network took in the asset of these outflows, which are of one transaction and asset."""
    return sum(o.fee for o in outflows) if outflows[0].asset.namespace == "slip44" else 0
