"""EVM accounts as text and as keys. EIP-55 is the text form; the 20 bytes are the identity."""

from __future__ import annotations

import re
from functools import lru_cache

from eth_utils.crypto import keccak

from chains.evm.params import network_of
from chains.model import Address, ChainId

_FORM = re.compile(r"0[xX][0-9a-fA-F]{40}\Z")

ZERO_KEY = bytes(20)
"""The account that nobody holds: what is minted comes from it, what is burnt goes to it."""


def checksum(key: bytes) -> str:
    """EIP-55 text of an account: a hex digit is upper case where the hash of the lower-case text has a digit >= 8."""
    digits = key.hex()
    marks = keccak(text=digits).hex()
    return "0x" + "".join(d.upper() if m >= "8" else d for d, m in zip(digits, marks, strict=False))


@lru_cache(maxsize=65536)
def to_address(key: bytes) -> Address:
    """The address of 20 bytes. Cached: an EIP-55 text costs a Keccak, 20 µs."""
    if len(key) != 20:
        raise ValueError(f"an account has 20 bytes, not {len(key)}")
    return Address(key, checksum(key))


def parse_address(chain: ChainId, text: str) -> Address:
    """Read `0x` and 40 hex digits of an `eip155` chain.

    All lower and all upper case are taken as they are; mixed case is a checksum (EIP-55) and must be right.
    Raises ValueError that says what is wrong.
    """
    network_of(chain)
    if not _FORM.match(text):
        raise ValueError(f"not an EVM address (0x and 40 hex digits): {text[:80]!r}")
    address = to_address(bytes.fromhex(text[2:]))
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and digits != address.text[2:]:
        raise ValueError(f"EIP-55 checksum of {text} is wrong: a digit was mistyped (in lower case it would not show)")
    return address
