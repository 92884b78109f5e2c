"""What a node says about itself, as `status` shows it; and deployment facts that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chains.bitcoin.params import MAINNET, REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.errors import ChainError, LyingNode, NotReady, Unsupported
from chains.model import BlockRef
from chains.registry import open_source
from chains.source import Endpoint, SourceSpec, WatchSet

NOW = 1_795_000_000
TIP = "00000000000000000000aa" + "00" * 21
SPEC = SourceSpec("btc", MAINNET.chain, (Endpoint("node", "http://127.0.0.1:1"),))


def source_on(path: Path, *answers: tuple[str, list[Any], dict[str, Any]]) -> BitcoinSource:
    """A source on a capture of these answers, the identity added."""
    genesis = ("getblockhash", [0], {"result": MAINNET.genesis.hex()})
    lines = [{"method": method, "params": params, **answer} for method, params, answer in (genesis, *answers)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = replace(SPEC, endpoints=(Endpoint("node", f"recorded:{path}"),))
    return BitcoinSource(spec, wall_clock=lambda: float(NOW))


def info(**members: Any) -> tuple[str, list[Any], dict[str, Any]]:
    base = {"blocks": 800_000, "headers": 800_000, "bestblockhash": TIP, "time": NOW}
    return "getblockchaininfo", [], {"result": {**base, "initialblockdownload": False, **members}}


def test_a_node_at_the_tip_is_ok(tmp_path: Path) -> None:
    source = source_on(tmp_path / "c", info())
    assert source.tip() == BlockRef(800_000, bytes.fromhex(TIP))
    (health,) = source.health()
    assert (health.name, health.state, health.height, health.last_error) == ("node", "ok", 800_000, "")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"initialblockdownload": True, "headers": 900_000}, "initial download: block 800000 of 900000"),
        ({"time": NOW - 3 * 3600}, "stale tip: no block for 180 minutes"),
    ],
)
def test_a_node_that_lags_says_why(tmp_path: Path, members: dict[str, Any], words: str) -> None:
    source = source_on(tmp_path / "c", info(**members))
    source.tip()
    (health,) = source.health()
    assert (health.state, health.last_error) == ("behind", words)


def test_a_node_that_warms_up_is_not_ready(tmp_path: Path) -> None:
    warm = {"error": {"type": "NotReady", "message": "Loading block index… (code -28)"}}
    source = source_on(tmp_path / "c", ("getblockchaininfo", [], warm))
    source._pool.retry = replace(source._pool.retry, attempts=1)
    with pytest.raises(NotReady, match="Loading block index"):
        source.tip()
    assert source.health()[0].state == "behind"


def test_a_pruned_block_is_unsupported_and_the_node_stays_well(tmp_path: Path) -> None:
    pruned = {"error": {"type": "Unsupported", "message": "Block not available (pruned data) (code -1)"}}
    asked = ("getblockhash", [5], {"result": TIP}), ("getblock", [TIP, 3], pruned)
    source = source_on(tmp_path / "c", *asked)
    with pytest.raises(Unsupported, match="pruned"):
        source.block(5, WatchSet())
    assert source.health()[0].state == "ok"


@pytest.mark.parametrize(
    "result",
    [
        None,
        7,
        [],
        {},
        {"blocks": -1, "headers": 1, "bestblockhash": TIP},
        {"blocks": 1, "headers": 1, "bestblockhash": "zz" * 32},
        {"blocks": "1", "headers": 1, "bestblockhash": TIP},
        {"blocks": 1, "headers": 1, "bestblockhash": TIP, "time": -5},
        {"blocks": 1, "headers": 1, "bestblockhash": TIP, "time": "now"},
    ],
)
def test_an_answer_of_another_shape_is_a_lie(tmp_path: Path, result: Any) -> None:
    source = source_on(tmp_path / "c", ("getblockchaininfo", [], {"result": result}))
    with pytest.raises(LyingNode):
        source.tip()
    assert source.health()[0].state == "lying"


@pytest.mark.parametrize("result", [None, 7, "short", "zz" * 32, ["00" * 32]])
def test_a_hash_that_is_none_is_a_lie(tmp_path: Path, result: Any) -> None:
    source = source_on(tmp_path / "c", ("getblockhash", [5], {"result": result}))
    with pytest.raises(LyingNode):
        source.ref_at(5)


@pytest.mark.parametrize(
    "answer",
    [
        {"success": False},
        {"success": True, "height": 5, "bestblock": TIP, "unspents": 7},
        {"success": True, "height": 5, "bestblock": TIP, "unspents": [{"txid": TIP, "vout": 0}]},
        {
            "success": True,
            "height": 5,
            "bestblock": TIP,
            "unspents": [{"txid": TIP, "vout": 0, "scriptPubKey": "51", "amount": "1.00000000"}],
        },
    ],
)
def test_a_scan_that_answers_something_else_is_not_believed(tmp_path: Path, answer: dict[str, Any]) -> None:
    address = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
    script = "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"
    source = source_on(tmp_path / "c", ("scantxoutset", ["start", [f"raw({script})"]], {"result": answer}))
    source._pool.retry = replace(source._pool.retry, attempts=1)
    with pytest.raises(ChainError) as caught:
        source.unspent({source.parse_address(address)})
    assert isinstance(caught.value, (LyingNode, NotReady))


def test_facts_that_cannot_be_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        open_source(replace(SPEC, confirmations=0))
    with pytest.raises(ValueError, match="finality"):
        open_source(replace(SPEC, finality="finalized"))
    with pytest.raises(ValueError, match="unknown Bitcoin network"):
        open_source(replace(SPEC, chain=replace(MAINNET.chain, reference="0" * 32)))


def test_the_registry_opens_it_and_nothing_is_asked_yet() -> None:
    source = open_source(replace(SPEC, chain=REGTEST.chain))
    assert isinstance(source, BitcoinSource)
    assert [h.state for h in source.health()] == ["ok"]
    source.close()
