"""The real transaction that took over Bybit's Safe, and MultiSends, nested and damaged."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import rlp
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chains.errors import Unsupported
from chains.evm.client import BlockReader
from chains.evm.params import NETWORKS
from chains.evm.safe import (
    Execution,
    InnerOperation,
    find_signers,
    operations_of,
    read_execution,
    recover_signers,
    safe_tx_hash,
)
from chains.evm.source import read_facts
from chains.model import AccountTransaction
from chains.rpc.jsonrpc import Json
from data.ethereum.samples import BYBIT_HEIGHT, BYBIT_NEW_SINGLETON, BYBIT_OLD_SINGLETON, bybit_node, bybit_raw

SAFE = bytes.fromhex("1db92e2eebc8e0c075a02bea49a2935bcd2dfcf4")
SIGNERS = tuple(
    bytes.fromhex(a)
    for a in (
        "1f4eb0a903619ac168b19a82f1a6e2e426522211",
        "3cc3a225769900e003e264dd4cb43e90896bc21a",
        "e3df2cceac61b1afa311372ecc5b40a3a6585a9e",
    )
)
NONCE = 71


@pytest.fixture
def takeover() -> Execution:
    raw = bybit_raw()
    assert keccak(raw).hex() == "46deef0f52e3a983b67abf4714448a41dd7ffd6d32d32da69d62081c68ad7882"
    fields = rlp.decode(raw)
    assert fields[3] == SAFE
    execution = read_execution(fields[5])
    assert execution is not None
    return execution


def test_what_bybits_safe_was_told(takeover: Execution) -> None:
    told = takeover.operation
    assert told.operation == 1
    assert told.to.hex() == "96221423681a6d52e184d440a8efcebb105c7242"
    assert told.value_wei == 0
    assert told.data[:4].hex() == "a9059cbb"
    assert told.data[16:36].hex() == "bdd077f651ebe7f7b3ce16fe5f2b025be2969516"
    assert takeover.safe_tx_gas == 45_746
    assert operations_of(takeover) == [told]


def test_who_signed_it(takeover: Execution) -> None:
    assert find_signers(takeover, SAFE, 1, range(NONCE - 3, NONCE + 5), frozenset(SIGNERS)) == (NONCE, SIGNERS)
    assert recover_signers(takeover, safe_tx_hash(takeover, SAFE, NONCE, None), frozenset()) == SIGNERS


def test_another_nonce_safe_or_domain_recovers_no_owner(takeover: Execution) -> None:
    owners = frozenset(SIGNERS)
    assert find_signers(takeover, SAFE, 1, [NONCE - 1, NONCE + 1], owners) == (None, ())
    assert find_signers(takeover, bytes(20), 1, [NONCE], owners) == (None, ())
    assert recover_signers(takeover, safe_tx_hash(takeover, SAFE, NONCE, 1), owners) == ()


def packed(*operations: InnerOperation) -> bytes:
    return b"".join(
        bytes([o.operation]) + o.to + o.value_wei.to_bytes(32, "big") + len(o.data).to_bytes(32, "big") + o.data
        for o in operations
    )


def multi_send(blob: bytes, depth: int = 0) -> InnerOperation:
    return InnerOperation(1, b"\x11" * 20, 0, bytes.fromhex("8d80ff0a") + encode(["bytes"], [blob]), depth)


def executed(operation: InnerOperation) -> Execution:
    return Execution(operation, 0, 0, 0, bytes(20), bytes(20), b"")


def test_a_multi_send_in_a_multi_send_is_unpacked_in_order() -> None:
    pay = InnerOperation(0, b"\x22" * 20, 5, b"", 1)
    deep = InnerOperation(1, b"\x33" * 20, 0, b"\xde\xad\xbe\xef", 2)
    last = InnerOperation(0, b"\x44" * 20, 0, b"\xa9\x05\x9c\xbb", 1)
    inner = multi_send(packed(deep), 1)
    outer = multi_send(packed(pay, inner, last))
    assert operations_of(executed(outer)) == [outer, pay, inner, deep, last]


def test_a_part_cut_short_ends_the_list() -> None:
    pay = InnerOperation(0, b"\x22" * 20, 5, b"", 1)
    outer = multi_send(packed(pay) + packed(InnerOperation(0, b"\x23" * 20, 1, b"\x01" * 40, 1))[:-1])
    assert operations_of(executed(outer)) == [outer, pay]


def test_nesting_without_end_is_bounded() -> None:
    blob = b""
    for _ in range(40):
        blob = packed(multi_send(blob))
    assert len(operations_of(executed(multi_send(blob)))) == 9


@pytest.mark.parametrize("cut", [0, 3, 4, 35, 300, 400])
def test_calldata_that_does_not_decode_is_no_execution(cut: int) -> None:
    calldata = rlp.decode(bybit_raw())[5]
    assert read_execution(calldata[:cut]) is None


def test_a_call_of_another_function_is_no_execution() -> None:
    assert read_execution(b"\xa9\x05\x9c\xbb" + rlp.decode(bybit_raw())[5][4:]) is None


def test_the_block_of_the_takeover_tells_of_it_before_any_value_moved() -> None:
    """Bybit, 2025-02-21 14:13:35 UTC: nothing moved in this block; the first drain came 156 s later."""
    node = bybit_node()
    reader = BlockReader(NETWORKS[1], frozenset({SAFE}))
    facts = read_facts(reader, node, BYBIT_HEIGHT, frozenset({SAFE}))
    changes = {c.kind.value: c for c in facts.control_changes}
    assert changes.keys() == {"singleton", "delegatecall"}
    assert changes["singleton"].before.lower() == BYBIT_OLD_SINGLETON
    assert changes["singleton"].after.lower() == BYBIT_NEW_SINGLETON
    assert changes["delegatecall"].after.lower() == "0x96221423681a6d52e184d440a8efcebb105c7242"
    assert changes["delegatecall"].detail["safe_nonce"] == NONCE
    (tx,) = facts.transactions
    assert isinstance(tx, AccountTransaction)
    assert tx.transfers == ()
    assert tx.signing is not None
    assert [s.lower() for s in tx.signing.signers] == ["0x" + s.hex() for s in SIGNERS]


def test_a_node_without_old_state_says_that_control_was_not_compared() -> None:
    def distort(method: str, _params: Sequence[Json], result: Json) -> Json:
        if method == "eth_getStorageAt":
            raise Unsupported("missing trie node")
        return result

    node = bybit_node()
    node.distort = distort
    reader = BlockReader(NETWORKS[1], frozenset({SAFE}))
    facts = read_facts(reader, node, BYBIT_HEIGHT, frozenset({SAFE}))
    delegated, unread = facts.control_changes
    assert (delegated.kind, delegated.detail["code_hash"], delegated.detail["signers"]) == (
        "delegatecall",
        "unread",
        "",
    )
    assert "safe_nonce" not in delegated.detail
    assert (unread.before, unread.after, unread.detail) == ("", "", {"unread": "missing trie node"})
    assert any(gap.startswith("control:") and "missing trie node" in gap for gap in facts.gaps)
