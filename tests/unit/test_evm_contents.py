"""A block's contents proved by its header: no transaction and no log can be changed, added or left out."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak

from chains.errors import LyingNode, Unsupported
from chains.evm.blocks import Block, read_block
from chains.evm.client import BlockReader
from chains.evm.params import NETWORKS
from chains.evm.roots import ordered_root, prove_receipts, prove_transactions
from chains.evm.source import read_facts
from chains.model import BlockFacts
from data.ethereum.samples import RealNode, block_18000000, sample

BLOCKS = (
    "block_ethereum_12047794_legacy_transactions",
    "block_ethereum_13217637_many_transactions",
    "block_ethereum_16000000_exchange_payouts",
    "block_ethereum_16000001_after_merge",
    "block_ethereum_18000000_withdrawals",
)
HEIGHT = 18_000_000


def parsed(raw: dict[str, Any]) -> Block:
    return read_block(raw, int(raw["number"], 16), standard_header=True)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_real_list_of_transactions_has_the_root_in_its_header(name: str) -> None:
    assert prove_transactions(parsed(sample(name)), 1)


def test_the_root_of_an_empty_list_is_the_known_one() -> None:
    assert ordered_root([]) == keccak(rlp.encode(b""))


@pytest.mark.parametrize("change", ["drop", "swap", "repeat last", "value"])
def test_a_list_of_transactions_that_was_tampered_with_is_a_lie(change: str) -> None:
    raw = sample("block_ethereum_18000000_withdrawals")
    rows = raw["transactions"]
    if change == "drop":
        del rows[40]
    elif change == "swap":
        rows[3], rows[4] = rows[4], rows[3]
    elif change == "repeat last":
        rows.append(rows[-1] | {"hash": "0x" + "00" * 32})
    else:
        rows[9]["value"] = "0x1"
    with pytest.raises(LyingNode, match="not those that the header commits to"):
        prove_transactions(parsed(raw), 1)


def test_receipts_with_every_log_have_the_root_in_the_header() -> None:
    raw = sample("block_ethereum_18000000_withdrawals")
    assert prove_receipts(sample("receipts_ethereum_18000000_whole_block"), parsed(raw))


@pytest.mark.parametrize("at", [0, 7, 93])
@pytest.mark.parametrize("field", ["status", "cumulativeGasUsed", "logs"])
def test_receipts_that_were_tampered_with_are_a_lie(at: int, field: str) -> None:
    receipts = copy.deepcopy(sample("receipts_ethereum_18000000_whole_block"))
    at = next(n for n in range(at, -1, -1) if receipts[n]["logs"] and receipts[n]["status"] == "0x1")
    receipts[at][field] = receipts[at][field][:-1] if field == "logs" else "0x0"
    with pytest.raises(LyingNode, match="receipts are not those"):
        prove_receipts(receipts, parsed(sample("block_ethereum_18000000_withdrawals")))


def read(node: RealNode, *, prove: bool, watched: frozenset[bytes]) -> BlockFacts:
    return read_facts(BlockReader(NETWORKS[1], prove_contents=prove), node, HEIGHT, watched)


def senders() -> frozenset[bytes]:
    return frozenset(bytes.fromhex(tx["from"][2:]) for tx in block_18000000().block["transactions"][::5])


def test_a_proved_block_tells_the_same_as_a_believed_one() -> None:
    node = block_18000000()
    assert read(node, prove=True, watched=senders()) == read(block_18000000(), prove=False, watched=senders())
    assert "eth_getLogs" not in node.asked


def test_a_transfer_withheld_from_logs_and_receipts_alike_is_found_only_by_proof() -> None:
    """What the plain way cannot see: the node leaves a stranger's drain out everywhere."""
    node = block_18000000()
    assert node.receipts is not None
    victim = at = None
    for n, receipt in enumerate(node.receipts):
        named = [log["topics"][1][26:] for log in receipt["logs"] if len(log["topics"]) == 3]
        victim = next((a for a in named if a not in {receipt["from"][2:], (receipt["to"] or "")[2:]}), None)
        if victim is not None:
            at = n
            break
    assert victim is not None
    assert at is not None
    watched = frozenset({bytes.fromhex(victim)})
    assert any(tx.index == at for tx in read(block_18000000(), prove=False, watched=watched).transactions)
    node.receipts[at]["logs"] = []
    assert not any(tx.index == at for tx in read(node, prove=False, watched=watched).transactions)
    with pytest.raises(LyingNode):
        read(node, prove=True, watched=watched)


def test_a_type_of_transaction_that_is_not_known_is_said_to_be_unproved() -> None:
    raw = sample("block_ethereum_18000000_withdrawals")
    raw["transactions"][0]["type"] = "0x7e"
    assert not prove_transactions(parsed(raw), 1)


def test_a_node_that_gives_no_block_receipts_cannot_be_used_for_proof() -> None:
    node = block_18000000()
    node.receipts = None
    node.logs = []
    with pytest.raises(Unsupported):
        read(node, prove=True, watched=senders())
