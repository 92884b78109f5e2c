"""Blocks by bitcoind's REST interface: the same as by RPC, and by RPC where REST gives none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chains.bitcoin.client import Client, RestTransport
from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import BlockGone, LyingNode, Unsupported
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import loads_exact
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind

pytestmark = pytest.mark.bitcoind


@contextmanager
def opened(node: Bitcoind, *, rest: bool) -> Iterator[BitcoinSource]:
    source = BitcoinSource(SourceSpec("btc", REGTEST.chain, (Endpoint("node", node.url, node.cookie, rest=rest),)))
    try:
        yield source
    finally:
        source.close()


def door(node: Bitcoind) -> RestTransport:
    return RestTransport(HttpTransport(Endpoint("node", node.url, node.cookie), loads=loads_exact))


def watching(node: Bitcoind) -> WatchSet:
    """One payee of the first 40 blocks, its outpoints known: then blocks are asked for by their bytes."""
    address = node.wallet("miner").address()
    node.mine(40, address)
    with opened(node, rest=False) as source:
        return WatchSet({source.parse_address(address).key}, complete=True)


def test_blocks_come_as_bytes_and_are_the_same(bitcoind: Bitcoind) -> None:
    first = bitcoind.tip()[0] + 1
    watch = watching(bitcoind)
    rest = door(bitcoind)
    asked = ["getblock", [bitcoind.tip()[1], 0]]
    assert rest.call(*asked) == bytes.fromhex(bitcoind.cli(asked[0], *asked[1]))
    assert rest.fetch([tuple(asked)] * 2).answers() == [rest.call(*asked)] * 2
    assert rest.note == ""
    rest.close()
    with opened(bitcoind, rest=True) as by_rest, opened(bitcoind, rest=False) as by_rpc:
        for height in range(first, first + 40):  # in a row, so that those that follow are fetched ahead
            facts = by_rest.block(height, watch)
            assert facts == by_rpc.block(height, watch)
            assert len(facts.transactions) == 1
        assert [(e.state, e.last_error) for e in by_rest.health()] == [("ok", "")]


def test_a_node_without_rest_gives_them_by_rpc_and_that_is_said(bitcoinds: Callable[..., Bitcoind]) -> None:
    """The configuration asks for REST, the node was started without it: 404 without a word."""
    node = bitcoinds(options=["-rest=0"])
    watch = watching(node)
    with opened(node, rest=True) as source:
        found = [source.block(height, watch) for height in range(1, 41)]
        assert [len(facts.transactions) for facts in found] == [1] * 40
        (health,) = source.health()
        assert (health.state, health.last_error) == (
            "ok",
            "REST gives no blocks, RPC does (HTTP 404: no such resource at this endpoint)",
        )


def test_a_block_nobody_knows_is_a_lie_by_either_way(bitcoind: Bitcoind) -> None:
    rest = door(bitcoind)
    with pytest.raises(BlockGone):
        rest.call("getblock", ["ab" * 32, 0])
    with pytest.raises(LyingNode, match="does not know its own block"):
        Client(rest).raw_block(b"\xab" * 32)
    assert isinstance(rest.fetch([("getblock", ["ab" * 32, 0])]).answers()[0], BlockGone)
    assert rest.note == ""  # RPC did not have it either
    rest.close()


def test_a_pruned_block_is_told_as_such(bitcoinds: Callable[..., Bitcoind]) -> None:
    node = bitcoinds(options=["-txindex=0", "-prune=1", "-fastprune"])
    node.mine(1200)
    node.cli("pruneblockchain", 600)
    rest = door(node)
    with pytest.raises(Unsupported, match="pruned"):
        Client(rest).raw_block(bytes.fromhex(node.cli("getblockhash", 5)))
    assert rest.note == ""
    assert isinstance(rest.call("getblock", [node.tip()[1], 0]), bytes)
    rest.close()
