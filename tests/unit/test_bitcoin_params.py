"""The constants: each genesis hash is recomputed from the fields of its header."""

from __future__ import annotations

import pytest

from chains.bitcoin.blocks import HEADER_BYTES, parse_header
from chains.bitcoin.params import MAINNET, NETWORKS, REGTEST, SIGNET, TESTNET3, TESTNET4, Network, network_of
from chains.model import ChainId
from chains.registry import native_asset

_ROOT = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
_ROOT_4 = "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e"


@pytest.mark.parametrize(
    ("network", "root", "time", "bits", "nonce"),
    [
        (MAINNET, _ROOT, 1231006505, 0x1D00FFFF, 2083236893),
        (TESTNET3, _ROOT, 1296688602, 0x1D00FFFF, 414098458),
        (TESTNET4, _ROOT_4, 1714777860, 0x1D00FFFF, 393743547),
        (SIGNET, _ROOT, 1598918400, 0x1E0377AE, 52613770),
        (REGTEST, _ROOT, 1296688602, 0x207FFFFF, 2),
    ],
    ids=lambda value: value.name if isinstance(value, Network) else "",
)
def test_the_genesis_hash_is_that_of_its_header(network: Network, root: str, time: int, bits: int, nonce: int) -> None:
    numbers = b"".join(n.to_bytes(4, "little") for n in (time, bits, nonce))
    header = (1).to_bytes(4, "little") + bytes(32) + bytes.fromhex(root)[::-1] + numbers
    assert len(header) == HEADER_BYTES
    assert parse_header(header).hash == network.genesis


def test_every_network_is_found_by_its_caip2_id() -> None:
    assert network_of(ChainId.parse("bip122:000000000019d6689c085ae165831e93")) is MAINNET
    assert network_of(ChainId.parse("bip122:0f9188f13cb7b2c71f2a335e3a4fc328")) is REGTEST
    assert len(NETWORKS) == 5


def test_bitcoin_is_coin_zero_with_eight_decimals_everywhere() -> None:
    for chain in NETWORKS:
        asset = native_asset(chain)
        assert (str(asset.id), asset.symbol, asset.decimals) == (f"{chain}/slip44:0", "BTC", 8)


def test_an_unknown_network_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ValueError, match="mainnet"):
        native_asset(ChainId("bip122", "12a765e31ffd4059bada1e25190f6e98"))
