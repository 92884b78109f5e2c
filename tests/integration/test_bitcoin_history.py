"""A theft followed on a node that has pruned its blocks, by an explorer that is believed as far as it can prove."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from bitcoin_exchanges import chain_toml
from esplora_servers import Esplora
from exchanges import Exchange

from chains.bitcoin.explorer import MAX_ANSWER_BYTES
from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import LyingNode, NotReady, RateLimited, Unreachable, Unsupported
from chains.model import Outpoint, TxOutput, UtxoTransaction
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind
from walletwatch.cli.sessions import Session
from walletwatch.cli.trace import fold
from walletwatch.cli.trace_starts import Theft, start
from walletwatch.tracing.traces import Trace, trace_as_json

pytestmark = pytest.mark.bitcoind


@dataclass
class Scene:
    node: Bitcoind
    hot: str
    theft: bytes
    height: int
    onward: bytes
    truth: Trace
    esplora: Esplora
    folder: Path


def trace_of(folder: Path, scene_node: Bitcoind, hot: str, theft: bytes, height: int, more: str = "") -> Trace:
    """Open the case as a person does, read it up to the tip, and fold it from what was kept."""
    wallet = f'[[wallet]]\nname = "hot"\nrole = "hot"\nchain = "bitcoin"\naddresses = ["{hot}"]\n'
    exchange = Exchange(folder, chain_toml(scene_node, more=more) + wallet)
    start(exchange.settings(), "bitcoin", Theft(theft, height=height), name="theft", by="test")
    (trace,) = fold(Session(exchange.config), "theft", None).traces
    return trace


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("pruned")
    node = Bitcoind(folder / "node", options=["-txindex=0", "-prune=1", "-fastprune"])
    node.start()
    exchange, thief, next_thief = node.wallet("exchange"), node.wallet("thief"), node.wallet("next")
    hot = exchange.address()
    node.mine(101, hot)
    stolen = exchange.cli("send", {thief.address(): "20"}, None, "unset", 5, {"change_address": hot})["txid"]
    node.mine()
    height = node.tip()[0]
    node.mine(2)
    onward = thief.cli("send", {next_thief.address(): "12.5"}, None, "unset", 5)["txid"]
    node.mine()
    next_thief.cli("send", {node.wallet("far").address(): "3"}, None, "unset", 5)
    node.mine(450)
    with Esplora(node) as esplora:
        truth = trace_of(folder / "truth", node, hot, bytes.fromhex(stolen), height)
        node.cli("pruneblockchain", 250)
        yield Scene(node, hot, bytes.fromhex(stolen), height, bytes.fromhex(onward), truth, esplora, folder)
    node.stop()


@pytest.fixture
def esplora(scene: Scene) -> Iterator[Esplora]:
    scene.esplora.asked.clear()
    yield scene.esplora
    scene.esplora.change = lambda _path, honest: (200, honest)


def test_a_theft_in_pruned_blocks_is_followed_to_the_same_end_and_marked(scene: Scene, esplora: Esplora) -> None:
    more = f'history = "{esplora.url}"\n'
    trace = trace_of(scene.folder / "foreign", scene.node, scene.hot, scene.theft, scene.height, more)
    assert {edge.evidence for edge in trace.edges} == {esplora.host}
    assert [replace(edge, evidence="") for edge in trace.edges] == list(scene.truth.edges)
    assert (trace.nodes, trace.stops, trace.totals) == (scene.truth.nodes, scene.truth.stops, scene.truth.totals)
    said = trace_as_json([trace])
    assert {(edge["evidence"], edge["source"]) for edge in said["edges"]} == {("foreign", esplora.host)}
    assert said["gaps"][-1] == (
        f"3 transactions come from {esplora.host}: each is proved by our headers, but not that none is missing"
    )
    assert "evidence" not in json.dumps(trace_as_json([scene.truth]))


def test_it_is_asked_once_for_each_coin_and_not_for_each_block(scene: Scene, esplora: Esplora) -> None:
    more = f'history = "{esplora.url}"\n'
    trace_of(scene.folder / "counted", scene.node, scene.hot, scene.theft, scene.height, more)
    spends = [path for path in esplora.asked if path.endswith("/outspends")]
    assert len(spends) == len(set(spends))
    assert len(esplora.asked) < 40


def test_without_it_the_case_says_that_the_blocks_are_pruned(scene: Scene) -> None:
    with pytest.raises(Unsupported, match="pruned"):
        trace_of(scene.folder / "alone", scene.node, scene.hot, scene.theft, scene.height)


@dataclass
class Asked:
    """What is asked of the explorer to read the block of the onward payment."""

    source: BitcoinSource
    height: int
    watch: WatchSet

    def transactions(self) -> list[UtxoTransaction]:
        facts = self.source.past_block(self.height, self.watch, ())
        return [tx for tx in facts.transactions if isinstance(tx, UtxoTransaction)]


@pytest.fixture
def asked(scene: Scene, esplora: Esplora) -> Iterator[Asked]:
    spec = SourceSpec("btc", REGTEST.chain, (Endpoint("node", scene.node.url, scene.node.cookie),))
    source = BitcoinSource(replace(spec, history=Endpoint(esplora.host, esplora.url)))
    stolen = esplora.transactions[scene.theft.hex()]
    thief = source.parse_address(scene.node.wallet("thief").address())
    watch = WatchSet(complete=True)
    for vout, (value, script) in enumerate(stolen.outputs):
        watch.outpoints[Outpoint(scene.theft, vout)] = TxOutput(vout, value, replace(thief, key=script))
    height, _ = esplora.places[scene.onward.hex()]
    yield Asked(source, height, watch)
    source.close()


def test_judging_never_asks_it(scene: Scene, esplora: Esplora, asked: Asked) -> None:
    with pytest.raises(Unsupported, match="pruned"):
        asked.source.block(asked.height, asked.watch)
    assert asked.source.tip().height == scene.node.tip()[0]
    assert esplora.asked == []


def test_what_it_says_is_proved(scene: Scene, asked: Asked) -> None:
    (tx,) = asked.transactions()
    index = asked.source.past_block(asked.height, asked.watch, ()).transactions[0].index
    assert (tx.txid, tx.index) == (scene.onward, index)
    assert tx.fee is not None
    assert tx.fee > 0  # every input's worth is known
    assert asked.source.health()[-1].name == f"{scene.esplora.host} (history)"


def _other_transaction(esplora: Esplora, scene: Scene) -> Callable[[str, bytes], tuple[int, bytes]]:
    other = esplora.transactions[scene.theft.hex()].raw.hex().encode()
    return lambda path, honest: (200, other if path == f"tx/{scene.onward.hex()}/hex" else honest)


def _changed(ending: str, edit: Callable[[bytes], bytes]) -> Callable[[str, bytes], tuple[int, bytes]]:
    return lambda path, honest: (200, edit(honest) if path.endswith(ending) else honest)


def _edit(**fields: object) -> Callable[[bytes], bytes]:
    return lambda honest: json.dumps(json.loads(honest) | fields).encode()


def _spend(**fields: object) -> Callable[[bytes], bytes]:
    """Every spent output told of otherwise."""
    return lambda honest: json.dumps([s | fields if s["spent"] else s for s in json.loads(honest)]).encode()


def _status(**fields: object) -> Callable[[bytes], bytes]:
    return lambda honest: json.dumps(
        [s | {"status": s["status"] | fields} if s["spent"] else s for s in json.loads(honest)]
    ).encode()


def test_another_transaction_s_bytes_are_a_lie(scene: Scene, esplora: Esplora, asked: Asked) -> None:
    esplora.change = _other_transaction(esplora, scene)
    with pytest.raises(LyingNode, match="asked for transaction"):
        asked.transactions()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_changed("/merkle-proof", _edit(merkle=["ab" * 32])), LyingNode, "is not in block"),
        (_changed("/merkle-proof", _edit(pos=7_000)), LyingNode, "no merkle proof"),
        (_changed("/merkle-proof", _edit(merkle=["ab" * 32] * 1000)), LyingNode, "no merkle proof"),
        (_changed("/merkle-proof", _edit(merkle="ab")), LyingNode, "no merkle proof"),
        (_changed("/outspends", lambda _honest: b"[]"), LyingNode, "more outputs"),
        (_changed("/outspends", lambda _honest: b"{}"), LyingNode, "no list"),
        (_changed("/outspends", lambda _honest: b"[1, 2]"), LyingNode, "no 'spent'"),
        (_changed("/outspends", _status(block_height=5)), LyingNode, "in a block that was read"),
        (_changed("/outspends", _status(block_hash="ab" * 32)), NotReady, "another block"),
        (_changed("tip/height", lambda _honest: b"3"), NotReady, "below"),
        (_changed("tip/height", lambda _honest: b"-1"), LyingNode, "no number"),
        (_changed("/hex", lambda _honest: b"zz"), LyingNode, "no hexadecimal"),
        (_changed("/hex", lambda _honest: b"\xff"), LyingNode, "no text"),
        (_changed("/hex", lambda honest: honest * 2), LyingNode, "transaction"),
        (_changed("/outspends", lambda _honest: b"[" * 5000), Unreachable, "no JSON"),
        (lambda _path, _honest: (429, b""), RateLimited, "slow down"),
        (lambda _path, _honest: (502, b"<html>"), Unreachable, "502"),
        (_changed("/hex", lambda _honest: b"0" * (MAX_ANSWER_BYTES + 1)), LyingNode, "more than"),
    ],
)
def test_what_it_cannot_prove_is_not_believed(
    esplora: Esplora, asked: Asked, change: Callable[[str, bytes], tuple[int, bytes]], error: type, words: str
) -> None:
    esplora.change = change
    with pytest.raises(error, match=words):
        asked.transactions()


def test_a_spender_that_does_not_spend_is_a_lie(scene: Scene, esplora: Esplora, asked: Asked) -> None:
    """A transaction of the right block, proved to be in it, that has nothing to do with the coin."""
    coinbase = esplora.blocks[asked.height][0].hex()
    esplora.change = _changed("/outspends", _spend(txid=coinbase))
    with pytest.raises(LyingNode, match="does not spend"):
        asked.transactions()


def test_an_explorer_of_another_network_is_refused(esplora: Esplora, asked: Asked) -> None:
    esplora.change = _changed("block-height/0", lambda _honest: b"ab" * 32)
    with pytest.raises(Exception, match="not regtest"):
        asked.transactions()
