"""What must hold for every block, trace and log a node could make up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import LyingNode, PermanentError
from chains.evm.fields import checksum, data_of, parse_address, quantity_of
from chains.evm.params import NETWORKS
from chains.evm.receipts import TRANSFER, TRANSFER_BATCH, AccountIndex, Log, bloom_mask, may_hold
from chains.evm.tokens import token_moves
from chains.evm.traces import Move, TxTrace, read_debug_block, read_trace_block
from chains.evm.transaction_forms import rlp_encode
from chains.model import MAX_AMOUNT, ChainId
from data.ethereum.samples import shell_of

ETHEREUM = ChainId("eip155", "1")
HASH, TX = "0x" + "aa" * 32, "0x" + "bb" * 32
accounts = st.binary(min_size=20, max_size=20)
junk = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=70)
    | st.lists(st.none(), max_size=2)
)


@given(accounts)
def test_every_account_round_trips_through_its_text(key: bytes) -> None:
    assert parse_address(ETHEREUM, checksum(key)).key == key


leaves = st.binary(max_size=80) | st.integers(min_value=0, max_value=MAX_AMOUNT)


@given(st.recursive(leaves, lambda item: st.lists(item, max_size=8), max_leaves=40))
def test_rlp_equals_the_library(items: Any) -> None:
    assert rlp_encode(items) == rlp.encode(items)


@given(st.integers(min_value=0, max_value=MAX_AMOUNT))
def test_quantities_up_to_256_bits_are_exact(number: int) -> None:
    assert quantity_of(hex(number), "x") == number


@given(junk | st.sampled_from(["0x", "0X1", "0x_1", "0x1_0", "0x 1", "0x+1", "0x-1", "0x" + "1" * 65, "1", "0x٣"]))
def test_what_is_no_quantity_is_a_lie(value: Any) -> None:
    try:
        read = quantity_of(value, "x")
    except LyingNode:
        return
    assert isinstance(value, str)
    assert int(value, 16) == read
    assert set(value[2:]) <= set("0123456789abcdefABCDEF")


@given(junk | st.sampled_from(["0x1", "0x 1", "0x00 00", "0xzz", "00", "0x0٣"]))
def test_what_is_no_hex_data_is_a_lie(value: Any) -> None:
    try:
        read = data_of(value, "x")
    except LyingNode:
        return
    assert value.lower() == "0x" + read.hex()


@given(st.sets(accounts, max_size=30), st.sets(accounts, max_size=12))
def test_a_bloom_never_hides_a_watched_account(watched: set[bytes], logged: set[bytes]) -> None:
    bloom = 0
    for account in logged:
        bloom |= bloom_mask(account.rjust(32, b"\0"))
    index = AccountIndex()
    plain = any(may_hold(bloom, bloom_mask(a.rjust(32, b"\0"))) for a in watched)
    assert index.may_concern(bloom, watched) == plain
    more = watched | logged
    assert index.may_concern(bloom, more) == bool(logged)


CALLS = ("call", "delegatecall", "staticcall", "callcode", "create", "selfdestruct")


@st.composite
def calls(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """A tree of calls as the machine ran it."""
    kind = "call" if depth == 0 else draw(st.sampled_from(CALLS))
    below = [] if depth > 3 or kind == "selfdestruct" else draw(st.lists(calls(depth + 1), max_size=3))
    return {
        "kind": kind,
        "from": "0x" + draw(accounts).hex(),
        "to": "0x" + draw(accounts).hex(),
        "value": draw(st.integers(min_value=0, max_value=5)),
        "failed": draw(st.integers(min_value=0, max_value=5)) == 0,
        "below": below,
    }


def expected(call: dict[str, Any], depth: int = 0) -> list[Move]:
    """The machine's rules, plainly."""
    if call["failed"]:
        return []
    moves = []
    if depth and call["value"] and call["kind"] in {"call", "create", "selfdestruct"}:
        moves.append(Move(bytes.fromhex(call["from"][2:]), bytes.fromhex(call["to"][2:]), call["value"]))
    return moves + [m for inner in call["below"] for m in expected(inner, depth + 1)]


