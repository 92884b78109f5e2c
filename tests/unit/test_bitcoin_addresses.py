"""Addresses of every kind, against the vectors of BIP 173 and BIP 350 and well-known mainnet scripts."""

from __future__ import annotations

import bitcoin.base58 as codec
import pytest

from chains.bitcoin.addresses import address_of, decode_program, encode_program, parse_address
from chains.bitcoin.blocks import double_sha256
from chains.bitcoin.params import MAINNET, REGTEST, SIGNET, TESTNET3, TESTNET4, Network

KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
GENESIS_KEY = bytes.fromhex(
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)

SCRIPTS: list[tuple[str, Network, str, str]] = [
    ("p2pkh", MAINNET, "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("p2pkh of zeros", MAINNET, "76a914" + "00" * 20 + "88ac", "1111111111111111111114oLvT2"),
    ("p2sh", MAINNET, "a914f815b036d9bbbce5e9f2a00abd1bf3dc91e9551087", "3QJmV3qfvL9SuYo34YihAf3sRCW3qSinyC"),
    ("p2pkh", TESTNET3, "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"),
    ("p2wpkh", MAINNET, "0014751e76e8199196d454941c45d1b3a323f1433bd6", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    (
        "p2wsh",
        TESTNET4,
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
    ),
    (
        "p2tr",
        MAINNET,
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ),
    ("anchor", MAINNET, "51024e73", "bc1pfeessrawgf"),
    ("p2wpkh", REGTEST, "0014" + "00" * 20, "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202"),
    ("witness 16", MAINNET, "6002751e", "bc1sw50qgdz25j"),
]
TEXTLESS = {
    "p2pk compressed": b"\x21" + KEY + b"\xac",
    "p2pk uncompressed": b"\x41" + GENESIS_KEY + b"\xac",
    "bare multisig": b"\x51\x21" + KEY + b"\x21" + KEY + b"\x52\xae",
    "op_return": bytes.fromhex("6a0568656c6c6f"),
    "empty": b"",
    "witness 0 of odd length": bytes([0, 3, 1, 2, 3]),
    "almost p2pkh": bytes.fromhex("76a914" + "11" * 20 + "88ad"),
    "almost p2sh": bytes.fromhex("a914" + "11" * 20 + "88"),
}


@pytest.mark.parametrize(("_kind", "network", "script", "text"), SCRIPTS, ids=[f"{s[0]}-{s[1].name}" for s in SCRIPTS])
def test_script_and_text_are_two_faces_of_one_address(_kind: str, network: Network, script: str, text: str) -> None:
    address = address_of(network, bytes.fromhex(script))
    assert address.text == text
    assert parse_address(network.chain, text).key == bytes.fromhex(script)


@pytest.mark.parametrize("script", [s for s in TEXTLESS.values() if s], ids=[k for k, s in TEXTLESS.items() if s])
def test_a_script_without_address_is_named_by_its_bytes(script: bytes) -> None:
    address = address_of(MAINNET, script)
    assert address.text == "script:" + script.hex()
    assert parse_address(MAINNET.chain, address.text) == address


def test_the_empty_script_has_a_text_too() -> None:
    assert address_of(MAINNET, b"").text == "script:"


def test_a_standard_script_given_by_bytes_gets_its_usual_text() -> None:
    text = "script:76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"
    assert parse_address(MAINNET.chain, text).text == "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"


def test_bech32_in_upper_case_is_the_same_address() -> None:
    lower = parse_address(MAINNET.chain, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    upper = parse_address(MAINNET.chain, " BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4\n")
    assert upper == lower
    assert upper.text == lower.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum"),
        ("1a1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "checksum"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "testnet3, testnet4, signet"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "testnet3, testnet4, signet, regtest"),
        ("2N2JD6wb56AfK4tfmM6PwdVmoYk2dCKf4Br", "testnet3"),
        ("bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "upper and lower"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", "alphabet"),
        ("LdP8Qox1VAhCzLJNqrr74YovaWYyNBUWvL", "version byte 48"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "neither bech32"),
        ("1A1zP1", "checksum"),
        ("", "empty"),
        ("script:zz", "non-hexadecimal"),
        ("1" * 70, "too long"),
        ("script:" + "00" * 20_000, "too long"),
        ("bc1" + "q" * 100, "longer than 90"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_address(MAINNET.chain, text)
    assert len(str(caught.value)) < 400


def test_a_base58_payload_of_another_length_is_refused() -> None:
    body = b"\x00" + b"\x11" * 32
    text = codec.encode(body + double_sha256(body)[:4])
    with pytest.raises(ValueError, match="32 bytes, not 20"):
        parse_address(MAINNET.chain, text)


BIP350_VALID = {
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7": (
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"
    ),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": (
        "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"
    ),
    "BC1SW50QGDZ25J": "6002751e",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": "5210751e76e8199196d454941c45d1b3a323",
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": (
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    ),
}
BIP350_INVALID = [
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
    "bc1gmk9yu",
]


@pytest.mark.parametrize(("text", "script"), BIP350_VALID.items())
def test_bip350_valid_addresses(text: str, script: str) -> None:
    hrp, version, program = decode_program(text)
    assert bytes([version + 0x50 if version else 0, len(program)]) + program == bytes.fromhex(script)
    assert encode_program(hrp, version, program) == text.lower()


@pytest.mark.parametrize("text", BIP350_INVALID)
def test_bip350_invalid_addresses(text: str) -> None:
    for network in (MAINNET, SIGNET):
        with pytest.raises(ValueError, match=r"."):
            parse_address(network.chain, text)
