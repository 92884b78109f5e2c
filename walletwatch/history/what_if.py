"""The past as it would be: with an unsigned transaction in it, or as a backtest has walked so far."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from chains.model import Address, AssetId, ChainId, ChainTransaction, TxId
from walletwatch.deployment import Deployment
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.history.facts import Requests, Sources
from walletwatch.history.history_cache import LedgerBooks
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import EPOCH, NEVER, LongestWindow, Windows, ticks
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import UnitOfWork
from walletwatch.store.history import LAST_ORDINAL, ChangedOutflow, PastOutflow, PaymentReceived


class WhatIf:
    """Lays a transaction's own `outflows` over the store, and takes away the transactions it would replace."""

    def __init__(self, unit: UnitOfWork, outflows: Sequence[Outflow], replaced: frozenset[TxId]) -> None:
        self._unit = unit
        self._replaced = replaced
        self._own = [
            (PastOutflow(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.tx, LAST_ORDINAL), o) for o in outflows
        ]

    def sources(self, deployment: Deployment, requests: Requests) -> Sources:
        """Sources that know of the transaction."""
        prices = deployment.prices
        return Sources(
            unit=self._unit,
            deployment=deployment,
            requests=requests,
            windows=Windows(self.in_window, lambda asset, units, at: prices.price(asset, at).value_e8(units)),
            receipts=self.receipts,
            payments=self._unit.history,
            recent=RecentTransactions(),
            books=LedgerBooks(),
            reach=LongestWindow(),
        )

    def in_window(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> list[PastOutflow]:
        """Outflows in (after, until], newest first."""
        rows = self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset)
        own = [r for r, _ in reversed(self._own) if wallet in (None, r.wallet) and asset in (None, r.asset)]
        return [*(r for r in own if after < r.broadcast_at <= until), *(r for r in rows if r.tx not in self._replaced)]

    def receipts(
        self, chain: ChainId, address: Address, after: datetime, until: datetime, tx: TxId
    ) -> list[PaymentReceived]:
        """Payments to `address` in (after, until], oldest first."""
        rows = self._unit.history.receipts(chain, address, after, until, tx)
        own = (
            PaymentReceived(row, payment.ordinal, payment.amount)
            for row, outflow in self._own
            for payment in outflow.payments
            if payment.address == address and after < row.broadcast_at <= until
        )
        return [*(r for r in rows if r.row.tx not in self._replaced), *own]


_MOST_PAYEES = 1_000_000
"""Some 300 MB; beyond that they are read again."""

Span = tuple[datetime, datetime]
"""The first and the last time."""


