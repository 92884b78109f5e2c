"""How many outflows a second go the whole way: netted, matched, judged by 200 rules, kept and audited, in SQLite.

Run: python tests/benchmarks/bench_judging.py [OUTFLOWS …] (the sizes of the history; default 10000 100000, 1000000
takes two minutes to write and 4 GB). Blocks of 20 payments are committed one by one, then 20 blocks at a time. CPU
time, but for what the disk takes to commit; what SQLite itself needs for the statements is said beside it.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_facts import Prices, deployment, signed
from benchmarks.bench_rules import say
from benchmarks.outflow_histories import BTC, CHAIN, END, WALLETS, YEAR_SECS, write_history
from benchmarks.rule_sets import rules
from chains.model import Address, BlockFacts, BlockRef, Outpoint, TxInput, TxOutput, UtxoTransaction
from walletwatch.alerts.alert_writer import AlertWriter
from walletwatch.alerts.ports import AlertNames
from walletwatch.domain.people import People
from walletwatch.rules.registry import rules_digest
from walletwatch.store import Store, UnitOfWork, statements
from walletwatch.store.chain_state import Cursor
from walletwatch.watch.approval_service import ApprovalService
from walletwatch.watch.block_batches import WatchMemory
from walletwatch.watch.ingest import Ingestion
from walletwatch.watch.judging import Judge

PAYMENTS, BLOCKS, WARM_UP = 20, 40, 4


class Desk:
    """The whole way of one chain, as the worker goes it."""

    def __init__(self, store: Store, count: int) -> None:
        exchange = deployment()
        exchange.rules = rules(count)
        exchange.rules_digest = rules_digest(exchange.rules)
        desk = ApprovalService(People(()), (), Prices().price, configured=False)
        self.judge = Judge(exchange, desk, AlertWriter(("slack",), AlertNames(assets={BTC.id: BTC})))
        watched = exchange.chains[CHAIN]
        memory = WatchMemory(exchange, watched)
        self.ingestion = Ingestion(watched, self.judge, memory)
        self.memory = memory
        self.store = store
        store.clock = lambda: END + timedelta(days=365)  # what is caught up on counts at its block's time
        self.judging: list[float] = []
        self.found = 0
        self.interval_secs = PAYMENTS * YEAR_SECS // store_size(store)
        with store.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT address, address_text FROM destinations LIMIT 5000").all()
        self.payees_paid = [Address(row[0], row[1]) for row in rows]
        with store.reading() as unit:
            cursor = unit.chain_state.cursor(CHAIN)
            assert cursor is not None
            self.cursor = cursor
            memory.load(unit)

    def block(self) -> BlockFacts:
        height = self.cursor.ref.height + 1
        at = END + timedelta(seconds=self.interval_secs * (height - 52_560))
        ref = BlockRef(height, hashlib.sha256(f"new {height}".encode()).digest())
        transactions = tuple(self._payment(height, n) for n in range(PAYMENTS))
        return BlockFacts(CHAIN, ref, self.cursor.ref.hash, at, transactions)

    def _payment(self, height: int, n: int) -> UtxoTransaction:
        number = height * PAYMENTS + n
        wallet = Address(WALLETS[number % len(WALLETS)].encode(), WALLETS[number % len(WALLETS)])
        name = hashlib.sha256(f"payment {number}".encode()).digest()
        coin = TxInput(Outpoint(hashlib.sha256(name).digest(), 0), 10**8 + 501_000, wallet)
        outputs = (TxOutput(0, 500_000, self.payees_paid[number % len(self.payees_paid)]), TxOutput(1, 10**8, wallet))
        return UtxoTransaction(name, n, (coin,), outputs, 1_000, 141, signing=signed(number))

    def ingest(self, unit: UnitOfWork) -> None:
        """One block more in this transaction, each payment's judging timed."""
        facts = self.block()
        judge = self.judge.judge_outflows

        def timed(*given: Any) -> Any:
            start = time.process_time()
            found = judge(*given)
            self.judging.append(time.process_time() - start)
            self.found += len(found)
            return found

        self.judge.judge_outflows = timed  # type: ignore[method-assign]
        self.ingestion.ingest_block(unit, facts, self.cursor)
        self.judge.judge_outflows = judge  # type: ignore[method-assign]
        old = self.cursor
        self.cursor = Cursor(CHAIN, facts.ref, old.start_height, old.final_height, unit.now, old.complete_for)

    def run(self, blocks: int, in_one: int) -> float:
        """CPU seconds for so many blocks."""
        start = time.process_time()
        self.found = 0
        for _ in range(blocks // in_one):
            with self.store.transaction() as unit:
                for _ in range(in_one):
                    self.ingest(unit)
                    self.memory.learn()
        return time.process_time() - start


def store_size(store: Store) -> int:
    """How many outflows it holds: new ones come at the pace of the year before."""
    with store.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT max(ordinal) FROM outflows").scalar_one())


@contextmanager
def watched_driver(spent: list[float]) -> Iterator[None]:
    """Adds up what SQLite itself takes for the statements of the door."""
    send = statements._send

    def timed(*given: Any) -> Any:
        start = time.process_time()
        cursor = send(*given)
        spent.append(time.process_time() - start)
        return cursor

    statements._send = timed
    try:
        yield
    finally:
        statements._send = send


def report(store: Store, count: int, number: int) -> None:
    """The figures of one history and so many rules."""
    for in_one, how in ((1, "a commit a block"), (20, "20 blocks a commit")):
        desk = Desk(store, number)
        desk.run(WARM_UP * in_one if in_one == 1 else in_one, in_one)
        desk.judging.clear()
        secs = desk.run(BLOCKS, in_one)
        times, found = sorted(desk.judging), desk.found
        inside: list[float] = []
        with watched_driver(inside):
            desk.run(in_one, in_one)
        share = sum(inside) / (PAYMENTS * in_one)
        median, p99 = statistics.median(times) * 1e3, times[len(times) * 99 // 100] * 1e3
        say(
            f"{count:,} outflows of history, {number} rules, {how}: {PAYMENTS * BLOCKS / secs:,.0f} outflows/s, "
            f"{found / (PAYMENTS * BLOCKS):.1f} findings each; judging: median {median:.2f} ms, p99 {p99:.2f} ms; "
            f"SQLite itself {share * 1e3:.2f} ms in {len(inside) // (PAYMENTS * in_one)} statements an outflow"
        )


def main() -> None:
    """Print the figures."""
    for count in [int(text) for text in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            store = write_history(Path(folder) / "history.db", count)
            for number in (20, 200):
                report(store, count, number)
            store.close()


if __name__ == "__main__":
    main()
