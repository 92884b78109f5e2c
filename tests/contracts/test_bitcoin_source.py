"""BitcoinSource held to the contract: on a regtest bitcoind, and on a capture of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chain_sources import ChainSourceContract, Scene, ask_everything

from chains.bitcoin.params import REGTEST, SIGNET
from chains.bitcoin.source import BitcoinSource
from chains.model import ChainId
from chains.source import Endpoint, SourceSpec
from nodes.bitcoinds import Bitcoind

CONFIRMATIONS = 2


def open_on(endpoint: Endpoint, chain: ChainId = REGTEST.chain, record_to: Path | None = None) -> BitcoinSource:
    spec = SourceSpec("btc", chain, (endpoint,), CONFIRMATIONS, record_to=record_to)
    return BitcoinSource(spec)


def play(node: Bitcoind, endpoint: Endpoint) -> Scene:
    """Pay a watched address, spend from it, and bury both."""
    wallet = node.wallet("contract")
    if wallet.cli("getbalance") < 2:
        node.mine(101, wallet.address())
    text = wallet.address()
    source = open_on(endpoint)
    paid = wallet.pay({text: "1.00000001"})
    node.mine()
    paid_at = node.tip()[0]
    vout = next(
        n for n in range(9) if (out := node.cli("gettxout", paid, n)) and out["scriptPubKey"].get("address") == text
    )
    spend = {"inputs": [{"txid": paid, "vout": vout}], "add_inputs": False}
    sent = wallet.cli("send", [{wallet.address("legacy"): "0.6"}], None, "unset", None, spend)
    node.mine()
    spent_at = node.tip()[0]
    node.mine(CONFIRMATIONS)
    return Scene(
        source=source,
        wrong=open_on(endpoint, SIGNET.chain),
        watched=source.parse_address(text),
        paid_at=paid_at,
        paid_txid=bytes.fromhex(paid),
        spent_at=spent_at,
        spent_txid=bytes.fromhex(sent["txid"]),
        confirmations=CONFIRMATIONS,
    )


@pytest.fixture(scope="module")
def played(bitcoind: Bitcoind) -> Iterator[tuple[Scene, Endpoint]]:
    endpoint = Endpoint("node", bitcoind.url, bitcoind.cookie)
    scene = play(bitcoind, endpoint)
    yield scene, endpoint
    scene.source.close()
    scene.wrong.close()


@pytest.mark.bitcoind
class TestOnBitcoind(ChainSourceContract):
    @pytest.fixture
    def scene(self, played: tuple[Scene, Endpoint]) -> Iterator[Scene]:
        scene, endpoint = played
        fresh = replace(scene, source=open_on(endpoint), wrong=open_on(endpoint, SIGNET.chain))
        yield fresh
        fresh.source.close()
        fresh.wrong.close()


@pytest.fixture(scope="module")
def capture(played: tuple[Scene, Endpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene, endpoint = played
    path = tmp_path_factory.mktemp("capture") / "regtest.jsonl.gz"
    recording = open_on(endpoint, record_to=path)
    ask_everything(replace(scene, source=recording))
    recording.close()
    return path


@pytest.mark.bitcoind
class TestOnACapture(ChainSourceContract):
    @pytest.fixture
    def scene(self, played: tuple[Scene, Endpoint], capture: Path) -> Iterator[Scene]:
        endpoint = Endpoint("node", f"recorded:{capture}")
        fresh = replace(played[0], source=open_on(endpoint), wrong=open_on(endpoint, SIGNET.chain))
        yield fresh
        fresh.source.close()
        fresh.wrong.close()
