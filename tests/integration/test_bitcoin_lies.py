"""Between us and the node stands a proxy that lies, lags and drops: nothing is lost, nothing is judged on a lie, and
each fault is shown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from bitcoin_proxies import LyingProxy

from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import ChainError, LyingNode, TransientError, WrongChain
from chains.model import BlockFacts, BlockRef
from chains.rpc.endpoints import QUARANTINE_SECS
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind

pytestmark = pytest.mark.bitcoind


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    node: Bitcoind
    proxy: LyingProxy
    direct: BitcoinSource
    proxied: BitcoinSource
    both: BitcoinSource
    clock: Clock
    watch: WatchSet
    first: int
    last: int


@pytest.fixture(scope="module")
def stage(bitcoind: Bitcoind) -> Iterator[Stage]:
    """Blocks `first` to `last`, each with a payment from a watched wallet."""
    miner = bitcoind.wallet("miner")
    if miner.cli("getbalance") < 100:
        bitcoind.mine(110)
    hot = bitcoind.wallet("proxied")
    miner.pay({hot.address(): "5" for _ in range(12)})
    bitcoind.mine()
    first = bitcoind.tip()[0] + 1
    for _ in range(12):
        hot.pay({miner.address("bech32m"): "0.5"})
        bitcoind.mine()
    with LyingProxy(node=bitcoind) as proxy:
        clock = Clock()
        near = Endpoint("near", bitcoind.url, bitcoind.cookie)
        far = Endpoint("far", proxy.url, bitcoind.cookie)
        sources = [
            BitcoinSource(SourceSpec("btc", REGTEST.chain, endpoints, timeout_secs=0.5), clock)
            for endpoints in ((near,), (far,), (far, near))
        ]
        keys = {sources[0].parse_address(a).key for a in addresses_of(bitcoind, "proxied")}
        yield Stage(bitcoind, proxy, *sources, clock, WatchSet(keys), first, bitcoind.tip()[0])
        for source in sources:
            source.close()


def addresses_of(node: Bitcoind, wallet: str) -> list[str]:
    """Every address the wallet ever had coins on."""
    rows = node.wallet(wallet).cli("listunspent", 0) + node.wallet(wallet).cli("listtransactions", "*", 1000)
    groups = node.wallet(wallet).cli("listaddressgroupings")
    return sorted({row["address"] for row in rows if "address" in row} | {a[0] for group in groups for a in group})


@pytest.fixture(autouse=True)
def honest_again(stage: Stage) -> Iterator[None]:
    yield
    stage.proxy.fault = lambda _call, _number: "pass"
    stage.clock.now += QUARANTINE_SECS + 1
    stage.proxy.played.clear()
    stage.proxied.tip()


def truth(stage: Stage) -> list[BlockFacts]:
    facts = [stage.direct.block(height, stage.watch) for height in range(stage.first, stage.last + 1)]
    assert all(block.transactions for block in facts)
    return facts


def follow(stage: Stage, source: BitcoinSource) -> tuple[list[BlockFacts], set[str]]:
    """Read the blocks as a worker does: again and again until each is had; and the states shown on the way."""
    facts: list[BlockFacts] = []
    states: set[str] = set()
    while len(facts) < stage.last - stage.first + 1:
        try:
            block = source.block(stage.first + len(facts), stage.watch)
        except (TransientError, LyingNode, WrongChain):
            states.update(h.state for h in source.health() if h.last_error)
            stage.clock.now += QUARANTINE_SECS + 1
        else:
            states.update(h.state for h in source.health() if h.last_error)
            facts.append(block)
    return facts, states


@pytest.mark.parametrize("fault", ["truncate", "garble", "drop", "late", "busy"])
def test_what_breaks_is_asked_again_and_shown(stage: Stage, fault: str) -> None:
    def every_third(_call: dict[str, Any], number: int) -> str:
        return fault if number % 3 == 0 and len(stage.proxy.played) < 5 else "pass"

    stage.proxy.fault = every_third
    facts, _ = follow(stage, stage.proxied)
    assert facts == truth(stage)
    assert set(stage.proxy.played) == {fault}
    assert stage.proxied.health()[0].last_error


@pytest.mark.parametrize(
    ("fault", "method"), [("other-block", "getblock"), ("hide", "getblock"), ("other-question", "getblockhash")]
)
def test_a_lie_is_not_believed_and_shown(stage: Stage, fault: str, method: str) -> None:
    fitting = count()

    def every_second(call: dict[str, Any], _number: int) -> str:
        fits = call["method"] == method and call["params"] != [0]
        return fault if fits and next(fitting) % 2 == 0 else "pass"

    stage.proxy.fault = every_second
    facts, states = follow(stage, stage.proxied)
    assert facts == truth(stage)
    assert set(stage.proxy.played) == {fault}
    assert len(stage.proxy.played) >= len(facts)
    assert "lying" in states


def test_a_node_exchanged_for_one_of_another_chain_is_noticed(stage: Stage) -> None:
    """The connection broke, and behind the same address there is now another network."""
    plan = iter(["drop", "other-chain"])

    def exchanged(call: dict[str, Any], _number: int) -> str:
        genesis = call["method"] == "getblockhash" and call["params"] == [0]
        return next(plan, "pass") if genesis or not stage.proxy.played else "pass"

    stage.proxy.fault = exchanged
    facts, states = follow(stage, stage.proxied)
    assert facts == truth(stage)
    assert stage.proxy.played == ["drop", "other-chain"]
    assert "wrong-chain" in states


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("fault", ["other-block", "hide"])
def test_beside_an_honest_node_a_liar_delays_nothing(stage: Stage, fault: str, complete: bool) -> None:
    stage.proxy.fault = lambda call, _number: fault if call["method"] == "getblock" else "pass"
    watch = WatchSet(stage.watch.addresses, complete=complete)
    facts = stage.both.block(stage.first, watch)
    assert facts.ref == truth(stage)[0].ref
    assert [h.state for h in stage.both.health()] == ["lying", "ok"]
    assert facts.ref.hash.hex() in stage.both.health()[0].last_error or fault == "hide"


def test_a_proxy_to_another_chain_is_excluded(stage: Stage) -> None:
    def lies(call: dict[str, Any], _number: int) -> str:
        return "other-chain" if (call["method"], call["params"]) == ("getblockhash", [0]) else "pass"

    stage.proxy.fault = lies
    stage.clock.now += QUARANTINE_SECS + 1
    fresh = BitcoinSource(
        SourceSpec("btc", REGTEST.chain, (Endpoint("far", stage.proxy.url, stage.node.cookie),)), stage.clock
    )
    with pytest.raises(WrongChain):
        fresh.block(stage.first, stage.watch)
    assert fresh.health()[0].state == "wrong-chain"
    fresh.close()


def test_a_random_mixture_loses_nothing(stage: Stage) -> None:
    rng = random.Random(7)  # noqa: S311 - a test that repeats itself
    faults = ["truncate", "garble", "drop", "late", "busy", "other-question"]

    def any_fault(call: dict[str, Any], _number: int) -> str:
        if len(stage.proxy.played) >= 20 or rng.random() > 0.3:
            return "pass"
        return rng.choice([*faults, "other-block", "hide"] if call["method"] == "getblock" else faults)

    stage.proxy.fault = any_fault
    facts, states = follow(stage, stage.proxied)
    assert facts == truth(stage)
    assert {"down", "lying"} <= states


@pytest.mark.parametrize("fault", ["truncate", "garble", "drop", "busy", "other-question"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda s, _w: s.tip(),
        lambda s, _w: s.final_height(),
        lambda s, w: s.pending(w),
        lambda s, _w: s.transaction(b"\x11" * 32, BlockRef(0, REGTEST.genesis)),
        lambda s, _w: s.unspent({s.parse_address("bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202")}),
    ],
    ids=["tip", "final", "pending", "transaction", "unspent"],
)
def test_every_question_fails_by_the_errors_of_the_port_alone(
    stage: Stage, ask: Callable[[BitcoinSource, WatchSet], object], fault: str
) -> None:
    stage.proxy.fault = lambda _call, _number: fault
    with pytest.raises(ChainError):
        ask(stage.proxied, stage.watch)
