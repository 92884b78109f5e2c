"""Base58 as written here says of any bytes and any text what python-bitcoinlib says."""

from __future__ import annotations

import bitcoin.base58 as codec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains import base58


@given(st.binary(max_size=40), st.integers(0, 6))
def test_bytes_there_and_back(raw: bytes, zeros: int) -> None:
    raw = bytes(zeros) + raw
    text = base58.encode(raw)
    assert text == codec.encode(raw)
    assert base58.decode(text) == raw


@given(st.text(base58.ALPHABET, max_size=base58.MAX_CHARS))
def test_any_text_of_the_alphabet(text: str) -> None:
    assert base58.decode(text) == codec.decode(text)


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " 1", "1\n", "é", "\uff11", "1" * (base58.MAX_CHARS + 1)])
def test_what_is_no_base58_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base58|ascii"):
        base58.decode(text)