def as_nested(call: dict[str, Any]) -> dict[str, Any]:
    names = {"create": "CREATE2", "selfdestruct": "SELFDESTRUCT"}
    row = {k: call[k] for k in ("from", "to")} | {"type": names.get(call["kind"], call["kind"].upper()), "input": "0x"}
    if call["kind"] != "staticcall":
        row["value"] = hex(call["value"])
    if call["failed"]:
        row["error"] = "execution reverted"
    if call["below"]:
        row["calls"] = [as_nested(c) for c in call["below"]]
    return row


def as_flat(call: dict[str, Any], path: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    value = {"value": hex(call["value"])}
    if call["kind"] == "create":
        own = {
            "type": "create",
            "action": {"from": call["from"], "init": "0x"} | value,
            "result": {"address": call["to"]},
        }
    elif call["kind"] == "selfdestruct":
        action = {"address": call["from"], "refundAddress": call["to"], "balance": hex(call["value"])}
        own = {"type": "suicide", "action": action}
    else:
        action = {"from": call["from"], "to": call["to"], "callType": call["kind"], "input": "0x"} | value
        own = {"type": "call", "action": action}
    place = {"blockHash": HASH, "transactionHash": TX, "transactionPosition": 0, "traceAddress": list(path)}
    rows = [own | place | ({"error": "Reverted"} if call["failed"] else {})]
    return rows + [row for n, inner in enumerate(call["below"]) for row in as_flat(inner, (*path, n))]


@given(calls())
def test_both_shapes_of_traces_tell_what_the_machine_did(call: dict[str, Any]) -> None:
    block = shell_of(1, HASH, [TX])
    flat, nested = as_flat(call), as_nested(call)
    answers: list[list[TxTrace]] = [
        read_trace_block(flat, block),
        read_debug_block([{"txHash": TX, "result": flat}], block, "flatCallTracer"),
        read_debug_block([{"txHash": TX, "result": nested}], block, "callTracer"),
    ]
    for (trace,) in answers:
        assert trace.moves == expected(call)
        assert trace.failed == call["failed"]


NAMES = ["type", "action", "from", "to", "value", "calls", "traceAddress", "result", "blockHash", "error", "txHash"]
trees = st.recursive(
    junk, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(NAMES), v, max_size=5), max_leaves=12
)


@pytest.mark.parametrize("read", [read_trace_block, lambda v, b: read_debug_block(v, b, "callTracer")])
@given(value=trees)
def test_no_trace_a_node_can_make_up_does_more_than_be_refused(read: Callable[..., Any], value: Any) -> None:
    with pytest.raises((LyingNode, PermanentError)):
        read(value, shell_of(1, HASH, [TX]))


words = st.binary(min_size=32, max_size=32)


@given(st.lists(words, max_size=4), st.binary(max_size=400), st.sampled_from([TRANSFER, TRANSFER_BATCH]))
def test_no_log_a_contract_can_make_up_breaks_the_decoding(topics: list[bytes], data: bytes, first: bytes) -> None:
    log = Log(b"\x01" * 20, (first, *topics[:3]), data, 0, 0)
    for move in token_moves([log], NETWORKS[1], ETHEREUM):
        assert 0 <= move.amount <= MAX_AMOUNT
        assert len(move.sender) == len(move.receiver) == 20


@given(st.lists(st.tuples(st.integers(0, MAX_AMOUNT), st.integers(0, MAX_AMOUNT)), max_size=6), accounts, accounts)
def test_a_batch_of_items_moves_each_of_them(items: list[tuple[int, int]], sender: bytes, receiver: bytes) -> None:
    def array(values: list[int]) -> bytes:
        return b"".join(v.to_bytes(32, "big") for v in [len(values), *values])

    ids, amounts = array([i for i, _ in items]), array([a for _, a in items])
    data = (64).to_bytes(32, "big") + (64 + len(ids)).to_bytes(32, "big") + ids + amounts
    topics = (TRANSFER_BATCH, bytes(32), sender.rjust(32, b"\0"), receiver.rjust(32, b"\0"))
    moves = list(token_moves([Log(b"\x02" * 20, topics, data, 0, 5)], NETWORKS[1], ETHEREUM))
    assert [(m.asset.reference, m.amount) for m in moves] == [(f"0x{'02' * 20}%2f{i}", a) for i, a in items]
    assert {(m.sender, m.receiver) for m in moves} <= {(sender, receiver)}
