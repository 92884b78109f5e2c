"""Several nodes of one chain: one down, one of another chain, one behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chains.errors import Unsupported, WrongChain
from chains.evm.source import EvmSource, open_source
from chains.model import ChainId
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.anvils import CHAIN_ID, Anvil

pytestmark = pytest.mark.anvil


def open_on(*nodes: Anvil) -> EvmSource:
    endpoints = tuple(Endpoint(f"n{n}", node.url) for n, node in enumerate(nodes))
    return open_source(SourceSpec("local", ChainId("eip155", str(CHAIN_ID)), endpoints, confirmations=1))


def states(source: EvmSource) -> list[str]:
    return [h.state for h in source.health()]


def test_a_node_that_is_down_is_passed_over_and_shown(anvils: Callable[..., Anvil]) -> None:
    dead, alive = anvils(), anvils()
    source = open_on(dead, alive)
    alive.mine(3)
    dead.kill()
    assert source.tip().height == 3
    assert source.block(2, WatchSet()).ref == source.ref_at(2)
    assert states(source) == ["down", "ok"]
    source.close()


def test_a_node_of_another_chain_is_never_believed(anvils: Callable[..., Anvil]) -> None:
    other, right = anvils(), anvils()
    other.rpc("anvil_setChainId", [7])
    other.mine(9)
    right.mine(2)
    source = open_on(other, right)
    with pytest.raises(WrongChain):
        source.identify()
    assert source.tip().height == 2
    assert states(source) == ["wrong-chain", "ok"]
    source.close()


def test_a_node_that_stays_behind_is_asked_last(anvils: Callable[..., Anvil]) -> None:
    late, early = anvils(), anvils()
    late.mine(2)
    early.mine(20)
    source = open_on(late, early)
    assert source.tip().height == 20
    assert states(source) == ["behind", "ok"]
    source.close()


def test_a_second_opinion_comes_from_the_other_node(anvils: Callable[..., Anvil]) -> None:
    first, second = anvils(), anvils()
    first.send(first.accounts[0], first.accounts[1], value=1)
    second.send(second.accounts[0], second.accounts[1], value=2)
    for node in (first, second):
        node.mine(1)
    source = open_on(first, second)
    assert source.ref_at(1) != source.second_ref_at(1)
    source.close()
    alone = open_on(first)
    alone.ref_at(1)
    with pytest.raises(Unsupported):
        alone.second_ref_at(1)
    alone.close()
