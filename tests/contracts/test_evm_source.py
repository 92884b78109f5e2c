"""EvmSource held to the contract: on an anvil, and on a capture of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chain_sources import ChainSourceContract, Scene, ask_everything

from chains.evm.source import EvmSource, open_source
from chains.model import ChainId
from chains.source import Endpoint, SourceSpec
from nodes.anvils import CHAIN_ID, Anvil

CONFIRMATIONS = 2
CHAIN = ChainId("eip155", str(CHAIN_ID))
ANOTHER = ChainId("eip155", "11155111")
WATCHED = "0x00000000000000000000000000000000C0Ffee01"


def open_on(endpoint: Endpoint, chain: ChainId = CHAIN, record_to: Path | None = None) -> EvmSource:
    return open_source(SourceSpec("evm", chain, (endpoint,), CONFIRMATIONS, record_to=record_to))


def mined(node: Anvil, tx: str) -> int:
    while node.rpc("eth_getTransactionReceipt", [tx]) is None:
        pass
    return int(node.receipt(tx)["blockNumber"], 16)


def play(node: Anvil, endpoint: Endpoint) -> Scene:
    """Pay a watched account, have it spend, and bury both."""
    source = open_on(endpoint)
    watched = source.parse_address(WATCHED.lower())
    node.rpc("anvil_impersonateAccount", [watched.text])
    paid = node.send(node.accounts[0], watched.text, value=10**18)
    paid_at = mined(node, paid)
    spent = node.send(watched.text, node.accounts[1], value=10**17)
    spent_at = mined(node, spent)
    node.mine(CONFIRMATIONS)
    return Scene(
        source=source,
        wrong=open_on(endpoint, ANOTHER),
        watched=watched,
        paid_at=paid_at,
        paid_txid=bytes.fromhex(paid[2:]),
        spent_at=spent_at,
        spent_txid=bytes.fromhex(spent[2:]),
        confirmations=CONFIRMATIONS,
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Endpoint]]:
    node = Anvil(tmp_path_factory.mktemp("anvil"))
    node.start()
    endpoint = Endpoint("node", node.url)
    scene = play(node, endpoint)
    yield scene, endpoint
    scene.source.close()
    scene.wrong.close()
    node.stop()


@pytest.fixture(scope="module")
def capture(played: tuple[Scene, Endpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene, endpoint = played
    path = tmp_path_factory.mktemp("capture") / "anvil.jsonl.gz"
    recording = open_on(endpoint, record_to=path)
    ask_everything(replace(scene, source=recording))
    recording.close()
    return path


@pytest.mark.anvil
class TestOnAnvil(ChainSourceContract):
    @pytest.fixture
    def scene(self, played: tuple[Scene, Endpoint]) -> Iterator[Scene]:
        scene, endpoint = played
        fresh = replace(scene, source=open_on(endpoint), wrong=open_on(endpoint, ANOTHER))
        yield fresh
        fresh.source.close()
        fresh.wrong.close()


@pytest.mark.anvil
class TestOnACapture(ChainSourceContract):
    @pytest.fixture
    def scene(self, played: tuple[Scene, Endpoint], capture: Path) -> Iterator[Scene]:
        endpoint = Endpoint("node", f"recorded:{capture}")
        fresh = replace(played[0], source=open_on(endpoint), wrong=open_on(endpoint, ANOTHER))
        yield fresh
        fresh.source.close()
        fresh.wrong.close()
