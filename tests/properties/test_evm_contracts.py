"""What web3.py and eth-account code equals the rules written out: EIP-712 for a Safe, words for a feed's calls."""

from __future__ import annotations

import subprocess
import sys

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chains.evm.contracts import Interface
from chains.evm.safe import Execution, InnerOperation, safe_tx_hash
from chains.model import MAX_AMOUNT

ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")
FEED = Interface({"getRoundData": (("uint80",), ROUND), "description": ((), ("string",))})
accounts = st.binary(min_size=20, max_size=20)
numbers = st.integers(min_value=0, max_value=MAX_AMOUNT)
operations = st.builds(InnerOperation, st.integers(min_value=0, max_value=255), accounts, numbers, st.binary())
executions = st.builds(Execution, operations, numbers, numbers, numbers, accounts, accounts, st.just(b""))


def by_hand(execution: Execution, safe: bytes, nonce: int, chain: int | None) -> bytes:
    """EIP-712 as its text has it, word by word."""
    kind = keccak(
        text="SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,"
        "uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
    )
    o = execution.operation
    values = (o.to, o.value_wei, keccak(o.data), o.operation, execution.safe_tx_gas, execution.base_gas)
    more = (execution.gas_price, execution.gas_token, execution.refund_receiver, nonce)
    if chain is None:
        domain = keccak(keccak(text="EIP712Domain(address verifyingContract)") + word(safe))
    else:
        domain = keccak(
            keccak(text="EIP712Domain(uint256 chainId,address verifyingContract)") + word(chain) + word(safe)
        )
    return keccak(b"\x19\x01" + domain + keccak(kind + b"".join(map(word, (*values, *more)))))


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


@given(executions, accounts, numbers, st.none() | numbers)
def test_the_hash_of_a_safe_transaction_is_that_of_eip_712(
    execution: Execution, safe: bytes, nonce: int, chain: int | None
) -> None:
    assert safe_tx_hash(execution, safe, nonce, chain) == by_hand(execution, safe, nonce, chain)


@given(st.integers(min_value=0, max_value=2**80 - 1))
def test_a_call_is_its_selector_and_its_words(number: int) -> None:
    assert FEED.call("getRoundData", number) == keccak(text="getRoundData(uint80)")[:4] + word(number)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=5, max_size=5))
def test_a_round_is_its_words_or_is_refused(words: list[bytes]) -> None:
    fits = max(int.from_bytes(words[n], "big") for n in (0, 4)) < 2**80
    if not fits:
        with pytest.raises(ValueError, match="getRoundData cannot be decoded"):
            FEED.results("getRoundData", b"".join(words))
        return
    found = FEED.results("getRoundData", b"".join(words))
    assert found == tuple(int.from_bytes(w, "big", signed=n == 1) for n, w in enumerate(words))


@given(st.integers(min_value=0, max_value=2**80 - 1), st.integers(min_value=-(2**255), max_value=2**255 - 1), numbers)
def test_rounds_of_real_numbers_are_read(number: int, answer: int, updated: int) -> None:
    told = (number, answer, updated, updated, number)
    assert FEED.results("getRoundData", encode(ROUND, told)) == told


@given(st.binary(max_size=200))
def test_no_answer_but_a_value_error_comes_of_a_text_that_is_none(raw: bytes) -> None:
    try:
        (text,) = FEED.results("description", raw)
    except ValueError:
        return
    assert isinstance(text, str)


def test_the_libraries_leave_pythons_recursion_limit_as_it_was() -> None:
    """py_ecc raises it to 100,000 when web3 is imported; 200,000 brackets from a node then crash the C parser."""
    program = "import sys; import chains.evm.contracts, chains.evm.price_oracle; print(sys.getrecursionlimit())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 1_000
