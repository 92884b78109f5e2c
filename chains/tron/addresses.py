"""TRON accounts: base58check of the byte 0x41 and the 20 bytes that the virtual machine knows."""

from __future__ import annotations

import hashlib

from chains.model import Address, ChainId
from chains.tron.params import ADDRESS_VERSION, native_asset

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def parse_address(chain: ChainId, text: str) -> Address:
    """Read a base58 address (`T…`, 34 characters). Raises ValueError that says what is wrong."""
    native_asset(chain)
    if len(text) != 34 or text[0] != "T" or any(c not in _DIGITS for c in text):
        raise ValueError(f"not a TRON address (T and 33 more base58 characters): {text[:80]!r}")
    number = 0
    for character in text:
        number = 58 * number + _DIGITS.index(character)
    if number >= 2**200:
        raise ValueError(f"not a TRON address: {text} is too large")
    raw = number.to_bytes(25, "big")
    if raw[0] != ADDRESS_VERSION or _checksum(raw[:21]) != raw[21:]:
        raise ValueError(f"checksum of {text} is wrong: a character was mistyped")
    return Address(raw[1:21], text)


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
