"""Addresses from text, a million in a few seconds: the common forms by tables and whole numbers in place of loops over
characters. Whatever is none of them, an error above all, is left to `addresses.parse_address`, whose word is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, reduce
from operator import getitem, mul, xor
from typing import Final

from chains.bitcoin.addresses import parse_address
from chains.bitcoin.bech32 import BECH32, BECH32M, CHARSET, expand, polymod
from chains.bitcoin.params import Network, network_of
from chains.model import Address, ChainId

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_BYTES: Final = 25
_BASE58_CHARS: Final = 36
_POWERS: Final = tuple(58**n for n in reversed(range(_BASE58_CHARS)))
_STRANGE: Final = 0xFF
_CHECKSUM_BITS: Final = 30
_SHORT, _LONG = 39, 59
"""Characters behind the separator: version, a program of 20 or of 32 bytes, checksum."""

Table = tuple[tuple[int, ...], ...]


def _translation(alphabet: str, digits: bytes, strange: int) -> bytes:
    """A table for `bytes.translate` from characters to digits; every other character becomes `strange`."""
    table = bytearray([strange]) * 256
    for character, digit in zip(alphabet.encode(), digits, strict=True):
        table[character] = digit
    return bytes(table)


_TO_BASE32: Final = _translation(CHARSET, b"0123456789abcdefghijklmnopqrstuv", ord("!"))
"""Into the digits of `int(text, 32)`, which takes no exclamation mark."""
_TO_BASE58: Final = _translation(_BASE58, bytes(range(58)), _STRANGE)


@cache
def _checksum_table() -> Table:
    """What each byte of the number that `_LONG` bech32 characters make adds to their checksum, which is linear over
    single bits: one exclusive or a byte, in place of one step a character.
    """
    places = range(8 * -(-5 * _LONG // 8))
    bits = [polymod([1 << place % 5, *[0] * (place // 5)], 0) for place in places]
    rows = [bits[n : n + 8] for n in range(0, len(bits), 8)]
    return tuple(
        tuple(reduce(xor, (bit for n, bit in enumerate(row) if byte >> n & 1), 0) for byte in range(256))
        for row in reversed(rows)
    )


def address_parser(chain: ChainId) -> Callable[[str], Address]:
    """A function that reads addresses of `chain` as `addresses.parse_address` does. Raises ValueError for a chain we
    hold no constants of.
    """
    network = network_of(chain)
    prefix = f"{network.hrp}1"
    forms = {len(prefix) + chars: _program_reader(network, chars) for chars in (_SHORT, _LONG)}

    def parse(text: str) -> Address:
        reader = forms.get(len(text)) if text.startswith(prefix) else None
        try:
            script = reader(text) if reader is not None else _script_of_base58(network, text)
        except (ValueError, OverflowError):
            script = None
        return parse_address(chain, text) if script is None else Address(script, text)

    return parse


def _program_reader(network: Network, chars: int) -> Callable[[str], bytes | None]:
    """Reads the witness program in so many characters behind the separator; None for what is none, or not certain."""
    size = 20 if chars == _SHORT else 32
    width = -(-5 * chars // 8)
    table = _checksum_table()[-width:]
    start = polymod([*expand(network.hrp), *[0] * chars])
    head = len(network.hrp) + 1
    padding = 5 * (chars - 7) - 8 * size
    drop, mask = _CHECKSUM_BITS + padding, (1 << 8 * size) - 1

    def read(text: str) -> bytes | None:
        number = int(text[head:].encode("ascii").translate(_TO_BASE32), 32)
        checksum = reduce(xor, map(getitem, table, number.to_bytes(width, "big")), start)
        version = number >> 5 * (chars - 1)
        if checksum != (BECH32M if version else BECH32) or version > (16 if size == 32 else 0):
            return None
        if number >> _CHECKSUM_BITS & (1 << padding) - 1:
            return None
        opcode = version + 0x50 if version else 0
        return bytes((opcode, size)) + (number >> drop & mask).to_bytes(size, "big")

    return read


def _script_of_base58(network: Network, text: str) -> bytes | None:
    """The script of a base58 address of the network; None for what is none."""
    digits = text.encode("ascii").translate(_TO_BASE58)
    if _STRANGE in digits or len(digits) > _BASE58_CHARS:
        return None
    number: int = sum(map(mul, digits, _POWERS[-len(digits) :]))
    body = number.to_bytes(_BASE58_BYTES, "big")
    if len(text) - len(text.lstrip("1")) != _BASE58_BYTES - len(body.lstrip(b"\x00")):
        return None
    if hashlib.sha256(hashlib.sha256(body[:21]).digest()).digest()[:4] != body[21:]:
        return None
    version, payload = body[0], body[1:21]
    if version == network.pubkey_hash:
        return b"\x76\xa9\x14" + payload + b"\x88\xac"
    return b"\xa9\x14" + payload + b"\x87" if version == network.script_hash else None
