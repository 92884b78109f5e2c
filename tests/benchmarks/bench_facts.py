"""How many outflows a second are judged by 200 rules on the store, all facts included, and how that grows with history.

Run: python tests/benchmarks/bench_facts.py [OUTFLOWS …] (default 10000 100000; 1000000 takes two minutes to write and
4 GB). New outflows are saved and judged in one transaction that is undone at the end; the best of three runs, CPU time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_rules import say
from benchmarks.outflow_histories import BTC, CHAIN, END, WALLETS, YEAR_SECS, write_history
from benchmarks.rule_sets import rules
from chains.model import Address, AssetId, ChainTransaction, SigningFacts
from unit.rules_examples import txid, utxo_tx
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.findings import outflow_id
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.domain.withdrawals import Payment
from walletwatch.history.facts import StoreFacts
from walletwatch.history.history_cache import HistoryCache
from walletwatch.rules.engine import judge
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig
from walletwatch.store import Store, UnitOfWork

WARM_UP, ROUNDS, RUNS = 20, 400, 3
FOUND: Counter[str] = Counter()


class Prices:
    def price(self, asset: AssetId, at: datetime) -> Price:
        return Price(asset, 95_000 * 10**8, 8, "fixed")

    def edition(self) -> object:
        return "fixed"


def deployment() -> Deployment:
    perimeter = Perimeter(CHAIN)
    for name in WALLETS:
        perimeter.add(Wallet(name, "hot", CHAIN), [Address(name.encode(), name)])
    watched = {CHAIN: WatchedChain(CHAIN, "bitcoin", BTC, perimeter)}
    return Deployment(watched, {BTC.id: BTC}, dict.fromkeys(WALLETS, "hot"), (), "d", Prices(), lambda *_: ())


def signed(number: int) -> SigningFacts:
    features: tuple[tuple[str, int | str], ...] = (
        ("version", 2),
        ("locktime", 10**6 + number),
        ("sequence", "fffffffd"),
    )
    return SigningFacts(("A", "B"), features)


NO_MATCH = Unknown("not matched here")


def store_facts(
    cache: HistoryCache, unit: UnitOfWork, outflow: Outflow, tx: ChainTransaction, payees: PayeeIndex
) -> StoreFacts:
    return StoreFacts(cache.sources(unit, outflow, tx), outflow, lambda: tx, NO_MATCH, lambda: payees)


def fresh(number: int, pace_secs: int = 30) -> Outflow:
    tx, wallet = txid(f"new {number}"), WALLETS[number % len(WALLETS)]
    return Outflow(
        outflow_id(CHAIN, tx, wallet, BTC.id),
        CHAIN,
        tx,
        OutflowState.SEEN,
        wallet,
        BTC.id,
        5_000_000,
        (),
        1_000,
        END + timedelta(seconds=pace_secs * number),
        family=tx,
    )


def measure(store: Store, configs: tuple[RuleConfig, ...]) -> tuple[float, list[float], list[float]]:
    """Seconds for the first judgement, and for each later one; and what each took with the outflow saved before."""
    times, saved = list[float](), list[float]()
    cache, payees = HistoryCache(deployment(), lambda *_: ()), PayeeIndex()
    with store.engine.connect() as connection:
        pace_secs = YEAR_SECS // connection.exec_driver_sql("SELECT max(ordinal) FROM outflows").scalar_one()
        known = connection.exec_driver_sql("SELECT address, address_text FROM destinations LIMIT 500").all()
    places = [Address(row[0], row[1]) for row in known]
    with store.reading() as unit:
        for number in range(WARM_UP + ROUNDS):
            start = time.process_time()
            outflow = fresh(number, pace_secs)
            paid = replace(outflow, payments=(Payment(0, places[number % len(places)], outflow.amount),))
            tx = utxo_tx(f"new {number}", fee=1_000, vsize=141, signing=signed(number))
            unit.outflows.save(paid)
            judging = time.process_time()
            facts = store_facts(cache, unit, paid, tx, payees)
            found = judge(paid, facts, configs, "d", unit.now)
            end = time.process_time()
            times.append(end - judging)
            saved.append(end - start)
            FOUND.update(f.rule for f in found)
    return times[0], sorted(times[WARM_UP:]), saved[WARM_UP:]


def main() -> None:
    """Print the figures."""
    for count in [int(text) for text in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.db"
            report(write_history(path, count), count)


def report(store: Store, count: int) -> None:
    for number in (20, 200):
        runs = [measure(store, rules(number)) for _ in range(RUNS)]
        first, times, saved = min(runs, key=lambda run: sum(run[1]))
        slowest = 1 / max(statistics.fmean(run[1]) for run in runs)
        mean, p99 = statistics.fmean(times), times[len(times) * 99 // 100]
        say(
            f"{count:,} outflows of history, {number} rules: {1 / mean:,.0f} outflows/s, "
            f"in the slowest run {slowest:,.0f} ({1 / statistics.fmean(saved):,.0f} with each saved before), median "
            f"{statistics.median(times) * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms; the first after a start {first:.2f} s"
        )


if __name__ == "__main__":
    main()
