"""Fees and movements of transactions that only some networks have, and of receipts before Byzantium."""

from __future__ import annotations

from typing import Any

import pytest

from chains.errors import LyingNode
from chains.evm.params import NETWORKS
from chains.evm.receipts import Receipt, read_receipt
from chains.evm.traces import Move, TxTrace
from chains.evm.transactions import created_account, decode_transaction, read_transaction_fields
from chains.model import AccountTransaction
from data.ethereum.samples import shell_of

TX, HASH = "0x" + "01" * 32, "0x" + "02" * 32
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
GWEI = 10**9


def spoken(**more: Any) -> dict[str, Any]:
    base = {"hash": TX, "from": ALICE, "to": BOB, "nonce": "0x5", "value": "0x64", "gas": "0x5208", "input": "0x"}
    return base | {"gasPrice": hex(GWEI)} | more


def receipt(tx: dict[str, Any], **more: Any) -> Receipt:
    place = {"blockHash": HASH, "transactionHash": TX, "transactionIndex": "0x0"}
    base = {"status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": hex(GWEI), "logs": []}
    return read_receipt(place | base | more, shell_of(1, HASH, [TX]), 0, tx)


def decoded(tx: dict[str, Any], got: Receipt, trace: TxTrace | None = None, network: int = 1) -> AccountTransaction:
    return decode_transaction(read_transaction_fields(tx, "tx"), 0, got, trace, NETWORKS[network])


@pytest.mark.parametrize(
    ("more", "fee"),
    [
        ({}, 21_000 * GWEI),
        ({"l1Fee": hex(777)}, 21_000 * GWEI + 777),
        ({"blobGasUsed": "0x20000", "blobGasPrice": "0x3"}, 21_000 * GWEI + 3 * 131_072),
        ({"blobGasPrice": "0x1"}, 21_000 * GWEI),
        ({"effectiveGasPrice": None}, 21_000 * GWEI),
        ({"effectiveGasPrice": "0x0"}, 0),
    ],
)
def test_the_fee_is_all_that_the_sender_paid(more: dict[str, Any], fee: int) -> None:
    assert receipt(spoken(), **more).fee_wei == fee


def test_a_rollup_deposit_mints_what_it_brings_even_if_the_call_fails() -> None:
    tx = spoken(type="0x7e", mint="0x3e8", gasPrice="0x0")
    fine = decoded(tx, receipt(tx, effectiveGasPrice="0x0"), network=10)
    assert [(t.kind.value, t.sender.key, t.amount) for t in fine.transfers] == [
        ("internal", bytes(20), 1_000),
        ("native", bytes.fromhex(ALICE[2:]), 100),
    ]
    failed = decoded(tx, receipt(tx, status="0x0"), network=10)
    assert [(t.receiver.key, t.amount) for t in failed.transfers] == [(bytes.fromhex(ALICE[2:]), 1_000)]


def test_before_byzantium_the_trace_tells_the_outcome() -> None:
    old = receipt(spoken(), status=None)
    assert decoded(spoken(), old, TxTrace()).ok
    assert not decoded(spoken(), old, TxTrace(failed=True)).ok
    with pytest.raises(LyingNode, match="status"):
        decoded(spoken(), old)


def test_a_receipt_and_a_trace_that_disagree_are_a_lie() -> None:
    with pytest.raises(LyingNode, match="contradicts the trace"):
        decoded(spoken(), receipt(spoken()), TxTrace(failed=True))


def test_value_of_a_creation_goes_to_the_account_it_makes() -> None:
    """The account is known from sender and nonce alone (the example is CryptoKitties' creation)."""
    kitties = created_account(bytes.fromhex("ba52c75764d6f594735dc735be7f1830cdf58ddf"), 3515)
    assert kitties.hex() == "06012c8cf97bead5deae237070f9587f8e7a266d"
    tx = spoken(to=None)
    (transfer,) = decoded(tx, receipt(tx)).transfers
    assert transfer.receiver.key == created_account(bytes.fromhex(ALICE[2:]), 5)


def test_inner_moves_stand_between_value_and_tokens() -> None:
    alice, bob = bytes.fromhex(ALICE[2:]), bytes.fromhex(BOB[2:])
    log = {
        "address": "0x" + "70" * 20,
        "topics": ["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"]
        + ["0x" + k.rjust(32, b"\0").hex() for k in (bob, alice)],
        "data": "0x" + (9).to_bytes(32, "big").hex(),
        "blockHash": HASH,
        "transactionHash": TX,
        "transactionIndex": "0x0",
        "logIndex": "0x2a",
    }
    seen = decoded(spoken(), receipt(spoken(), logs=[log]), TxTrace(moves=[Move(bob, alice, 7)]))
    assert [(t.kind.value, t.amount, t.ordinal, t.log_index) for t in seen.transfers] == [
        ("native", 100, 0, None),
        ("internal", 7, 1, None),
        ("token", 9, 2, 42),
    ]


def test_logs_that_mirror_the_coin_itself_are_not_counted_twice() -> None:
    """Polygon's 0x…1010 logs Transfer for moves of POL that value and traces already tell."""
    log = {
        "address": "0x" + "00" * 18 + "1010",
        "topics": ["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"] + ["0x" + "00" * 32] * 2,
        "data": "0x" + (100).to_bytes(32, "big").hex(),
        "blockHash": HASH,
        "transactionHash": TX,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    }
    got = receipt(spoken(), logs=[log])
    assert [t.kind.value for t in decoded(spoken(), got, network=137).transfers] == ["native"]
    assert [t.kind.value for t in decoded(spoken(), got).transfers] == ["native", "token"]


def test_how_a_transaction_was_made_is_kept_for_fingerprints() -> None:
    tx = spoken(type="0x2", maxFeePerGas="0x9", maxPriorityFeePerGas="0x2", input="0xa9059cbb00", accessList=[{}])
    signing = read_transaction_fields(tx, "tx").signing
    assert signing.as_dict() == {
        "type": 2,
        "nonce": 5,
        "gas_limit": 21_000,
        "selector": "0xa9059cbb",
        "calldata_bytes": 5,
        "max_fee_wei": 9,
        "max_priority_fee_wei": 2,
        "access_list": 1,
    }
