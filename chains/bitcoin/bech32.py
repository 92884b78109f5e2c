"""Witness programs as text: bech32 (BIP 173, version 0) and bech32m (BIP 350, versions 1 to 16)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {c: i for i, c in enumerate(CHARSET)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32: Final = 1
BECH32M: Final = 0x2BC830A3
MAX_LENGTH: Final = 90

_REMAINDERS: Final = tuple(
    _GENERATORS[0] * (top & 1)
    ^ _GENERATORS[1] * (top >> 1 & 1)
    ^ _GENERATORS[2] * (top >> 2 & 1)
    ^ _GENERATORS[3] * (top >> 3 & 1)
    ^ _GENERATORS[4] * (top >> 4 & 1)
    for top in range(32)
)
"""What the top five bits contribute: one look-up a character, so that a million addresses load in seconds."""


def encode_program(hrp: str, version: int, program: bytes) -> str:
    """The address of a witness program."""
    data = [version, *_regroup(program, 8, 5, pad=True)]
    constant = BECH32M if version else BECH32
    checksum = polymod([*expand(hrp), *data, 0, 0, 0, 0, 0, 0]) ^ constant
    data += [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    return f"{hrp}1{''.join(CHARSET[d] for d in data)}"


def decode_program(text: str) -> tuple[str, int, bytes]:
    """(hrp, version, program) of an address in lower or upper case. Raises ValueError that says what is wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    if text.lower() != text and text.upper() != text:
        raise ValueError("mixes upper and lower case")
    hrp, one, rest = text.lower().rpartition("1")
    if not one or not hrp or len(rest) < 7:
        raise ValueError("too short for a bech32 address")
    data = _values_of(rest)
    remainder = polymod([*expand(hrp), *data])
    if remainder not in (BECH32, BECH32M):
        raise ValueError("checksum is wrong")
    version, program = data[0], bytes(_regroup(data[1:-6], 5, 8, pad=False))
    _check(version, program, remainder)
    return hrp, version, program


def _values_of(text: str) -> list[int]:
    try:
        return [_VALUES[c] for c in text]
    except KeyError as error:
        raise ValueError(f"character {error.args[0]!r} is not in the bech32 alphabet") from None


def _check(version: int, program: bytes, remainder: int) -> None:
    if version > 16:
        raise ValueError(f"witness version {version} is above 16")
    if not 2 <= len(program) <= 40:
        raise ValueError(f"witness program of {len(program)} bytes")
    if version == 0 and len(program) not in (20, 32):
        raise ValueError(f"version 0 program of {len(program)} bytes, not 20 or 32")
    if (remainder == BECH32M) != (version > 0):
        raise ValueError(f"witness version {version} with the checksum of {'bech32' if version else 'bech32m'}")


def expand(hrp: str) -> list[int]:
    """The human-readable part as the checksum takes it (BIP 173)."""
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def polymod(values: Iterable[int], checksum: int = 1) -> int:
    """The remainder of BIP 173 over five-bit values, begun at `checksum`."""
    for value in values:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _REMAINDERS[checksum >> 25]
    return checksum


def _regroup(values: Iterable[int], width_in: int, width_out: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width. Raises ValueError if, unpadded, the rest is not zero or a whole group
    too long.
    """
    accumulator = bits = 0
    groups: list[int] = []
    mask = (1 << width_out) - 1
    for value in values:
        accumulator = (accumulator << width_in | value) & 0xFFFF
        bits += width_in
        while bits >= width_out:
            bits -= width_out
            groups.append(accumulator >> bits & mask)
    rest = accumulator << (width_out - bits) & mask
    if pad and bits:
        groups.append(rest)
    elif not pad and (bits >= width_in or rest):
        raise ValueError("padding is not zero")
    return groups
