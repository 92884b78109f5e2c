"""Reading a node's JSON as if an attacker had written it: every field by name, size and shape, or LyingNode.

Quantities are `0x` and at most 64 hex digits (32 bytes), data is `0x` and whole bytes (the node's own JSON-RPC
specification; leading zeros of quantities are tolerated, some nodes write them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chains.errors import LyingNode
from chains.rpc.transport import Json

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")

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


def quantity_of(value: Json, where: str) -> int:
    """A hex quantity, 0 to 2**256-1."""
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise lie(where, f"is no quantity: {value!r:.40}")
    return int(value, 16)


def quantity(fields: Fields, key: str, where: str) -> int:
    """The quantity `key`, which must be there."""
    return quantity_of(fields.get(key), f"{where}.{key}")


def quantity_or(fields: Fields, key: str, where: str, default: int) -> int:
    """The quantity `key`, `default` where it is absent or null."""
    value = fields.get(key)
    return default if value is None else quantity_of(value, f"{where}.{key}")


def count(fields: Fields, key: str, where: str) -> int:
    """A small number written as a quantity or, as trace modules do, as a JSON integer."""
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    return quantity_of(value, f"{where}.{key}")


def data_of(value: Json, where: str, size: int | None = None) -> bytes:
    """Hex data, of exactly `size` bytes where that is given."""
    if not isinstance(value, str) or not _DATA.match(value):
        raise lie(where, f"is no hex data: {value!r:.40}")
    raw = bytes.fromhex(value[2:])
    if size is not None and len(raw) != size:
        raise lie(where, f"has {len(raw)} bytes instead of {size}")
    return raw


def data(fields: Fields, key: str, where: str, size: int | None = None) -> bytes:
    """The hex data `key`, which must be there."""
    return data_of(fields.get(key), f"{where}.{key}", size)


def account(fields: Fields, key: str, where: str) -> bytes:
    """The 20-byte account `key`."""
    return data(fields, key, where, 20)


def account_or_none(fields: Fields, key: str, where: str) -> bytes | None:
    """The 20-byte account `key`, None where it is null or absent (`to` of a contract creation)."""
    return None if fields.get(key) is None else account(fields, key, where)


def hash32(fields: Fields, key: str, where: str) -> bytes:
    """The 32-byte hash `key`."""
    return data(fields, key, where, 32)
