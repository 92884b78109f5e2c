"""One block (or one reading of the mempool) into the store, in one transaction: all of it or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chains.model import (
    AccountTransaction,
    BlockFacts,
    BlockRef,
    ChainTransaction,
    ControlChange,
    Outpoint,
    PendingFacts,
    TxId,
    UtxoTransaction,
)
from chains.registry import format_hash
from walletwatch.deployment import WatchedChain, fingerprint
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import NetResult, Outflow, OutflowState, outflows_of
from walletwatch.rules.facts import ControlEvent, SentTransaction
from walletwatch.store import UnitOfWork
from walletwatch.store.chain_state import Cursor
from walletwatch.store.ledger import StoredTransaction
from walletwatch.watch.block_batches import WatchMemory
from walletwatch.watch.judging import Judge, record_outflow

_IN_CHAIN = (OutflowState.INCLUDED, OutflowState.FINAL)
_STANDING = (OutflowState.SEEN, *_IN_CHAIN)
"""States in which a payment holds the requests it used up."""


class Ingestion:
    """One chain's way into the store."""

    def __init__(self, watched: WatchedChain, judge: Judge, memory: WatchMemory) -> None:
        self.watched = watched
        self.judge = judge
        self.memory = memory

    # --- blocks -------------------------------------------------------------------------------------------------------

    def ingest_block(self, unit: UnitOfWork, facts: BlockFacts, cursor: Cursor) -> tuple[Finding, ...]:
        """Everything `facts` says about us, with the cursor moved to it. Returns the new findings."""
        unit.chain_state.advance(facts, cursor.ref, unit.now)
        found: list[Finding] = []
        self.memory.dull.clear()
        for tx in facts.transactions:
            found += self._include(unit, tx, facts)
        found += self._judge_control(unit, facts)
        unit.chain_state.prune(facts.chain, facts.ref.height - self.watched.max_reorg)
        return tuple(found)

    def _include(self, unit: UnitOfWork, tx: ChainTransaction, block: BlockFacts) -> tuple[Finding, ...]:
        result = self.watched.net(tx)
        if not result.movements and unit.ledger.transaction(block.chain, tx.txid) is None:
            return ()
        stored = self._store_transaction(unit, tx, OutflowState.INCLUDED, block)
        self._book(unit, tx, result, block)
        self._replace_rivals(unit, tx)
        outflows = outflows_of(
            tx,
            result,
            block.chain,
            state=OutflowState.INCLUDED,
            first_seen=stored.first_seen,
            block=block.ref,
            block_time=block.time,
            family=stored.family,
        )
        self._retract(unit, tx, outflows)
        found = self._take(unit, tx, outflows, "outflow.included")
        moved = self.judge.judge_internal_transfers(unit, stored, self.memory.payees)
        return (*found, *moved, *self._judge_sent(unit, tx, stored))

    def _retract(self, unit: UnitOfWork, tx: ChainTransaction, outflows: Sequence[Outflow]) -> None:
        """What a waiting transaction announced and did not do when it ran is no loss: it failed, or paid otherwise."""
        now = {o.id for o in outflows}
        before = [o for o in unit.outflows.of_tx(self.watched.chain, tx.txid) if o.id not in now and o.block is None]
        gone = [replace(o, state=OutflowState.REPLACED) for o in before if o.state is not OutflowState.REPLACED]
        for outflow in gone:
            unit.outflows.save(outflow)
            record_outflow(unit, "outflow.replaced", outflow)
        if gone:
            self.judge.release(unit, self.watched.chain, tx.txid)
        self._renew(unit, gone, {o.id: o.state for o in before})

    def _store_transaction(
        self, unit: UnitOfWork, tx: ChainTransaction, state: OutflowState, block: BlockFacts | None
    ) -> StoredTransaction:
        chain = self.watched.chain
        known = unit.ledger.transaction(chain, tx.txid)
        stored = StoredTransaction(
            chain=chain,
            tx=tx,
            state=state,
            first_seen=unit.now if known is None else known.first_seen,
            family=self._family(unit, tx) if known is None else known.family,
            block=None if block is None else block.ref,
            block_time=None if block is None else block.time,
        )
        unit.ledger.save(stored)
        return stored

    def _family(self, unit: UnitOfWork, tx: ChainTransaction) -> TxId:
        for rival in unit.ledger.rivals(self.watched.chain, tx):
            stored = unit.ledger.transaction(self.watched.chain, rival)
            if stored is not None:
                return stored.family
        return tx.txid

    def _replace_rivals(self, unit: UnitOfWork, tx: ChainTransaction) -> None:
        """What consumes the same inputs or nonce can no longer confirm (or was outbid)."""
        rivals = unit.ledger.rivals(self.watched.chain, tx)
        gone = [r for r in rivals if self._may_be_replaced(unit, r)]
        self._change(unit, gone, OutflowState.REPLACED)

    def _may_be_replaced(self, unit: UnitOfWork, txid: TxId) -> bool:
        stored = unit.ledger.transaction(self.watched.chain, txid)
        return stored is not None and stored.state not in (*_IN_CHAIN, OutflowState.REPLACED)

    def _book(self, unit: UnitOfWork, tx: ChainTransaction, result: NetResult, block: BlockFacts) -> None:
        unit.ledger.add_movements(block, tx, result.movements)
        if not isinstance(tx, UtxoTransaction):
            return
        own = [o for o in tx.outputs if self.watched.perimeter.wallet_of(o.address) is not None]
        spent = [i.outpoint for i in tx.inputs if self.watched.perimeter.wallet_of(i.address) is not None]
        unit.ledger.add_outputs(block.chain, block.ref.height, tx.txid, own)
        unit.ledger.spend(block.chain, block.ref.height, spent)
        self.memory.learned.created.update({Outpoint(tx.txid, o.vout): o for o in own})
        self.memory.learned.spent += spent

    def _take(
        self, unit: UnitOfWork, tx: ChainTransaction, outflows: Sequence[Outflow], action: str
    ) -> tuple[Finding, ...]:
        """Save outflows; judge them where they were never seen before, move something else than was seen, or their
        requests may have been given away meanwhile; renew the alert.
        """
        known = {o.id: o for o in unit.outflows.of_tx(self.watched.chain, tx.txid)}
        standing = all(known[o.id].state in _STANDING for o in outflows if o.id in known)
        # What the node dropped and a block holds all the same gave its requests away meanwhile.
        standing = standing and bool(unit.approvals.allocations_of(self.watched.chain, tx.txid))
        for outflow in outflows:
            unit.outflows.save(outflow)
            record_outflow(unit, action, outflow)
        fresh = [o for o in outflows if o.id not in known or _moves(known[o.id]) != _moves(o)]
        if fresh:
            self.memory.learned.payees += [p.address for o in fresh for p in o.payments]
            return self.judge.judge_outflows(unit, outflows, tx, self.memory.payees)
        found = () if standing else self.judge.judge_outflows(unit, outflows)
        self._renew(unit, outflows, {id_: o.state for id_, o in known.items()})
        return found

    def _renew(self, unit: UnitOfWork, outflows: Sequence[Outflow], before: Mapping[str, OutflowState]) -> None:
        """Bring the alert up to date, if there is one, with what its outflows are now."""
        if outflows:
            key = fingerprint(outflows[0].chain, outflows[0].family)
            self.judge.alert_writer.raise_alert(unit, key, (), outflows, before)

    def _change(self, unit: UnitOfWork, txids: Sequence[TxId], state: OutflowState) -> None:
        """Give transactions and their outflows another state, on record, and renew their alerts."""
        before = {txid: unit.outflows.of_tx(self.watched.chain, txid) for txid in txids}
        unit.ledger.set_state(self.watched.chain, txids, state)
        for old in before.values():
            for outflow in old:
                if state is OutflowState.FINAL and outflow.block is None:
                    unit.outflows.save(outflow)  # retracted when its transaction ran: only that is final
            self._announce(unit, old)
        if state is OutflowState.REPLACED:
            for txid in txids:
                self.judge.release(unit, self.watched.chain, txid)

    def _announce(self, unit: UnitOfWork, before: Sequence[Outflow]) -> None:
        if not before:
            return
        outflows = unit.outflows.of_tx(self.watched.chain, before[0].tx)
        for outflow in outflows:
            record_outflow(unit, f"outflow.{outflow.state}", outflow)
        self._renew(unit, outflows, {o.id: o.state for o in before})

    # --- what is no outflow -------------------------------------------------------------------------------------------

    def _judge_sent(self, unit: UnitOfWork, tx: ChainTransaction, stored: StoredTransaction) -> tuple[Finding, ...]:
        wallet = self.watched.perimeter.wallet_of(tx.sender) if isinstance(tx, AccountTransaction) else None
        if wallet is None or not isinstance(tx, AccountTransaction):
            return ()
        at = stored.first_seen if stored.block_time is None else min(stored.first_seen, stored.block_time)
        event = SentTransaction(stored.chain, tx.txid, wallet.name, at, tx)
        return self.judge.judge_event(unit, event, stored.family, tx, self.memory.payees)

    def _judge_control(self, unit: UnitOfWork, facts: BlockFacts) -> list[Finding]:
        grouped: dict[tuple[TxId, str], list[ControlChange]] = defaultdict(list)
        for change in facts.control_changes:
            wallet = self.watched.perimeter.wallet_of(change.account)
            if wallet is not None:
                grouped[change.txid, wallet.name].append(change)
        found: list[Finding] = []
        for (txid, wallet_name), changes in grouped.items():
            tx = next((t for t in facts.transactions if t.txid == txid), None)
            event = ControlEvent(facts.chain, txid, wallet_name, facts.time, tuple(changes))
            sent = tx if isinstance(tx, AccountTransaction) else None
            found += self.judge.judge_event(unit, event, txid, sent, self.memory.payees)
        return found

    # --- mempool ------------------------------------------------------------------------------------------------------

    def ingest_pending(self, unit: UnitOfWork, pending: PendingFacts) -> tuple[Finding, ...]:
        """Outflows that are not in a block yet: judged now, because minutes matter."""
        found: list[Finding] = []
        for tx in pending.transactions:
            found += self._see(unit, tx)
        return tuple(found)

    def _see(self, unit: UnitOfWork, tx: ChainTransaction) -> tuple[Finding, ...]:
        known = unit.ledger.transaction(self.watched.chain, tx.txid)
        if known is not None and known.state is OutflowState.ORPHANED:
            # It waits again, so it holds its requests again; once a block is often enough to see that.
            self.memory.dull.add(tx.txid)
            return self.judge.judge_outflows(unit, unit.outflows.of_tx(self.watched.chain, tx.txid))
        if known is not None and known.state is not OutflowState.REPLACED:
            return ()
        result = self.watched.net(tx)
        rivals = unit.ledger.rivals(self.watched.chain, tx)
        if not result.losses and not rivals:
            self.memory.dull.add(tx.txid)
            return ()
        stored = self._store_transaction(unit, tx, OutflowState.SEEN, None)
        self._replace_rivals(unit, tx)
        outflows = outflows_of(
            tx,
            result,
            self.watched.chain,
            state=OutflowState.SEEN,
            first_seen=stored.first_seen,
            family=stored.family,
        )
        return self._take(unit, tx, outflows, "outflow.seen")

    def unseen(self, unit: UnitOfWork, pending: PendingFacts) -> bool:
        """Whether a reading of the mempool holds anything new; spares an empty transaction every few seconds."""
        for tx in pending.transactions:
            if tx.txid in self.memory.dull:
                continue
            known = unit.ledger.transaction(self.watched.chain, tx.txid)
            if known is None or known.state in (OutflowState.REPLACED, OutflowState.ORPHANED):
                return True
        return False

    # --- finality and reorg -------------------------------------------------------------------------------------------

    def make_final(self, unit: UnitOfWork, height: int) -> None:
        """Everything included up to `height` can no longer be undone."""
        chain = self.watched.chain
        unit.chain_state.set_final(chain, height)
        txids = unit.ledger.newly_final(chain, height)
        self._change(unit, txids, OutflowState.FINAL)
        paid = (a.request_id for txid in txids for a in unit.approvals.allocations_of(chain, txid))
        self.judge.approvals.retire(paid)

    def roll_back(self, unit: UnitOfWork, cursor: Cursor, parent: BlockRef) -> None:
        """Undo the block at the cursor. Findings stay: the wallet signed what nobody approved."""
        chain = self.watched.chain
        unit.chain_state.retreat(chain, cursor.ref, parent, unit.now)
        lost = unit.ledger.at_height(chain, cursor.ref.height)
        before = [unit.outflows.of_tx(chain, txid) for txid in lost]
        unit.ledger.roll_back(chain, cursor.ref.height)
        unit.cases.roll_back(chain, cursor.ref.height, parent)
        payload = {
            "height": cursor.ref.height,
            "orphaned": format_hash(chain, cursor.ref.hash),
            "parent": format_hash(chain, parent.hash),
            "transactions": [format_hash(chain, txid) for txid in lost],
        }
        unit.audit.append("walletwatch", "chain.reorg", str(chain), payload)
        for old in before:
            self._announce(unit, old)
        for txid in lost:
            self.judge.release(unit, chain, txid)


def _moves(outflow: Outflow) -> tuple[object, ...]:
    """What an outflow moves, and where to; what it shows while it waits may be another."""
    return outflow.amount, outflow.payments
