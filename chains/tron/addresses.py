"""TRON accounts: base58check of the byte 0x41 and the 20 bytes that the virtual machine knows."""

from __future__ import annotations

from chains import base58
from chains.model import Address, ChainId
from chains.tron.params import ADDRESS_VERSION, native_asset


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
