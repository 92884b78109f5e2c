"""Base58 and base58check, the text of addresses on Bitcoin and TRON: fast, as files of addresses may hold a million."""

from __future__ import annotations

import hashlib
from operator import mul
from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MAX_CHARS: Final = 64
"""Longer than any address; decoding takes time by the square of the length."""
_OTHER: Final = 0xFF
_DIGITS: Final = bytes(ALPHABET.find(chr(n)) % 256 for n in range(256))
"""A table for `bytes.translate` from characters to digits; every other character becomes `_OTHER`."""
_POWERS: Final = tuple(58**n for n in reversed(range(MAX_CHARS)))


def encode(raw: bytes) -> str:
    """The text of `raw`: its leading zero bytes become as many `1`."""
    number = int.from_bytes(raw, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\x00"))) + digits


def decode(text: str) -> bytes:
    """The bytes that `encode` made `text` of. Raises ValueError for another character, or more than `MAX_CHARS`."""
    digits = text.encode("ascii").translate(_DIGITS)
    if _OTHER in digits or len(digits) > MAX_CHARS:
        raise ValueError("not base58")
    number: int = sum(map(mul, digits, _POWERS[-len(digits) :]))
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes(len(text) - len(text.lstrip("1"))) + raw if text[:1] == "1" else raw


def checksum(body: bytes) -> bytes:
    """The four bytes that base58check puts behind `body`: the first of its double SHA-256."""
    return hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
