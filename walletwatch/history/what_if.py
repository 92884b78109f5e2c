"""History as it would be if a transaction had just been seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.deployment import Deployment
from walletwatch.domain.outflows import Outflow
from walletwatch.history.facts import Requests, Sources
from walletwatch.history.history_cache import LedgerBooks
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import LongestWindow, Windows
from walletwatch.store import UnitOfWork
from walletwatch.store.history import LAST_ORDINAL, PastOutflow, PaymentReceived


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
