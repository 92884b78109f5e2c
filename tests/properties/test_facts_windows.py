"""Windows moved along in memory say what brute force says, whatever comes late; and backtests say what life said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from facts_histories import ASSETS, ONE, TWO, History, Paying, deployment, payings
from hypothesis import given, settings
from hypothesis import strategies as st
from test_facts_store import EXCHANGE, NO_MATCH, Undone, memory_facts, new_cache, prepared

from chains.model import AssetId
from walletwatch.domain.outflows import Outflow
from walletwatch.history.facts import StoreFacts
from walletwatch.history.windows import Windows
from walletwatch.rules.engine import judge
from walletwatch.rules.facts import Facts
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import configure
from walletwatch.service.backtests import _Backtest
from walletwatch.settings.amounts import AmountReader
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.history import PastOutflow


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder: Path = tmp_path_factory.mktemp("windows")
    return prepared(f"sqlite:///{folder / 'windows.db'}")


class Moving:
    """Windows on a store that grows."""

    def __init__(self, unit: UnitOfWork) -> None:
        self.unit = unit
        self.ordinal = 0
        self.windows = Windows(self.past, lambda a, units, at: EXCHANGE.prices.price(a, at).value_e8(units))

    def past(
        self, after: datetime, until: datetime, wallet: str | None, asset: AssetId | None
    ) -> Sequence[PastOutflow]:
        return self.unit.outflows.in_window(after, until, wallet=wallet, asset=asset, before=self.ordinal)

    def add(self, outflows: Sequence[Outflow]) -> None:
        for o in outflows:
            self.ordinal += 1
            self.windows.add(PastOutflow(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.tx, self.ordinal))

    def facts(self, outflow: Outflow) -> StoreFacts:
        sources = replace(new_cache().sources(self.unit, outflow, None), windows=self.windows)
        return StoreFacts(sources, outflow, lambda: None, NO_MATCH, PayeeIndex)


def ask(facts: Facts, outflow: Outflow) -> dict[str, Any]:
    filters: list[dict[str, Any]] = [{}, {"wallet": outflow.wallet}, {"asset": outflow.asset}]
    filters.append({"wallet": outflow.wallet, "asset": outflow.asset})
    answers: dict[str, Any] = {}
    for window in (60, 600, 86_400):
        for n, chosen in enumerate(filters):
            answers[f"counted {window} {n}"] = list(facts.counted(window, **chosen, in_usd=n % 2 == 0, limit=3))
            answers[f"spent {window} {n}"] = facts.spent(window, **chosen), facts.spent(window, **chosen, in_usd=True)
    for period, history in ((60, 3_600), (600, 7_200)):
        for asset in (None, outflow.asset):
            found = facts.active_periods(period, history, wallet=outflow.wallet, asset=asset)
            answers[f"periods {period} {asset}"] = found.spent, found.totals, found.counts
    return answers


@given(st.lists(payings(), max_size=14))
@settings(max_examples=60, deadline=None)
def test_windows_moved_along_say_what_brute_force_says(sqlite: Store, steps: list[Paying]) -> None:
    history = History()
    with pytest.raises(Undone), sqlite.transaction() as unit:
        history.open(unit)
        moving = Moving(unit)
        for step in steps:
            outflows = history.pay(unit, step)
            moving.add(outflows)
            for outflow in outflows:
                told, true = ask(moving.facts(outflow), outflow), ask(memory_facts(history, outflow), outflow)
                assert {q: (told[q], true[q]) for q in true if told[q] != true[q]} == {}
        raise Undone


NAMES = AmountReader({"one": ONE, "two": TWO}, ASSETS)
LIMITS = (
    {"type": "transaction_limit", "max": "0.0000005 BTC"},
    {"type": "window_limit", "id": "minute", "max": "0.0000006 BTC", "window": "1m"},
    {"type": "window_limit", "id": "place", "max": "0.0000004 BTC", "window": "10m", "per": "destination"},
    {"type": "count_limit", "max": 2, "window": "5m", "per": "all"},
    {"type": "new_destination"},
    {"type": "unapproved_move"},
    {"type": "sweep"},
)


@given(st.lists(payings(), max_size=10), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_backtest_says_what_was_said_when_each_was_judged(sqlite: Store, steps: list[Paying], low: int) -> None:
    """Of outflows that stayed in the chain; `sweep` needs balances of the past and `unapproved_move` approvals."""
    rules = tuple(configure(dict(table), amounts=NAMES) for table in LIMITS)
    history = History()
    with pytest.raises(Undone), sqlite.transaction() as unit:
        history.open(unit)
        said: list[tuple[str, str]] = []
        chain = ONE
        for number, step in enumerate(steps, 1):
            for outflow in history.pay(unit, step):
                facts = memory_facts(history, outflow)
                if outflow.block is not None and outflow.chain == chain and number >= low:
                    said += [(f.id, str(f.verdict)) for f in _judge(outflow, facts, rules)]
        trial = _Backtest(unit, deployment(), rules).run(chain, (low, 10_000), None)
        assert trial.skipped == ("unapproved_move",)
        assert [(f.id, str(f.verdict)) for f in trial.findings if f.rule != "sweep"] == said
        assert sum(trial.alerts_by_day.values()) == trial.alerts
        raise Undone


def _judge(outflow: Outflow, facts: Facts, rules: Sequence[Any]) -> Sequence[Any]:
    known = [rule for rule in rules if rule.type not in ("sweep", "unapproved_move")]
    return judge(outflow, facts, known, "d", outflow.broadcast_at)
