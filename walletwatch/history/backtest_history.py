"""What a pass over history remembers of the way it came, so that an outflow does not cost a query a rule."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.deployment import PriceBook
from walletwatch.domain.outflows import Outflow
from walletwatch.history.recent_transactions import RecentTransactions
from walletwatch.history.windows import EPOCH, NEVER, LongestWindow, Windows, ticks
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.store import UnitOfWork
from walletwatch.store.history import ChangedOutflow, PastOutflow

_MOST_PAYEES = 1_000_000
"""Some 300 MB; beyond that they are read again."""

Span = tuple[datetime, datetime]
"""The first and the last time."""


class KnownPast:
    """Everything up to a place in the order of judging. `take_in` moves it along."""

    def __init__(self, unit: UnitOfWork, prices: PriceBook) -> None:
        self._unit = unit
        self.place = self.before = 0
        """Up to where history is known, and was before the transaction that is judged."""
        self.windows = Windows(self._past, lambda asset, units, at: prices.price(asset, at).value_e8(units))
        self.recent = RecentTransactions(lambda: self.place + 1)
        self.reach = LongestWindow()
        self._payees = PayeeIndex()
        self._met: dict[Address, None] = {}
        self._paid: dict[tuple[ChainId, bytes], Span | None] = {}
        self._spent: dict[str, tuple[array[int], list[TxId]]] = {}

    def _past(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        return self._unit.outflows.in_window(after, until, wallet=wallet, asset=asset, before=self.place)

    def take_in(self, outflows: Sequence[tuple[int, Outflow]]) -> None:
        """Know the outflows of one transaction from now on."""
        self.before, self.place = self.place, outflows[-1][0]
        for place, o in outflows:
            row = PastOutflow(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.tx, place)
            self.windows.add(row)
            block_hash = b"" if o.block is None else o.block.hash
            self.recent.follow((ChangedOutflow(row, True, str(o.chain), block_hash),), self.before)

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
        """Whoever was paid by a judged transaction is a known payee for those after it."""
        self._met.update(dict.fromkeys(payment.address for payment in outflow.payments))

    def payees(self) -> PayeeIndex:
        """Who was paid by the transactions judged so far; indexed when it is asked for."""
        for address in self._met:
            self._payees.add(address)
        self._met.clear()
        return self._payees

    def paid(self, chain: ChainId, address: Address, tx: TxId, place: int) -> Span | None:
        """When an address was first and last paid by other transactions, judged before `place`; None if by none."""
        name = (chain, address.key)
        if name not in self._paid:
            if len(self._paid) >= _MOST_PAYEES:
                self._paid.clear()
            first = self._unit.history.first_paid_at(chain, address, NEVER, tx, place)
            last = self._unit.history.last_paid_at(chain, address, NEVER, tx, place)
            self._paid[name] = None if first is None or last is None else (first, last)
        return self._paid[name]

    # --- when a wallet spent ------------------------------------------------------------------------------------------

    def last_spent_at(self, wallet: str, but: TxId, until: datetime) -> datetime | None:
        """As `HistoryRepository.last_spent_at`, which at the end of history looks at its end only, and here at all."""
        if wallet not in self._spent:
            rows = sorted(self._unit.history.spendings(wallet))
            self._spent[wallet] = array("q", (ticks(at) for at, _ in rows)), [tx for _, tx in rows]
        times, txs = self._spent[wallet]
        place = bisect_right(times, ticks(until)) - 1
        while place >= 0 and txs[place] == but:
            place -= 1
        return EPOCH + timedelta(microseconds=times[place]) if place >= 0 else None
