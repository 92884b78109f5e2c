"""A lying, late and broken node before the whole pipeline: the books and findings are those of an honest node, and each
fault stands in the worker's report, which `status` shows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bitcoin_exchanges import CHAIN, chain_toml, descriptors_of, wallet_toml
from bitcoin_proxies import LyingProxy
from exchanges import Exchange

from chains.bitcoin.source import BitcoinSource
from chains.rpc.endpoints import QUARANTINE_SECS
from chains.source import Endpoint, SourceSpec
from nodes.bitcoinds import Bitcoind
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import ChainWorker, Tick

pytestmark = pytest.mark.bitcoind

BLOCKS = 8


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    node: Bitcoind
    first: int
    descriptors: list[str]
    waiting: str


@pytest.fixture(scope="module")
def stage(bitcoind: Bitcoind) -> Stage:
    """Blocks with a payment of the hot wallet each, and one more payment that waits."""
    miner = bitcoind.wallet("miner")
    if miner.cli("getbalance") < 200:
        bitcoind.mine(110)
    hot = bitcoind.wallet("judged")
    miner.pay({hot.address(): "5" for _ in range(BLOCKS + 2)})
    bitcoind.mine()
    first = bitcoind.tip()[0] + 1
    for number in range(BLOCKS):
        hot.pay({miner.address("bech32m"): f"0.5{number:07d}"})
        bitcoind.mine()
    return Stage(bitcoind, first, descriptors_of(hot), hot.pay({miner.address(): "0.25"}))


@dataclass
class Watched:
    app: Application
    worker: ChainWorker
    clock: Clock
    states: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Tick until synced, as the daemon does; a quarantine is over at once. What `status` would show is gathered."""
        for _ in range(400):
            done = self.worker.tick()
            self._read_report()
            if done is Tick.FAILED:
                self.clock.now += QUARANTINE_SECS + 1
            if self.worker.synced:
                return
        raise AssertionError(f"never synced: {self.worker.last_error}")

    def _read_report(self) -> None:
        self.worker.health.published = None  # as if a second had gone by: every tick reports
        with self.app.store.reading() as unit:
            report, _ = unit.chain_state.reports()[str(CHAIN)]
        self.states |= {e["state"] for e in report["endpoints"]}
        self.errors |= {e["last_error"] for e in report["endpoints"] if e["last_error"]}

    def said(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Outflows, findings about them, and the books."""
        with self.app.store.reading() as unit:
            outflows = [
                (o.tx, o.state, o.wallet, o.amount, o.payments, o.fee, o.block) for o in unit.outflows.find(Filter())
            ]
            findings = [(f.tx, f.rule, f.verdict, f.summary) for f in unit.findings.find(Filter()) if f.tx is not None]
            books = [(height, m) for _, _, _, height, m in unit.ledger.movements()]
        return sorted(outflows), sorted(findings), books

    def troubles(self) -> set[str]:
        with self.app.store.reading() as unit:
            return {f.rule for f in unit.findings.find(Filter()) if f.tx is None}


@contextmanager
def watched(folder: Path, stage: Stage, *endpoints: Endpoint) -> Iterator[Watched]:
    chain = chain_toml(stage.node, more=f"start = {stage.first}\n")
    exchange = Exchange(folder, chain + wallet_toml("hot", "hot", stage.descriptors))
    clock = Clock()
    spec = SourceSpec("bitcoin", CHAIN, endpoints, confirmations=3, timeout_secs=0.5)
    source = BitcoinSource(spec, clock)
    with Application.open(exchange.settings()) as app:
        worker = app.worker(app.settings.chains[0], source)
        yield Watched(app, worker, clock)
    source.close()


@pytest.fixture(scope="module")
def truth(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with watched(tmp_path_factory.mktemp("truth"), stage, near(stage)) as honest:
        honest.run()
        outflows, findings, books = honest.said()
        assert len(outflows) == len(findings) == BLOCKS + 1
        assert honest.states == {"ok"}
        return outflows, findings, books


def near(stage: Stage) -> Endpoint:
    return Endpoint("near", stage.node.url, stage.node.cookie)


def far(stage: Stage, proxy: LyingProxy) -> Endpoint:
    return Endpoint("far", proxy.url, stage.node.cookie)


BROKEN = ["truncate", "garble", "drop", "late", "busy"]


@pytest.mark.parametrize("fault", BROKEN)
def test_what_breaks_at_every_third_call_loses_nothing_and_shows(
    stage: Stage, truth: Any, tmp_path: Path, fault: str
) -> None:
    with LyingProxy(node=stage.node) as proxy, watched(tmp_path, stage, far(stage, proxy)) as seen:
        proxy.fault = lambda _call, number: fault if number % 3 == 0 and len(proxy.played) < 12 else "pass"
        seen.run()
        assert len(proxy.played) == 12 or fault == "late"
        assert seen.said() == truth
        assert "down" in seen.states


LIES = {
    "other-block": "getblock",
    "hide": "getblock",
    "other-question": "getblockhash",
    "other-chain": "getblockhash",
}


@pytest.mark.parametrize(("fault", "method"), LIES.items())
def test_nothing_is_judged_on_a_lie_and_the_lie_is_told(
    stage: Stage, truth: Any, tmp_path: Path, fault: str, method: str
) -> None:
    with LyingProxy(node=stage.node) as proxy, watched(tmp_path, stage, far(stage, proxy)) as seen:
        fitting = [0]

        def every_third(call: dict[str, Any], _number: int) -> str:
            if (
                len(proxy.played) >= 12
                or call["method"] != method
                or (fault != "other-chain" and call["params"] == [0])
            ):
                return "pass"
            fitting[0] += 1
            return fault if fitting[0] % 3 == 2 else "pass"

        proxy.fault = every_third
        seen.run()
        assert set(proxy.played) == {fault}
        assert seen.said() == truth
        if fault == "other-chain":
            # A genesis hash in place of any block's hash: as identity the wrong chain, anywhere else a lie.
            assert seen.states & {"wrong-chain", "lying"}
            assert seen.troubles() & {"wrong_chain", "node_disagreement"}
        else:
            assert "lying" in seen.states
            assert seen.troubles() == {"node_disagreement"}


def test_beside_an_honest_node_a_liar_costs_nothing_but_is_shown(stage: Stage, truth: Any, tmp_path: Path) -> None:
    with LyingProxy(node=stage.node) as proxy, watched(tmp_path, stage, far(stage, proxy), near(stage)) as seen:
        proxy.fault = lambda call, _number: "hide" if call["method"] == "getblock" else "pass"
        seen.run()
        assert seen.said() == truth
        assert {"lying", "ok"} <= seen.states


def test_a_random_mixture_ends_in_the_truth(stage: Stage, truth: Any, tmp_path: Path) -> None:
    rng = random.Random(11)  # noqa: S311 - a test that repeats itself
    with LyingProxy(node=stage.node) as proxy, watched(tmp_path, stage, far(stage, proxy)) as seen:

        def any_fault(call: dict[str, Any], _number: int) -> str:
            if len(proxy.played) >= 25 or rng.random() > 0.3:
                return "pass"
            more = ["other-block", "hide"] if call["method"] == "getblock" else []
            return rng.choice([*BROKEN, "other-question", *more])

        proxy.fault = any_fault
        seen.run()
        assert seen.said() == truth
        assert {"down", "lying"} <= seen.states
