"""What becomes of transactions that wait: another outlook, or dropped by the node without having been mined.

A transaction that left the mempool did not happen, and still may: anyone who kept it can send it again for as long as
its inputs or its nonce are unspent. So its outflow stays `seen`; that it no longer waits is said in its alert and put
on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chains.model import (
    AccountTransaction,
    ChainTransaction,
    MempoolOutlook,
    PendingFacts,
    PoolOutlook,
    TxId,
    UtxoTransaction,
)
from walletwatch.deployment import WatchedChain, fingerprint
from walletwatch.domain.outflows import OutflowState
from walletwatch.store import UnitOfWork
from walletwatch.watch.judging import Judge, record_outflow

ABSENT_AFTER = timedelta(minutes=1)
"""A block may have taken it, and be read a moment later; another endpoint may have answered."""

Outlook = MempoolOutlook | PoolOutlook


class MempoolTracker:
    """Owned by one chain's worker. Its memory is rebuilt from the store; an absence is then counted anew."""

    def __init__(self, watched: WatchedChain, judge: Judge) -> None:
        self._chain = watched.chain
        self._judge = judge
        self._known: dict[TxId, Outlook | None] = {}
        self._missed: dict[TxId, datetime] = {}

    def changes(self, unit: UnitOfWork, pending: PendingFacts) -> dict[TxId, Outlook]:
        """The outlooks, as the node sees them now, of those transactions for which they are others than before."""
        if not pending.supported:
            return {}
        seen = unit.ledger.txids_in(self._chain, OutflowState.SEEN)
        self._known = {txid: self._outlook(unit, txid) for txid in seen}
        shown = {tx.txid: tx.outlook for tx in pending.transactions}
        absent = [txid for txid in seen if txid not in shown] if pending.whole else []
        self._missed = {txid: self._missed.get(txid, unit.now) for txid in absent}
        found: dict[TxId, Outlook] = {}
        for txid, before in self._known.items():
            now = shown[txid] if txid in shown else self._gone(txid, before, unit.now)
            if now is not None and now != before:
                found[txid] = now
        return found

    def _outlook(self, unit: UnitOfWork, txid: TxId) -> Outlook | None:
        if txid not in self._known:
            stored = unit.ledger.transaction(self._chain, txid)
            return None if stored is None else stored.tx.outlook
        return self._known[txid]

    def _gone(self, txid: TxId, before: Outlook | None, now: datetime) -> Outlook | None:
        if txid not in self._missed or before is None or before.gone_since is not None:
            return before
        since = self._missed[txid]
        return replace(before, gone_since=since) if now - since >= ABSENT_AFTER else before

    def keep(self, unit: UnitOfWork, changes: Mapping[TxId, Outlook]) -> None:
        """Keep them and record them in their alerts; what is no longer `seen` by now is left as it is."""
        for txid, outlook in changes.items():
            stored = unit.ledger.transaction(self._chain, txid)
            self._known.pop(txid, None)
            if stored is None or stored.state is not OutflowState.SEEN:
                continue
            was_gone = stored.tx.outlook is not None and stored.tx.outlook.gone_since is not None
            is_gone = outlook.gone_since is not None
            unit.ledger.save(replace(stored, tx=with_outlook(stored.tx, outlook)))
            if was_gone != is_gone:
                for outflow in unit.outflows.of_tx(self._chain, txid):
                    record_outflow(unit, "outflow.dropped" if is_gone else "outflow.seen", outflow)
                if is_gone:
                    self._judge.release(unit, self._chain, txid)
                else:
                    self._judge.judge_again(unit, self._chain, txid)
            what = "dropped from the mempool" if is_gone else "in the mempool again" if was_gone else "another outlook"
            key = fingerprint(self._chain, stored.family)
            self._judge.alert_writer.record_change(unit, key, what, notable=was_gone != is_gone)


def with_outlook(tx: ChainTransaction, outlook: Outlook) -> ChainTransaction:
    """The transaction with another outlook, of its own kind of chain."""
    if isinstance(tx, UtxoTransaction) and isinstance(outlook, MempoolOutlook):
        return replace(tx, outlook=outlook)
    if isinstance(tx, AccountTransaction) and isinstance(outlook, PoolOutlook):
        return replace(tx, outlook=outlook)
    raise TypeError(f"{type(outlook).__name__} is not of a {type(tx).__name__}")
