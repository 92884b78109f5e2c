"""Reorganisations, the doorbell, unspent outputs and failing over, on real nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from chains.bitcoin import utxo_scan as unspents
from chains.bitcoin.client import Client
from chains.bitcoin.params import MAINNET, REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import BlockGone, Unreachable, Unsupported, WrongChain
from chains.model import AssetId, BlockRef
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind

pytestmark = pytest.mark.bitcoind


def spec_of(*nodes: Bitcoind) -> SourceSpec:
    endpoints = tuple(Endpoint(f"node{n}", node.url, node.cookie, node.zmq_address) for n, node in enumerate(nodes))
    return SourceSpec("btc", REGTEST.chain, endpoints, confirmations=3)


def test_a_reorg_is_seen_by_hash_there_and_back(fresh_bitcoind: Bitcoind) -> None:
    node = fresh_bitcoind
    source = BitcoinSource(spec_of(node))
    address = source.parse_address(node.wallet("hot").address())
    watch = WatchSet({address.key})
    node.mine(5)
    node.mine(1, address.text)
    first = source.block(6, watch)
    assert len(first.transactions) == 1
    node.cli("invalidateblock", first.ref.hash.hex())
    assert source.tip().height == 5
    with pytest.raises(BlockGone):
        source.ref_at(6)
    with pytest.raises(BlockGone):
        source.block(6, watch)
    node.mine(1, node.wallet("other").address())
    second = source.block(6, watch)
    assert second.ref != first.ref
    assert second.parent_hash == first.parent_hash
    assert second.transactions == ()
    node.cli("invalidateblock", second.ref.hash.hex())
    node.cli("reconsiderblock", first.ref.hash.hex())
    assert source.block(6, watch) == first
    source.close()


def test_finality_counts_confirmations(fresh_bitcoind: Bitcoind) -> None:
    source = BitcoinSource(spec_of(fresh_bitcoind))
    assert source.final_height() == -1
    fresh_bitcoind.mine(3)
    assert source.final_height() == 1
    source.close()


def test_the_genesis_block_is_read_like_any_other(fresh_bitcoind: Bitcoind) -> None:
    source = BitcoinSource(spec_of(fresh_bitcoind))
    for complete in (False, True):
        facts = source.block(0, WatchSet(complete=complete))
        assert (facts.ref, facts.parent_hash) == (BlockRef(0, REGTEST.genesis), bytes(32))
    source.close()


def test_the_doorbell_rings_for_a_block_and_a_transaction(fresh_bitcoind: Bitcoind) -> None:
    node = fresh_bitcoind
    wallet = node.wallet("hot")
    node.mine(101, wallet.address())
    source = BitcoinSource(spec_of(node))
    for ring in (node.mine, lambda: wallet.pay({wallet.address(): "1"})):
        rung = threading.Event()
        stop = threading.Event()

        def listen(rung: threading.Event = rung) -> None:
            source.wait(120.0)
            rung.set()

        listener = threading.Thread(target=listen)
        listener.start()
        while not rung.is_set() and not stop.is_set():
            ring()  # again, until the subscription has reached the publisher
            stop.wait(0.05)
        listener.join(120.0)
        assert rung.is_set()
    source.close()


@pytest.mark.parametrize("bell", [True, False])
def test_closing_ends_a_wait(fresh_bitcoind: Bitcoind, bell: bool) -> None:
    spec = spec_of(fresh_bitcoind)
    if not bell:
        spec = replace(spec, endpoints=(replace(spec.endpoints[0], notifier_url=""),))
    source = BitcoinSource(spec)
    waiter = threading.Thread(target=source.wait, args=(3600.0,))
    waiter.start()
    source.close()
    waiter.join(60.0)
    assert not waiter.is_alive()


def test_balance_and_unspent_are_of_the_tip_alone(fresh_bitcoind: Bitcoind) -> None:
    node = fresh_bitcoind
    source = BitcoinSource(spec_of(node))
    address = source.parse_address(node.wallet("hot").address("bech32m"))
    node.mine(2, address.text)
    tip = source.tip()
    assert source.balance(address, source.native.id, tip) == 100 * 10**8
    assert {output.value for output in source.unspent({address}).outputs.values()} == {50 * 10**8}
    assert source.unspent(set()).outputs == {}
    with pytest.raises(Unsupported, match="tip only"):
        source.balance(address, source.native.id, source.ref_at(1))
    with pytest.raises(Unsupported):
        source.balance(address, AssetId(REGTEST.chain, "rune", "1"), tip)
    source.close()


def test_scans_of_different_blocks_are_brought_to_one(
    fresh_bitcoind: Bitcoind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On mainnet a scan takes minutes: a block comes between two of them, and the coin it moved was counted twice or
    not at all."""
    node = fresh_bitcoind
    wallet = node.wallet("hot")
    node.mine(102, wallet.address())
    node.mine(100)
    source = BitcoinSource(spec_of(node))
    addresses = {source.parse_address(coin["address"]) for coin in wallet.cli("listunspent")}
    addresses |= {source.parse_address(wallet.address()) for _ in range(3)}
    monkeypatch.setattr(unspents, "BATCH", 1)
    scan_unspent, moves = Client.scan_unspent, iter(sorted(a.text for a in addresses))

    def scan_and_move(client: Client, scripts: list[bytes]) -> object:
        answer = scan_unspent(client, scripts)
        wallet.pay({next(moves): "1.5"})
        node.mine()
        return answer

    monkeypatch.setattr(Client, "scan_unspent", scan_and_move)
    rolled = source.unspent(addresses)
    monkeypatch.setattr(Client, "scan_unspent", scan_unspent)
    monkeypatch.setattr(unspents, "BATCH", 100)
    assert rolled.at.height == node.tip()[0] - 1
    node.cli("invalidateblock", node.tip()[1])
    assert source.unspent(addresses) == rolled
    source.close()


def test_a_dead_node_is_passed_over_and_taken_back(bitcoinds: Callable[[], Bitcoind]) -> None:
    first, second = bitcoinds(), bitcoinds()
    for block in first.mine(3):
        second.cli("submitblock", first.cli("getblock", block, 0))
    source = BitcoinSource(spec_of(first, second))
    tip = source.tip()
    assert [h.state for h in source.health()] == ["ok", "ok"]
    first.stop()
    assert source.tip() == tip
    assert [h.state for h in source.health()] == ["down", "ok"]
    second.stop()
    with pytest.raises(Unreachable):
        source.tip()
    first.start()
    assert source.tip() == tip
    assert [h.state for h in source.health()] == ["ok", "down"]
    source.close()


def test_a_second_opinion_comes_from_the_other_node(bitcoinds: Callable[[], Bitcoind]) -> None:
    first, second = bitcoinds(), bitcoinds()
    first.mine(1)
    second.mine(1)
    source = BitcoinSource(spec_of(first, second))
    assert source.ref_at(1) != source.second_ref_at(1)
    assert source.ref_at(0) == source.second_ref_at(0)
    source.close()


def test_a_node_of_another_network_is_refused(fresh_bitcoind: Bitcoind) -> None:
    source = BitcoinSource(replace(spec_of(fresh_bitcoind), chain=MAINNET.chain))
    with pytest.raises(WrongChain, match="not mainnet"):
        source.identify()
    source.close()
