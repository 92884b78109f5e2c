"""Bridge instructions in calldata: read where they are, nothing where they are not."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given

from chains.evm.params import NETWORKS
from chains.evm.receipts import Receipt
from chains.evm.transactions import MAX_MEMO_BYTES, decode_transaction, read_memo, read_transaction_fields
from walletwatch.tracing.coinjoins import find_deposit

VAULT, NATIVE, ROUTER, SENDER = (f"0x{n:040x}" for n in (0xA, 0, 0xC, 0xD))
MEMO = "=:BTC.BTC:19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE:0/10/0"
"""That of Bybit's thief, 2025-02-25, of 44.9 ETH (THORChain transaction 6F708AFC…F2AA)."""
TYPES = ["address", "address", "uint256", "string"]


def routed(memo: str, *, expiring: bool) -> bytes:
    name = "depositWithExpiry" if expiring else "deposit"
    types = [*TYPES, "uint256"] if expiring else TYPES
    values = [VAULT, NATIVE, 10**18, memo, *([1_740_000_000] if expiring else [])]
    return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, values)


def test_the_routers_selectors_are_those_on_the_chain() -> None:
    assert routed("", expiring=True)[:4].hex() == "44bc937b"
    assert routed("", expiring=False)[:4].hex() == "1fece7b4"


@pytest.mark.parametrize("calldata", [routed(MEMO, expiring=True), routed(MEMO, expiring=False), MEMO.encode()])
def test_a_deposit_names_where_the_money_goes_on(calldata: bytes) -> None:
    assert read_memo(calldata) == MEMO


@pytest.mark.parametrize(
    "calldata",
    [
        b"",
        b"\xa9\x05\x9c\xbb" + bytes(64),
        routed("", expiring=True),
        routed("=:b:\u202ebc1", expiring=True),
        routed("=:" + "x" * MAX_MEMO_BYTES, expiring=True),
        routed(MEMO, expiring=True)[: 4 + 96],
        routed(MEMO, expiring=True)[: 4 + 200],
        b"no colon",
    ],
)
def test_what_is_no_deposit_has_no_memo(calldata: bytes) -> None:
    assert read_memo(calldata) is None


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_read_without_a_fault(tail: bytes, expiring: bool) -> None:
    memo = read_memo(routed(MEMO, expiring=expiring)[:4] + tail)
    assert memo is None or memo.isascii()


def test_the_tracer_knows_the_vault_by_the_memo() -> None:
    tx = {"hash": "0x" + "11" * 32, "from": SENDER, "to": VAULT, "nonce": "0x1", "value": hex(10**18), "gas": "0x5208"}
    spoken = read_transaction_fields(tx | {"gasPrice": "0x1", "input": "0x" + MEMO.encode().hex()}, "transaction")
    decoded = decode_transaction(spoken, 0, Receipt(True, 1, 21_000, (), None), None, NETWORKS[1])
    deposit = find_deposit(decoded)
    assert deposit is not None
    assert deposit.vault.text.lower() == VAULT
    assert (deposit.onward.chain, deposit.onward.memo) == ("bip122:000000000019d6689c085ae165831e93", MEMO)
