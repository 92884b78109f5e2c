"""TRON accounts as text, and the source that is not there."""

from __future__ import annotations

import pytest

from chains.model import ChainId
from chains.registry import native_asset, open_source, parse_address
from chains.source import SourceSpec
from chains.tron.addresses import MAINNET
from chains.tron.addresses import parse_address as read_tron

TETHER = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


def test_tethers_contract_is_the_account_explorers_show() -> None:
    address = parse_address(MAINNET, TETHER)
    assert address.key.hex() == "a614f803b6fd780986a42c78ec9c7f77e6ded13c"
    assert address.text == TETHER


@pytest.mark.parametrize("at", range(1, 34))
def test_one_mistyped_character_is_refused(at: int) -> None:
    wrong = TETHER[:at] + ("2" if TETHER[at] != "2" else "3") + TETHER[at + 1 :]
    with pytest.raises(ValueError, match=r"TRON address|checksum"):
        parse_address(MAINNET, wrong)


@pytest.mark.parametrize("text", ["", "T", TETHER[:-1], TETHER + "1", TETHER.lower(), "0" * 34, "T" + "z" * 33])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"TRON address|checksum"):
        parse_address(MAINNET, text)


def test_the_coin_is_counted_in_sun() -> None:
    assert (str(native_asset(MAINNET).id), native_asset(MAINNET).decimals) == ("tron:0x2b6653dc/slip44:195", 6)
    with pytest.raises(ValueError, match="not a TRON chain"):
        read_tron(ChainId("eip155", "1"), TETHER)


def test_following_its_blocks_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="TRON blocks cannot be followed"):
        open_source(SourceSpec("tron", MAINNET, ()))
