"""newHeads of a real node as a doorbell."""

from __future__ import annotations

import threading

import pytest

from chains.evm.block_notifiers import BlockNotifier
from chains.evm.source import open_source
from chains.model import ChainId
from chains.source import Endpoint, SourceSpec
from nodes.anvils import CHAIN_ID, Anvil

pytestmark = pytest.mark.anvil

LONG_SECS = 300.0
"""Beyond the test's own timeout: only a ring or a close ends such a wait."""


def mine_until(node: Anvil, done: threading.Event) -> None:
    while not done.wait(0.05):
        node.mine()


def test_a_new_block_ends_the_wait(fresh_anvil: Anvil) -> None:
    endpoint = Endpoint("anvil", fresh_anvil.url, notifier_url=fresh_anvil.ws_url)
    source = open_source(SourceSpec("local", ChainId("eip155", str(CHAIN_ID)), (endpoint,)))
    done = threading.Event()
    miner = threading.Thread(target=mine_until, args=(fresh_anvil, done))
    miner.start()
    for _ in range(3):
        source.wait(LONG_SECS)
    done.set()
    miner.join()
    source.close()
    source.wait(LONG_SECS)


def test_a_node_that_comes_back_rings_again(fresh_anvil: Anvil) -> None:
    bell = BlockNotifier([fresh_anvil.ws_url])
    fresh_anvil.kill()
    bell.wait(0.2)
    fresh_anvil.start()
    done = threading.Event()
    miner = threading.Thread(target=mine_until, args=(fresh_anvil, done))
    miner.start()
    bell.wait(LONG_SECS)
    done.set()
    miner.join()
    bell.close()
    assert bell.last_error == "ConnectionRefusedError"


def test_closing_ends_a_wait_under_way() -> None:
    bell = BlockNotifier([])
    threading.Timer(0.05, bell.close).start()
    bell.wait(LONG_SECS)
