"""EVM transactions as they travel or are to be signed: RLP (EIP-155, 2718, 2930, 1559, 7702) to a node's own fields.

The fields are then read by the code that reads a node's answers, so that both are understood alike.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rlp
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

from chains.evm.envelopes import rlp_encode
from chains.evm.fields import Fields
from chains.evm.safe import recover_account
from chains.unsigned_transactions import NotATransaction

MAX_RAW: Final = 1024 * 1024
"""Nodes take transactions of up to 128 kB; blobs travel beside them."""

_LEGACY: Final = ("nonce", "gasPrice", "gas", "to", "value", "input")
_FEE_MARKET: Final = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input")
_TYPED: Final = {
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: (*_FEE_MARKET, "accessList"),
    4: (*_FEE_MARKET, "accessList", "authorizationList"),
}
_AUTHORIZATION: Final = ("chainId", "address", "nonce", "yParity", "r", "s")
_HIGHEST_TYPE: Final = 0x7F

Shape = Callable[[Any, str], Any]
"""Makes a field's JSON of an RLP item and the field's name."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """`fields` as a node would show them, `hash` that of the signed transaction and empty before, `sender` who signed.

    `digest` is what is signed. `chain_number` None: it names no chain, and is good on every one (before EIP-155).
    """

    fields: Fields
    digest: bytes
    chain_number: int | None
    sender: bytes | None = None
    hash: bytes = b""


def read_raw(content: bytes) -> SignedTransaction:
    """Read a transaction: binary or hexadecimal, signed or not. Raises NotATransaction."""
    raw = _binary(content)
    kind, payload = (raw[0], raw[1:]) if raw[0] <= _HIGHEST_TYPE else (0, raw)
    items = _items(payload)
    if kind == 0:
        return _legacy(items, raw)
    if kind not in _TYPED:
        raise NotATransaction(f"a transaction of type {kind}; 0, 1, 2 and 4 are understood")
    return _typed(kind, items, raw)


def _binary(content: bytes) -> bytes:
    if len(content) > 2 * MAX_RAW + 2:
        raise NotATransaction(f"a transaction of more than {MAX_RAW} bytes is not read")
    text = b"".join(content.split())
    text = text[2:] if text[:2] in (b"0x", b"0X") else text
    try:
        raw = binascii.unhexlify(text)
    except binascii.Error:
        raw = content
    if not raw:
        raise NotATransaction("nothing to read")
    return raw


def _items(payload: bytes) -> list[Any]:
    try:
        items: Any = rlp.decode(payload, strict=True)
    except (RLPException, RecursionError, TypeError) as error:
        raise NotATransaction(f"no transaction: its RLP cannot be read ({type(error).__name__})") from None
    if not isinstance(items, list) or rlp_encode(items) != payload:
        raise NotATransaction("no transaction: its RLP is no list, or not in its one canonical form")
    return items


def _legacy(items: list[Any], raw: bytes) -> SignedTransaction:
    fields = _named(_LEGACY, items[:6], 0)
    if len(items) == 6:
        return SignedTransaction(fields, keccak(raw), None)
    if len(items) != 9:
        raise NotATransaction(f"a legacy transaction has 6 or 9 fields, not {len(items)}")
    v, r, s = (_number(item, name) for item, name in zip(items[6:], "vrs", strict=True))
    if r == s == 0:
        return SignedTransaction(fields, keccak(raw), v)
    number = (v - 35) // 2 if v >= 35 else None
    unsigned = items[:6] if number is None else [*items[:6], number, 0, 0]
    parity = v - 27 if number is None else (v - 35) % 2
    return _signed(fields, keccak(rlp_encode(unsigned)), number, (parity, r, s), raw)


def _typed(kind: int, items: list[Any], raw: bytes) -> SignedTransaction:
    names = _TYPED[kind]
    fields = _named(names, items[: len(names)], kind)
    number = _number(items[0], "chainId")
    digest = keccak(bytes((kind,)) + rlp_encode(items[: len(names)]))
    if len(items) == len(names):
        return SignedTransaction(fields, digest, number)
    if len(items) != len(names) + 3:
        raise NotATransaction(
            f"a transaction of type {kind} has {len(names)} fields, or {len(names) + 3} if it is signed"
        )
    parity, r, s = (_number(item, name) for item, name in zip(items[-3:], ("yParity", "r", "s"), strict=True))
    return _signed(fields, digest, number, (parity, r, s), raw)


def _signed(
    fields: Fields, digest: bytes, number: int | None, signature: tuple[int, int, int], raw: bytes
) -> SignedTransaction:
    parity, r, s = signature
    sender = recover_account(digest, parity, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
    if sender is None:
        raise NotATransaction("its signature is none")
    return SignedTransaction(fields, digest, number, sender, keccak(raw))


def _named(names: Sequence[str], items: Sequence[Any], kind: int) -> dict[str, Any]:
    """The fields by name, as JSON-RPC writes them."""
    if len(items) != len(names):
        raise NotATransaction(f"a transaction of type {kind} has at least {len(names)} fields, not {len(items)}")
    return {"type": hex(kind)} | {name: _shape(name)(item, name) for name, item in zip(names, items, strict=True)}


def _shape(name: str) -> Shape:
    return _SHAPES.get(name, _quantity)


def _bytes(item: Any, name: str) -> bytes:
    if not isinstance(item, bytes):
        raise NotATransaction(f"{name} is a list")
    return item


def _number(item: Any, name: str) -> int:
    raw = _bytes(item, name)
    if len(raw) > 32 or raw[:1] == b"\0":
        raise NotATransaction(f"{name} is no number of at most 32 bytes without leading zeros")
    return int.from_bytes(raw, "big")


def _quantity(item: Any, name: str) -> str:
    return hex(_number(item, name))


def _data(item: Any, name: str) -> str:
    return "0x" + _bytes(item, name).hex()


def _receiver(item: Any, name: str) -> str | None:
    return _data(item, name) if item != b"" else None


def _rows(item: Any, name: str, width: int) -> list[list[Any]]:
    if not isinstance(item, list) or not all(isinstance(row, list) and len(row) == width for row in item):
        raise NotATransaction(f"{name} is no list of {width} fields each")
    return item


def _access_list(item: Any, name: str) -> list[dict[str, Any]]:
    rows = _rows(item, name, 2)
    if not all(isinstance(keys, list) for _, keys in rows):
        raise NotATransaction(f"{name} holds no lists of keys")
    return [{"address": _data(a, name), "storageKeys": [_data(key, name) for key in keys]} for a, keys in rows]


def _authorizations(item: Any, name: str) -> list[dict[str, Any]]:
    rows = _rows(item, name, len(_AUTHORIZATION))
    return [{part: _shape(part)(value, part) for part, value in zip(_AUTHORIZATION, row, strict=True)} for row in rows]


_SHAPES: Final[dict[str, Shape]] = {
    "to": _receiver,
    "address": _data,
    "input": _data,
    "accessList": _access_list,
    "authorizationList": _authorizations,
}
