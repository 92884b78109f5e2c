"""The approval desk: the book of requests as the store has it, and the question it is asked, "who approved this?"."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.approvals.books import RequestBook
from walletwatch.approvals.matching import match
from walletwatch.approvals.policies import Policy, PolicyHistory
from walletwatch.approvals.quorums import authoriser
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.payments import MatchResult, Spending
from walletwatch.domain.people import People
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import Request
from walletwatch.store import UnitOfWork
from walletwatch.store.approvals import Allocation

_WHOLE_SECOND = timedelta(microseconds=999_999)
"""A block's time is a whole second, cut off: what was approved within it may still have come before the block."""

PriceOf = Callable[[AssetId, datetime], Price]


class SpentRequests(Mapping[str, TxId]):
    """Which transaction used up a request first, read when asked. The asking transaction's own family
    does not count.
    """

    def __init__(self, unit: UnitOfWork, family: TxId) -> None:
        self._unit = unit
        self._family = family

    def __getitem__(self, request_id: str) -> TxId:
        found = self._unit.approvals.spent_by(request_id, self._family)
        if found is None:
            raise KeyError(request_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._unit.approvals.spent_ids(self._family))

    def __len__(self) -> int:
        return len(self._unit.approvals.spent_ids(self._family))


class ApprovalDesk:
    """One for all chains: whoever judges holds it, because the book is one and a request is spent once."""

    def __init__(self, people: People, policies: Sequence[Policy], price_of: PriceOf, *, configured: bool) -> None:
        self._people = people
        self._policies = PolicyHistory.of(policies)
        self._price_of = price_of
        self._configured = configured
        self._lock = threading.RLock()
        self._book = RequestBook(people)
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
    def book(self) -> RequestBook:
        """Every request known."""
        return self._book

    def refresh(self, unit: UnitOfWork) -> None:
        """Take in acts that were kept since, by this process or another."""
        fresh = self._last_row == 0
        for row, act in unit.approvals.acts_after(self._last_row):
            self._book.add(act)
            self._last_row = row
        if fresh:
            self.retire(unit.approvals.paid_for_good())

    def retire(self, request_ids: Iterable[str]) -> None:
        """These requests were paid for good: matching need not pass over them again."""
        for request_id in request_ids:
            self._book.retire(request_id)

    def forget(self) -> None:
        """Begin anew from the store: what was taken in belonged to a transaction that failed."""
        self._book = RequestBook(self._people)
        self._last_row = 0

    def requests_to(self, chain: ChainId, destination: Address) -> Sequence[Request]:
        """Every request that names `destination` on `chain`."""
        return [r for r in self._book if r.intent.chain == chain and r.intent.destination == destination]

    def match(self, unit: UnitOfWork, outflows: Sequence[Outflow]) -> MatchResult:
        """What the approvals say of one transaction's outflows in one asset. Raises Unknown without any feed."""
        if not self._configured:
            raise Unknown("no approval feed is configured")
        spending = self._spending(unit, outflows)
        spent = SpentRequests(unit, outflows[0].family)
        ask = authoriser(
            spending,
            policies=self._policies,
            people=self._people,
            price_of=lambda asset: self._price_of(asset, spending.broadcast_at),
        )
        # What paid a request for good may still be judged again, by a late act: to itself its request is not spent.
        self.reopen(a.request_id for tx in spending.family for a in unit.approvals.allocations_of(spending.chain, tx))
        result = match(spending, self._book, spent, ask, unit.approvals.trouble())
        if all(outflow.state is OutflowState.FINAL for outflow in outflows):
            self.retire(m.authorisation.request.id for m in result.matches)
        return result

    def allocate(self, unit: UnitOfWork, result: MatchResult, family: TxId) -> None:
        """Note which requests the payments used up, in place of what was noted before."""
        spending = result.spending
        unit.approvals.clear_allocations(spending.chain, spending.tx, spending.asset)
        unit.approvals.allocate(
            Allocation(
                spending.chain, spending.tx, spending.asset, m.payment.ordinal, m.authorisation.request.id, family
            )
            for m in result.matches
        )

    def _spending(self, unit: UnitOfWork, outflows: Sequence[Outflow]) -> Spending:
        first = outflows[0]
        seen_at = min(o.first_seen for o in outflows)
        by_block = [o.block_time + _WHOLE_SECOND for o in outflows if o.block_time is not None]
        return Spending(
            chain=first.chain,
            tx=first.tx,
            asset=first.asset,
            wallets=tuple(o.wallet for o in outflows),
            payments=first.payments,
            broadcast_at=min([seen_at, *by_block]),
            from_block_time_only=bool(by_block),
            family=unit.ledger.family(first.chain, first.family) or (first.tx,),
            seen_at=seen_at,
        )