class BacktestHistory:
    """Everything up to `ordinal` in the order of judging; `before` is where it ended before the present transaction."""

    def __init__(self, unit: UnitOfWork, deployment: Deployment) -> None:
        self._unit = unit
        self.ordinal = self.before = 0
        prices = deployment.prices
        self.sources = Sources(
            unit=unit,
            deployment=deployment,
            requests=lambda _chain, _address: (),
            windows=Windows(self._rows_before, lambda asset, units, at: prices.price(asset, at).value_e8(units)),
            receipts=self.receipts,
            payments=self,
            recent=RecentTransactions(lambda: self.ordinal + 1),
            books=self,
            reach=LongestWindow(),
        )
        self._decoded: tuple[Outflow | None, ChainTransaction | None] = None, None
        self._payees = PayeeIndex()
        self._met: dict[Address, None] = {}
        self._paid: dict[tuple[ChainId, bytes], Span | None] = {}
        self._spent: dict[str, tuple[array[int], list[TxId]]] = {}

    def _rows_before(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        return self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset, before=self.ordinal)

    def take_in(self, outflows: Sequence[tuple[int, Outflow]]) -> None:
        """Know the outflows of one transaction, each with its ordinal, from now on."""
        self.before, self.ordinal = self.ordinal, outflows[-1][0]
        for ordinal, o in outflows:
            row = PastOutflow(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.tx, ordinal)
            self.sources.windows.add(row)
            change = ChangedOutflow(row, True, str(o.chain), _block_hash(o))
            self.sources.recent.follow((change,), self.before)

    def transaction(self, outflow: Outflow) -> ChainTransaction | None:
        """The transaction of an outflow, as last known; that of the last outflow is kept, for all rules."""
        if self._decoded[0] is not outflow:
            tx = self._unit.ledger.decode(str(outflow.chain), outflow.tx)
            if tx is not None:
                self.sources.recent.remember(str(outflow.chain), _block_hash(outflow), tx)
            self._decoded = outflow, tx
        return self._decoded[1]

    def receipts(
        self, chain: ChainId, address: Address, after: datetime, until: datetime, tx: TxId
    ) -> Sequence[PaymentReceived]:
        """Payments to `address` in (after, until] known so far."""
        return self._unit.history.receipts(chain, address, after, until, tx, self.ordinal)

    def balance(self, unit: UnitOfWork, chain: ChainId, wallet: str, asset: AssetId) -> int:  # noqa: ARG002 - `Books`
        """Raises Unknown: what wallets held in the past is not kept."""
        raise Unknown(f"what {wallet} held at that time is not kept")

    def go_on(self, outflows: Sequence[tuple[int, Outflow]]) -> None:
        """What they paid counts as paid before for the next transaction."""
        if not self._paid:
            return
        for _, outflow in outflows:
            for payment in outflow.payments:
                name = (outflow.chain, payment.address.key)
                if name in self._paid:
                    first, last = self._paid[name] or (outflow.broadcast_at, outflow.broadcast_at)
                    self._paid[name] = min(first, outflow.broadcast_at), max(last, outflow.broadcast_at)

    # --- who was paid -------------------------------------------------------------------------------------------------

    def meet(self, outflow: Outflow) -> None:
        """Those paid by a judged transaction are known payees for the transactions after it."""
        self._met.update(dict.fromkeys(payment.address for payment in outflow.payments))

    def payees(self) -> PayeeIndex:
        """Who was paid by the transactions judged so far; indexed when a rule asks."""
        for address in self._met:
            self._payees.add(address)
        self._met.clear()
        return self._payees

    def first_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """As `HistoryRepository.first_paid_at`."""
        if ordinal <= self.before:  # a part of the transaction was judged before
            return self._unit.history.first_paid_at(chain, address, until, tx, ordinal)
        span = self._span(chain, address, tx, ordinal)
        return None if span is None or span[0] > until else span[0]

    def last_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """As `HistoryRepository.last_paid_at`."""
        span = None if ordinal <= self.before else self._span(chain, address, tx, ordinal)
        if ordinal <= self.before or (span is not None and span[1] > until):
            return self._unit.history.last_paid_at(chain, address, until, tx, ordinal)
        return None if span is None else span[1]

    def _span(self, chain: ChainId, address: Address, tx: TxId, ordinal: int) -> Span | None:
        """When an address was first and last paid by other transactions, judged before `ordinal`; None if by none."""
        name = (chain, address.key)
        if name not in self._paid:
            if len(self._paid) >= _MOST_PAYEES:
                self._paid.clear()
            first = self._unit.history.first_paid_at(chain, address, NEVER, tx, ordinal)
            last = self._unit.history.last_paid_at(chain, address, NEVER, tx, ordinal)
            self._paid[name] = None if first is None or last is None else (first, last)
        return self._paid[name]

    # --- when a wallet spent ------------------------------------------------------------------------------------------

    def last_spent_at(self, wallet: str, tx: TxId, until: datetime) -> datetime | None:
        """As `HistoryRepository.last_spent_at`, whose statement is quick at the end of history only."""
        if wallet not in self._spent:
            rows = sorted(self._unit.history.spendings(wallet))
            self._spent[wallet] = array("q", (ticks(at) for at, _ in rows)), [spending for _, spending in rows]
        times, txs = self._spent[wallet]
        last = bisect_right(times, ticks(until)) - 1
        while last >= 0 and txs[last] == tx:
            last -= 1
        return EPOCH + timedelta(microseconds=times[last]) if last >= 0 else None


def _block_hash(outflow: Outflow) -> bytes:
    return b"" if outflow.block is None else outflow.block.hash
