"""TRON addresses (base58check, version byte 0x41), and its coin."""

from __future__ import annotations

from chains import base58
from chains.model import Address, Asset, AssetId, ChainId

MAINNET = ChainId("tron", "0x2b6653dc")
"""By CAIP-2 the last four bytes of the genesis hash, which are also what `eth_chainId` answers."""
ADDRESS_VERSION = 0x41
TRX_DECIMALS = 6
"""1 TRX = 1,000,000 sun."""


def native_asset(chain: ChainId) -> Asset:
    """TRX, in sun. Raises ValueError for a chain of another namespace."""
    if chain.namespace != "tron":
        raise ValueError(f"not a TRON chain: {chain}")
    return Asset(AssetId(chain, "slip44", "195"), "TRX", TRX_DECIMALS)


def parse_address(chain: ChainId, text: str) -> Address:
    """Read a base58 address (`T…`, 34 characters). Raises ValueError that says what is wrong."""
    native_asset(chain)
    try:
        raw = base58.decode(text) if len(text) == 34 and text[0] == "T" else b""
    except ValueError:
        raw = b""
    if len(raw) != 25:
        raise ValueError(f"not a TRON address (T and 33 more base58 characters): {text[:80]!r}")
    if raw[0] != ADDRESS_VERSION or base58.checksum(raw[:21]) != raw[21:]:
        raise ValueError(f"checksum of {text} is wrong: a character was mistyped")
    return Address(raw[1:21], text)
