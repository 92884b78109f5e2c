"""Addresses (EIP-55), and the checked reading of JSON fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

from eth_utils.crypto import keccak

from chains.errors import LyingNode
from chains.evm.params import network_of
from chains.model import Address, ChainId
from chains.rpc.jsonrpc import Json

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


Fields = Mapping[str, Json]


def lie(where: str, what: str) -> LyingNode:
    """The error for a field that cannot be true."""
    return LyingNode(f"{where} {what}")


def fields_of(value: Json, where: str) -> Fields:
    """`value` as an object."""
    if not isinstance(value, dict):
        raise lie(where, f"is {type(value).__name__}, not an object")
    return value


def items_of(value: Json, where: str, limit: int) -> list[Json]:
    """`value` as a list of at most `limit` items."""
    if not isinstance(value, list):
        raise lie(where, f"is {type(value).__name__}, not a list")
    if len(value) > limit:
        raise lie(where, f"has {len(value)} items, more than {limit}")
    return value


def quantity_of(value: Json, where: str, key: str = "") -> int:
    """A hex quantity, 0 to 2**256-1. `where` and `key` name it, and are only put together for an error."""
    # isalnum refuses what int() would take beside digits: sign, underscore, space.
    if isinstance(value, str) and value[:2] == "0x" and len(value) <= 66 and value.isascii() and value.isalnum():
        with suppress(ValueError):
            return int(value, 16)
    raise lie(_name(where, key), f"is no quantity: {value!r:.40}")


def _name(where: str, key: str) -> str:
    return f"{where}.{key}" if key else where


def quantity(fields: Fields, key: str, where: str) -> int:
    """The quantity `key`, which must be there."""
    return quantity_of(fields.get(key), where, key)


def quantity_or(fields: Fields, key: str, where: str, default: int) -> int:
    """The quantity `key`, `default` where it is absent or null."""
    value = fields.get(key)
    return default if value is None else quantity_of(value, where, key)


def count(fields: Fields, key: str, where: str) -> int:
    """A small number written as a quantity or, as trace modules do, as a JSON integer."""
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    return quantity_of(value, where, key)


def data_of(value: Json, where: str, size: int | None = None, key: str = "") -> bytes:
    """Hex data, of exactly `size` bytes where that is given."""
    if isinstance(value, str) and value[:2] == "0x":
        with suppress(ValueError):
            raw = bytes.fromhex(value[2:])
            # fromhex skips spaces
            if 2 * len(raw) + 2 == len(value) and size in (None, len(raw)):
                return raw
    wanted = "hex data" if size is None else f"hex data of {size} bytes"
    raise lie(_name(where, key), f"is no {wanted}: {value!r:.40}")


def data(fields: Fields, key: str, where: str, size: int | None = None) -> bytes:
    """The hex data `key`, which must be there."""
    return data_of(fields.get(key), where, size, key)


def account(fields: Fields, key: str, where: str) -> bytes:
    """The 20-byte account `key`."""
    return data_of(fields.get(key), where, 20, key)


def account_or_none(fields: Fields, key: str, where: str) -> bytes | None:
    """The 20-byte account `key`, None where it is null or absent (`to` of a contract creation)."""
    value = fields.get(key)
    return None if value is None else data_of(value, where, 20, key)


def hash32(fields: Fields, key: str, where: str) -> bytes:
    """The 32-byte hash `key`."""
    return data_of(fields.get(key), where, 32, key)
