"""Whatever JSON a node answers, a source raises the errors of the port and nothing else, and believes nothing false."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chains.bitcoin.addresses import parse_address
from chains.bitcoin.client import Client
from chains.bitcoin.mempool import Mempool
from chains.bitcoin.params import MAINNET
from chains.bitcoin.readers import read_block, read_transaction
from chains.bitcoin.utxo_scan import UtxoScans, scan_unspent
from chains.errors import ChainError
from chains.model import BlockRef
from chains.rpc.jsonrpc import Call
from chains.source import WatchSet
from contracts.recorded_blocks import BlockNode, RecordedBlock

HEIGHT = 300025
TXID = "11" * 32
NAMES = ["txid", "vin", "vout", "hex", "prevout", "value", "scriptPubKey", "blocks", "headers", "bestblockhash", "tx"]
NAMES += ["success", "unspents", "height", "bestblock", "amount", "confirmations", "blockhash", "time", "coinbase"]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.text(max_size=8),
    st.floats(),
    st.sampled_from([TXID, "00" * 10, "0.00000001", "-1.0", "51"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)


class Babbler:
    """Answers each question with the next of some values."""

    name = "babbler"

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.turn = 0

    def call(self, _method: str, _params: Any = ()) -> Any:
        self.turn += 1
        return self.values[self.turn % len(self.values)]

    def batch(self, calls: list[Call]) -> list[Any]:
        return [self.call(*call) for call in calls]

    def raw(self, _path: str) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is open."""


ASKS: dict[str, Callable[[Client], object]] = {
    "block": lambda client: read_block(MAINNET, client, 5, WatchSet()),
    "block by outpoints": lambda client: read_block(MAINNET, client, 5, WatchSet(complete=True)),
    "transaction": lambda client: read_transaction(MAINNET, client, bytes.fromhex(TXID), None),
    "transaction in block": lambda client: read_transaction(
        MAINNET, client, bytes.fromhex(TXID), BlockRef(5, bytes.fromhex(TXID))
    ),
    "unspent": lambda client: scan_unspent(
        MAINNET, client, {parse_address(MAINNET.chain, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")}, UtxoScans()
    ),
    "mempool": lambda client: Mempool(MAINNET).read(client, WatchSet()),
    "info": lambda client: client.chain_info(),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@given(values=st.lists(JSON, min_size=1, max_size=3), hash_first=st.booleans())
def test_any_answer_gives_an_error_of_the_port_or_nothing(
    ask: Callable[[Client], object], values: list[Any], hash_first: bool
) -> None:
    said = [values[-1], TXID, *values] if hash_first else values
    try:
        ask(Client(Babbler(said)))
    except ChainError:
        return


@pytest.fixture(scope="module")
def recorded() -> RecordedBlock:
    return RecordedBlock.load("block_mainnet_300025_many_inputs", HEIGHT)


def places(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every (container, key) inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *places(inner, depth + 1)]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), leaf=JSON)
def test_one_value_changed_in_a_blocks_details_is_refused_or_without_effect(
    recorded: RecordedBlock, data: st.DataObject, leaf: Any
) -> None:
    """Of the eleventh transaction, which is watched: its facts are the true ones, or there are none."""
    spoiled = RecordedBlock(HEIGHT, recorded.raw, recorded.undo)
    watched = recorded.details[10]
    mine = copy.deepcopy(watched)
    details = [*recorded.details[:10], mine, *recorded.details[11:]]
    spoiled.__dict__["detail"] = {**recorded.detail, "tx": details}
    spoiled.__dict__["details"] = recorded.details
    unprovable = ("prevout", "scriptPubKey", "value", "hex")
    found = [place for place in places(mine) if place[0] is mine or place[1] not in unprovable]
    container, key = data.draw(st.sampled_from(found))
    container[key] = leaf if key != "vin" else data.draw(LEAVES)
    script = bytes(recorded.block.vtx[10].vout[0].scriptPubKey)
    truth = read_block(MAINNET, Client(BlockNode(recorded)), HEIGHT, WatchSet({script}))
    try:
        facts = read_block(MAINNET, Client(BlockNode(spoiled)), HEIGHT, WatchSet({script}))
    except ChainError:
        return
    assert facts == truth
