"""How long a backtest takes over stored history, with one rule and with 20, and how much memory.

Run: python tests/benchmarks/bench_backtest.py [OUTFLOWS …] (default 100000; 1000000 takes two minutes to write and
4 GB). CPU time of the whole pass; the memory is the largest the process had so far.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_facts import deployment
from benchmarks.bench_rules import say
from benchmarks.outflow_histories import CHAIN, write_history
from benchmarks.rule_sets import rules
from unit.rules_examples import NAMES
from walletwatch.rules.registry import RuleConfig, configure
from walletwatch.service.backtests import _Backtest
from walletwatch.store import Store

_NEED_BALANCES = ("balance_share", "balance_floor", "sweep", "hot_share", "test_then_drain")
NEW_LIMIT = {"type": "window_limit", "max": "500 BTC", "window": "24h"}


def main() -> None:
    """Print the figures."""
    for count in [int(text) for text in sys.argv[1:]] or [100_000]:
        with tempfile.TemporaryDirectory() as folder:
            store = write_history(Path(folder) / "history.db", count)
            report(store, "a new limit", (configure(NEW_LIMIT, amounts=NAMES),))
            report(store, "20 rules", twenty())
            store.close()


def twenty() -> tuple[RuleConfig, ...]:
    """Rules that stored history can answer: what wallets held then is not kept."""
    return tuple(config for config in rules(40) if config.type not in _NEED_BALANCES)[:20]


def report(store: Store, what: str, configs: tuple[RuleConfig, ...]) -> None:
    """One pass over everything."""
    steps: list[int] = []
    with store.reading() as unit:
        start = time.process_time()
        result = _Backtest(unit, deployment(), configs).run(CHAIN, (0, 10**9), lambda done, _whole: steps.append(done))
        secs = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    say(
        f"{result.outflows:,} outflows, {what}: {secs:,.1f} s, {result.outflows / secs:,.0f} a second, "
        f"{len(result.findings):,} findings, {len(steps):,} steps of the bar, {memory:,} MB"
    )


if __name__ == "__main__":
    main()
