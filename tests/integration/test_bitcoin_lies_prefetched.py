"""A node that lies, lags or breaks where nobody waits for its answer: in what is fetched ahead. It is met at its block,
as if it had been asked for then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from bitcoin_proxies import LyingProxy

from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import ChainError, LyingNode, Unreachable
from chains.model import BlockFacts
from chains.rpc.endpoints import QUARANTINE_SECS
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind

pytestmark = pytest.mark.bitcoind

BLOCKS = 40
LIES = ["hide", "other-block"]
BREAKS = ["truncate", "garble", "drop", "late", "busy", "other-question"]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    node: Bitcoind
    proxy: LyingProxy
    watch: WatchSet
    first: int
    truth: list[BlockFacts]

    @property
    def bad(self) -> int:
        """The height told falsely."""
        return self.first + BLOCKS // 2


@pytest.fixture(scope="module")
def stage(bitcoind: Bitcoind) -> Iterator[Stage]:
    """Blocks with a payment to a watched address each."""
    miner = bitcoind.wallet("miner")
    if miner.cli("getbalance") < 100:
        bitcoind.mine(110)
    paid = miner.address()
    first = bitcoind.tip()[0] + 1
    for _ in range(BLOCKS):
        miner.pay({paid: "0.01"})
        bitcoind.mine()
    with LyingProxy(node=bitcoind) as proxy:
        honest = BitcoinSource(SourceSpec("btc", REGTEST.chain, (Endpoint("near", bitcoind.url, bitcoind.cookie),)))
        watch = WatchSet({honest.parse_address(paid).key})
        truth = [honest.block(height, watch) for height in range(first, first + BLOCKS)]
        honest.close()
        assert all(facts.transactions for facts in truth)
        yield Stage(bitcoind, proxy, watch, first, truth)


@pytest.fixture(autouse=True)
def honest_again(stage: Stage) -> Iterator[None]:
    yield
    stage.proxy.honest()
    stage.proxy.played.clear()


def faulty_at(stage: Stage, fault: str) -> threading.Event:
    """Distort the next answer about the block at `bad`, once; the event tells when somebody asked for it."""
    asked, wanted = threading.Event(), stage.truth[stage.bad - stage.first].ref.hash.hex()

    def choose(call: dict[str, Any], _number: int) -> str:
        if asked.is_set() or call["method"] != "getblock" or call["params"][0] != wanted:
            return "pass"
        asked.set()
        return fault

    stage.proxy.fault = choose
    return asked


def opened(stage: Stage, *, alone: bool, timeout_secs: float = 20.0) -> tuple[BitcoinSource, Clock]:
    """A source that asks the proxy first, and the node itself after it unless `alone`."""
    far = Endpoint("far", stage.proxy.url, stage.node.cookie)
    near = Endpoint("near", stage.node.url, stage.node.cookie)
    clock = Clock()
    spec = SourceSpec("btc", REGTEST.chain, (far,) if alone else (far, near), timeout_secs=timeout_secs)
    return BitcoinSource(spec, clock), clock


def read_until_asked(stage: Stage, source: BitcoinSource, asked: threading.Event) -> list[BlockFacts]:
    """Read blocks until the bad one was asked for, which is long before its turn."""
    source.tip()
    facts = []
    for height in range(stage.first, stage.bad - 2):
        facts.append(source.block(height, stage.watch))
        if asked.wait(0.05):
            return facts
    assert asked.wait(20), "the block was never fetched ahead"
    return facts


@pytest.mark.parametrize("fault", LIES + BREAKS)
def test_a_fault_fetched_ahead_sets_the_endpoint_aside_and_the_next_one_tells_the_block(
    stage: Stage, fault: str
) -> None:
    asked = faulty_at(stage, fault)
    source, _ = opened(stage, alone=False, timeout_secs=2.0 if fault == "late" else 20.0)
    facts = read_until_asked(stage, source, asked)
    assert stage.proxy.played == [fault]
    facts += [source.block(height, stage.watch) for height in range(stage.first + len(facts), stage.first + BLOCKS)]
    assert facts == stage.truth
    far, near = source.health()
    assert (far.state, near.state) == ("lying" if fault in (*LIES, "other-question") else "down", "ok")
    assert far.last_error
    source.close()


@pytest.mark.parametrize("fault", LIES)
def test_a_lie_fetched_ahead_is_raised_at_its_block_and_not_before(stage: Stage, fault: str) -> None:
    asked = faulty_at(stage, fault)
    source, clock = opened(stage, alone=True)
    facts = read_until_asked(stage, source, asked)
    with pytest.raises(LyingNode):
        while True:
            facts.append(source.block(stage.first + len(facts), stage.watch))
    assert facts == stage.truth[: len(facts)]
    assert stage.first + len(facts) <= stage.bad
    assert source.health()[0].state == "lying"
    clock.now += QUARANTINE_SECS + 1
    facts += follow(source, stage, len(facts), clock)
    assert facts == stage.truth
    source.close()


def follow(source: BitcoinSource, stage: Stage, done: int, clock: Clock) -> list[BlockFacts]:
    """The rest of the blocks, each asked for until it is had."""
    facts: list[BlockFacts] = []
    while done + len(facts) < BLOCKS:
        try:
            facts.append(source.block(stage.first + done + len(facts), stage.watch))
        except ChainError:
            clock.now += QUARANTINE_SECS + 1
    return facts


@pytest.mark.parametrize("every", [4, 7])
def test_nothing_is_lost_behind_a_proxy_that_drops_every_few_answers(stage: Stage, every: int) -> None:
    stage.proxy.fault = lambda _call, number: "drop" if number % every == 0 else "pass"
    source, clock = opened(stage, alone=True)
    until(source.tip, clock)
    assert follow(source, stage, 0, clock) == stage.truth
    assert "drop" in stage.proxy.played
    source.close()


def until(ask: Callable[[], object], clock: Clock) -> None:
    """Ask until there is an answer."""
    while True:
        try:
            ask()
        except Unreachable:
            clock.now += QUARANTINE_SECS + 1
        else:
            return
