"""The store's answers to the rules are those of brute force over the same history, whatever happened in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from facts_histories import BTC, PLACES, ROLES, STEPS, Again, History, Losing, Moving, Paying, deployment
from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import text

from chains.model import SigningFacts
from unit.rules_facts import MemoryFacts
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.history.facts import StoreFacts
from walletwatch.history.history_cache import HistoryCache
from walletwatch.rules.facts import Facts
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.wallet_profile import WalletProfile
from walletwatch.store import Store, UnitOfWork, open_store

EXCHANGE = deployment()
NO_MATCH = Unknown("not matched here")
SIGNED = SigningFacts(("key-1",), (("version", 2),))
Step = Paying | Moving | Again | Losing


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder: Path = tmp_path_factory.mktemp("facts")
    return prepared(f"sqlite:///{folder / 'facts.db'}")


def prepared(url: str) -> Store:
    store = open_store(url)
    store.upgrade()
    return store


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_the_store_answers_as_brute_force_does(sqlite: Store, steps: list[Step]) -> None:
    live(sqlite, steps)


@given(STEPS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_so_does_postgresql(postgres_url: str, steps: list[Step]) -> None:
    store = prepared(postgres_url)
    try:
        live(store, steps)
    finally:
        store.close()


def in_order(steps: list[Step]) -> list[Step]:
    """The same, each seen when it happens: as a daemon at the tip sees them, where memory only has to go on."""
    return [replace(s, seen=n, block=s.block and n) if isinstance(s, Paying) else s for n, s in enumerate(steps)]


def paying(n: int) -> Paying:
    return Paying(BTC, (("hot", 5),), ((0, 5),), n, n, 1)


LOSING_BLOCKS = [*map(paying, range(4)), Losing(0, 2), paying(5), Again(0, 6), paying(7)]
LOSING_THE_MEMPOOL = [paying(0), replace(paying(1), block=None), Losing(1, 1), paying(3), paying(4)]


@given(STEPS.map(in_order))
@example(LOSING_BLOCKS)
@example(LOSING_THE_MEMPOOL)
@settings(max_examples=60, deadline=None)
def test_so_does_memory_that_only_goes_on(sqlite: Store, steps: list[Step]) -> None:
    live(sqlite, steps)


class Undone(Exception):
    """Ends a transaction whose effects nobody wants to keep."""


def live(store: Store, steps: list[Step]) -> None:
    """Live through a history and ask at every payment; then undo it all."""
    history, cache = History(), new_cache()
    with pytest.raises(Undone), store.transaction() as unit:
        history.open(unit)
        for step in steps:
            take(unit, history, cache, step)
        raise Undone
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM outflows")).scalar_one() == 0


def take(unit: UnitOfWork, history: History, cache: HistoryCache, step: Step) -> None:
    if isinstance(step, Paying):
        for outflow in history.pay(unit, step):
            true = ask(memory_facts(history, outflow), outflow)
            for remembering in (new_cache(), cache):
                told = ask(store_facts(unit, outflow, remembering), outflow)
                assert {q: (told[q], true[q]) for q in true if told[q] != true[q]} == {}
    elif isinstance(step, Moving):
        history.move(unit, step)
    elif isinstance(step, Again):
        history.again(unit, step)
    else:
        history.lose(unit, step)


def new_cache() -> HistoryCache:
    return HistoryCache(EXCHANGE, lambda _chain, _to: ())


def store_facts(unit: UnitOfWork, outflow: Outflow, cache: HistoryCache) -> StoreFacts:
    """With an empty memory, or one that lives through the whole history, reorgs and replacements too."""
    return StoreFacts(cache.sources(unit, outflow, None), outflow, lambda: None, NO_MATCH, PayeeIndex)


def memory_facts(history: History, outflow: Outflow) -> MemoryFacts:
    assets = list(history.world.symbols)
    history.world.balances = {(w, a): history.balance(w, a, outflow.tx) for w in ROLES for a in assets}
    return MemoryFacts(history.world, outflow)


def told(past: WalletProfile) -> tuple[Any, ...]:
    return past.signed, list(past.rates), dict(past.signers), past.values(), past.oddities(SIGNED)


def ask(facts: Facts, outflow: Outflow) -> dict[str, Any]:
    """Every question a rule could ask of the past."""
    answers: dict[str, Any] = {}
    filters: list[dict[str, Any]] = [{}, {"wallet": outflow.wallet}, {"asset": outflow.asset}]
    filters.append({"wallet": outflow.wallet, "asset": outflow.asset})
    filters += [{"destination": place, **more} for place in PLACES[:1] for more in filters[:4]]
    for window in (60, 10 * 86_400):
        for n, chosen in enumerate(filters):
            answers[f"counted {window} {n}"] = list(facts.counted(window, **chosen, in_usd=n % 2 == 0))
            answers[f"two of {window} {n}"] = list(facts.counted(window, **chosen, limit=2))
            answers[f"spent {window} {n}"] = facts.spent(window, **chosen, in_usd=n % 2 == 1)
    for place in PLACES:
        answers[f"first {place}"] = facts.first_paid(place), facts.first_paid(place, 600), facts.first_paid_at(place)
    for period, history in ((60, 3_600), (600, 7_200)):
        for asset in (None, outflow.asset):
            found = facts.active_periods(period, history, wallet=outflow.wallet, asset=asset)
            answers[f"periods {period} {asset}"] = found.spent, found.totals, found.counts
    moments = [outflow.broadcast_at - timedelta(seconds=secs) for secs in (0, 60, 600, 86_400)]
    for wallet in ROLES:
        answers[f"habits {wallet}"] = (
            facts.last_moved_at(wallet),
            [facts.has_moved_since(wallet, moment) for moment in moments],
            *(told(facts.past(wallet, limit)) for limit in (3, 50)),
            facts.role(wallet),
        )
    answers["before"] = facts.balance_before(outflow.wallet, outflow.asset)
    answers["after"] = facts.balance_after(outflow.wallet, outflow.asset)
    answers["payees"] = set(facts.payees())
    return answers
