"""Accounts as text: EIP-55's own examples, and mistakes that must be named."""

from __future__ import annotations

import pytest

from chains.evm.fields import parse_address
from chains.model import ChainId

ETHEREUM = ChainId("eip155", "1")
EIP55_EXAMPLES = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)


@pytest.mark.parametrize("text", EIP55_EXAMPLES)
def test_every_case_of_an_address_is_one_account(text: str) -> None:
    accounts = [parse_address(ETHEREUM, t) for t in (text, text.lower(), "0x" + text[2:].upper())]
    assert len(set(accounts)) == 1
    assert {a.text for a in accounts} == {text}
    assert accounts[0].key.hex() == text[2:].lower()


@pytest.mark.parametrize("text", EIP55_EXAMPLES)
def test_one_letter_in_the_wrong_case_is_refused_by_name(text: str) -> None:
    at = next(n for n, c in enumerate(text) if n > 1 and c.isalpha())
    wrong = text[:at] + text[at].swapcase() + text[at + 1 :]
    with pytest.raises(ValueError, match="EIP-55 checksum"):
        parse_address(ETHEREUM, wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        EIP55_EXAMPLES[0][:-1],
        EIP55_EXAMPLES[0] + "0",
        EIP55_EXAMPLES[0][2:],
        "0x" + "g" * 40,
        "0x" + "0" * 39 + "\n",
        "0x" + "٣" * 40,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an EVM address"):
        parse_address(ETHEREUM, text)


def test_another_namespace_is_refused() -> None:
    with pytest.raises(ValueError, match="not an EIP-155 chain"):
        parse_address(ChainId("bip122", "000000000019d6689c085ae165831e93"), EIP55_EXAMPLES[0])
