"""The fast reading of addresses, as of a file of a million, says of any text what the plain one says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.addresses import (
    BECH32,
    BECH32M,
    CHARSET,
    address_of,
    address_parser,
    expand,
    parse_address,
    polymod,
)
from chains.bitcoin.params import MAINNET, NETWORKS, Network
from chains.model import Address

networks = st.sampled_from(sorted(NETWORKS.values(), key=lambda network: network.name))
payloads = st.one_of(
    st.binary(min_size=32, max_size=32), st.integers(0, 31).map(lambda n: bytes(n) + bytes(range(32 - n)))
)
shapes: dict[str, Callable[[bytes], bytes]] = {
    "p2pkh": lambda payload: b"\x76\xa9\x14" + payload[:20] + b"\x88\xac",
    "p2sh": lambda payload: b"\xa9\x14" + payload[:20] + b"\x87",
    "p2wpkh": lambda payload: b"\x00\x14" + payload[:20],
    "p2wsh": lambda payload: b"\x00\x20" + payload,
    "p2tr": lambda payload: b"\x51\x20" + payload,
    "witness 16": lambda payload: b"\x60\x20" + payload,
    "witness of 20 bytes": lambda payload: b"\x52\x14" + payload[:20],
    "witness of 2 bytes": lambda payload: b"\x51\x02" + payload[:2],
    "no address": lambda payload: b"\x6a" + payload,
}
scripts = st.builds(lambda shape, payload: shapes[shape](payload), st.sampled_from(sorted(shapes)), payloads)
characters = st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ _-+!\n\x00é\uff11")


def outcome(parse: Callable[[str], Address], text: str) -> tuple[bytes, str] | str:
    try:
        address = parse(text)
    except ValueError as error:
        return str(error)
    return address.key, address.text


def same(network: Network, text: str) -> None:
    plain = outcome(lambda written: parse_address(network.chain, written), text)
    assert outcome(address_parser(network.chain), text) == plain


@given(networks, networks, scripts)
def test_any_address_of_any_network(ours: Network, theirs: Network, script: bytes) -> None:
    """Another network's address is refused in the same words."""
    text = address_of(theirs, script).text
    same(ours, text)
    same(ours, text.upper())
    if ours is theirs:
        assert address_parser(ours.chain)(text) == Address(script, text)


@given(networks, scripts, st.data())
def test_any_address_with_characters_changed(network: Network, script: bytes, data: st.DataObject) -> None:
    text = address_of(network, script).text
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        kept = data.draw(st.integers(place, min(place + 1, len(text))))
        text = text[:place] + data.draw(st.text(characters, max_size=2)) + text[kept:]
    same(network, text)


@given(networks, st.sampled_from((39, 59, 1, 0)), st.data())
def test_any_characters_behind_the_prefix(network: Network, size: int, data: st.DataObject) -> None:
    alphabet = st.sampled_from(CHARSET)
    same(network, f"{network.hrp}1" + data.draw(st.text(alphabet, min_size=size, max_size=size)))


@given(networks, st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", max_size=40))
def test_any_base58(network: Network, text: str) -> None:
    same(network, text)
    same(network, "1" + text)


@pytest.mark.parametrize(("opcode", "constant"), [(0, BECH32), (0x51, BECH32M)])
def test_padding_that_is_not_zero_is_refused_though_the_checksum_is_right(opcode: int, constant: int) -> None:
    """BIP 173: a program of 32 bytes leaves four bits over, which the checksum covers like any other."""
    good = address_of(MAINNET, bytes([opcode, 32]) + bytes(range(32))).text
    values = [CHARSET.index(character) for character in good[3:-7]]
    refused = 0
    for last in range(32):
        checksum = polymod([*expand("bc"), *values, last, 0, 0, 0, 0, 0, 0]) ^ constant
        tail = [last, *(checksum >> 5 * (5 - n) & 31 for n in range(6))]
        text = good[:-7] + "".join(CHARSET[value] for value in tail)
        same(MAINNET, text)
        refused += "padding" in str(outcome(address_parser(MAINNET.chain), text))
    assert refused == 30  # the last character has one bit of the program: two of 32 have none of the padding
