"""Output descriptors without a node: what is refused and how, and how far a gap reaches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bitcoin.descriptors import derive, open_branches
from chains.bitcoin.params import MAINNET, REGTEST, TESTNET4
from chains.model import Address
from walletwatch.domain.wallets import AddressRange, Perimeter, Wallet

# The master and account keys of BIP 32's first and BIP 84's test vectors.
XPUB = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"
XPRV = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
TPUB = "tpubD6NzVbkrYhZ4YgmYARAnEfGbDbcoBgwd4vGrcgq72AuLBUNFDCiNsZwKexHXjSYHfm8KX93kKKEsTRjrKowcHeLtVcGMcfpZDq3Skhr6Tj8"
WIF = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn"
BIP86_XPUB = (
    "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
)


def test_addresses_are_those_of_bip_86() -> None:
    """The first receiving and change addresses of BIP 86's test vector."""
    found = derive(MAINNET.chain, f"tr([73c5da0a/86'/0'/0']{BIP86_XPUB}/<0;1>/*)", 0, 2)
    assert [a.text for a in found[:3]] == [
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
    ]


def test_a_row_can_be_entered_anywhere() -> None:
    (branch,) = open_branches(REGTEST.chain, f"wpkh({TPUB}/0/*)")
    assert branch.derive(0, 9)[5:] == branch.derive(5, 4)
    assert branch.derive(2**31 - 1, 1) != branch.derive(0, 1)
    for start, count in ((-1, 1), (0, -1), (2**31, 1), (2**31 - 1, 2)):
        with pytest.raises(ValueError, match="index"):
            branch.derive(start, count)


def test_a_descriptor_without_wildcard_has_one_address() -> None:
    (branch,) = open_branches(REGTEST.chain, f"wpkh({TPUB}/0/7)")
    assert not branch.ranged
    assert branch.derive(0, 10) == derive(REGTEST.chain, f"wpkh({TPUB}/0/*)", 7, 1)
    assert branch.derive(1, 3) == ()


REFUSED = [
    (f"wpkh({TPUB}/0/*h)", "hardened"),
    (f"wpkh({TPUB}/0'/*)", "hardened"),
    (f"wpkh({TPUB}/<0h;1h>/*)", "hardened"),
    (f"wpkh({XPRV}/0/*)", "private key"),
    (f"wpkh({WIF})", "private key"),
    (f"wpkh({TPUB}/0/*)#aaaaaaaa", "checksum"),
    (f"wpkh({XPUB}/0/*)", "keys are of this network"),
    (f"wpkh({TPUB[:-1]}9/0/*)", "no output descriptor"),
    (f"tr({TPUB}/<0;1>/*,pk({TPUB}/<2;3;4>/*))", "different numbers"),
    (f"wpkh({TPUB}/<{';'.join(map(str, range(17)))}>/*)", "alternatives"),
    (f"pk({TPUB}/0/*)", "only pkh"),
    (f"combo({TPUB}/0/*)", "only pkh"),
    ("addr(bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202)", "only pkh"),
    (f"wsh(multi(3,{TPUB}/0/*,{TPUB}/1/*))", "no output descriptor"),
    (f"tr({'{' * 41}{TPUB}{'}' * 41})", "nested"),
    ("", "empty"),
    ("wpkh(é)", "characters"),
    ("wpkh(" + "0" * 10_001 + ")", "too long"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_descriptor_to_watch_is_refused_and_not_repeated(text: str, words: str) -> None:
    network = MAINNET if XPRV in text or WIF in text else REGTEST
    with pytest.raises(ValueError, match=words) as caught:
        open_branches(network.chain, text)
    assert not any(key in str(caught.value) for key in (TPUB, XPRV, WIF))


@given(st.text("0123456789abch'*/<>;,(){}[]#@!_tpubwksm", max_size=60), st.integers(0, 120), st.integers(0, 120))
def test_no_text_ends_the_process(piece: str, start: int, end: int) -> None:
    """The library aborts on a hardened wildcard behind a public key, which no `except` can catch."""
    text = f"tr([d34db33f/86h/1h/0h]{TPUB}/<0;1>/*,pk({TPUB}/2/*))"
    try:
        branches = open_branches(TESTNET4.chain, text[:start] + piece + text[end:])
    except ValueError:
        return
    assert all(branch.derive(0, 1) for branch in branches)


# --- the gap ----------------------------------------------------------------------------------------------------------

HOT = Wallet("hot", "hot", REGTEST.chain)
COLD = Wallet("cold", "cold", REGTEST.chain)


def place(index: int) -> Address:
    return Address(b"row" + index.to_bytes(4, "big"), f"row-{index}")


def places(start: int, count: int) -> Sequence[Address]:
    return [place(n) for n in range(start, start + count)]


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 60))
def test_a_gap_is_always_open_and_depends_on_the_highest_use_alone(uses: list[int], gap: int) -> None:
    perimeter = Perimeter(REGTEST.chain)
    perimeter.add_range(HOT, places, gap)
    known = gap
    for index in uses:
        new = perimeter.use([place(index).key])
        if index < known:
            known += len(new)
        else:
            assert new == ()  # a use beyond the gap is a stranger's address, and moves nothing
    reached = max((n for n in uses if place(n).key in perimeter.wallets), default=-1)
    assert known >= perimeter.ranges[0].used + 1 + gap
    assert len(perimeter.wallets) == known
    assert perimeter.ranges[0].used <= reached
    again = Perimeter(REGTEST.chain)
    again.add_range(HOT, places, gap)
    while again.use(place(index).key for index in uses if place(index).key in perimeter.wallets):
        pass
    assert again.ranges[0].used == reached


def test_an_address_named_as_another_wallets_stays_there() -> None:
    perimeter = Perimeter(REGTEST.chain)
    perimeter.add(COLD, [place(3)])
    perimeter.add_range(HOT, places, 5)
    assert perimeter.wallet_of(place(3)) == COLD
    assert perimeter.wallet_of(place(4)) == HOT
    assert [a.text for a in perimeter.use([place(3).key])] == ["row-5", "row-6", "row-7", "row-8"]


def test_the_digest_follows_every_growth() -> None:
    perimeter = Perimeter(REGTEST.chain)
    perimeter.add_range(HOT, places, 5)
    before = perimeter.digest()
    assert perimeter.digest() == before
    perimeter.use([place(0).key])
    assert perimeter.digest() != before


def test_how_far_is_derived_goes_by_half_gaps() -> None:
    row = AddressRange(HOT, places, 1000)
    reach = []
    for row.used in (-1, 0, 499, 500, 999):
        reach.append(row.wanted)
    assert reach == [1000, 1500, 1500, 2000, 2000]
