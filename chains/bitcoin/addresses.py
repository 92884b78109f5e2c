"""Bitcoin addresses: base58check, bech32 and bech32m (BIP 173, BIP 350), and scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache, reduce
from operator import getitem, xor
from typing import Final

from chains.base58 import MAX_CHARS, checksum, decode, encode
from chains.bitcoin.params import NETWORKS, Network, network_of
from chains.model import Address, ChainId

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


SCRIPT_PREFIX: Final = "script:"
MAX_TEXT: Final = 20_100
"""A script of 10,000 bytes (the consensus limit) in hexadecimal, and a little."""
_MAX_REMEMBERED = 42

_P2PKH_HEAD, _P2PKH_TAIL = b"\x76\xa9\x14", b"\x88\xac"
_P2SH_HEAD, _P2SH_TAIL = b"\xa9\x14", b"\x87"


def address_of(network: Network, script: bytes) -> Address:
    """The address of a scriptPubKey: base58 for P2PKH and P2SH, bech32 or bech32m for witness programs, and for all
    others (P2PK, bare multisig, OP_RETURN, non-standard) `script:` + hex.
    """
    if len(script) <= _MAX_REMEMBERED:
        return _remembered(network, script)
    return Address(script, _text_of(network, script))


@lru_cache(maxsize=1 << 16)
def _remembered(network: Network, script: bytes) -> Address:
    """Scripts come again (change, payees): 8 us each are saved, for about 20 MB."""
    return Address(script, _text_of(network, script))


def _text_of(network: Network, script: bytes) -> str:
    size = len(script)
    if size == 25 and script[:3] == _P2PKH_HEAD and script[23:] == _P2PKH_TAIL:
        return base58check(network.pubkey_hash, script[3:23])
    if size == 23 and script[:2] == _P2SH_HEAD and script[22:] == _P2SH_TAIL:
        return base58check(network.script_hash, script[2:22])
    program = witness_program(script)
    if program is not None and (program[0] or len(program[1]) in (20, 32)):
        return encode_program(network.hrp, *program)
    return SCRIPT_PREFIX + script.hex()


def witness_program(script: bytes) -> tuple[int, bytes] | None:
    """(version, program) if the script is a witness program (BIP 141), else None."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] == 0:
        return 0, script[2:]
    return (script[0] - 0x50, script[2:]) if 0x51 <= script[0] <= 0x60 else None


def base58check(version: int, payload: bytes) -> str:
    """Version byte, payload and four bytes of checksum in base58."""
    body = bytes([version]) + payload
    return encode(body + checksum(body))


def parse_address(chain: ChainId, text: str) -> Address:
    """Read an address of `chain`. Raises ValueError that says what is wrong: network, checksum, length or alphabet.

    Bech32 is taken in either case; `script:` + hex names a script that has no address.
    """
    network = network_of(chain)
    text = text.strip()
    try:
        return address_of(network, _script_of(network, text))
    except ValueError as error:
        raise ValueError(f"no {network.name} address: {text[:100]!r}: {error}") from None


def _script_of(network: Network, text: str) -> bytes:
    if not text or len(text) > MAX_TEXT:
        raise ValueError("empty" if not text else "too long")
    if text.startswith(SCRIPT_PREFIX):
        return bytes.fromhex(text.removeprefix(SCRIPT_PREFIX))
    hrp = text.lower().rpartition("1")[0]
    if hrp in {n.hrp for n in NETWORKS.values()}:
        return _script_of_bech32(network, text)
    return _script_of_base58(network, text)


def _script_of_bech32(network: Network, text: str) -> bytes:
    hrp, version, program = decode_program(text)
    if hrp != network.hrp:
        raise ValueError(f"an address of {_names('hrp', hrp)}")
    return bytes([version + 0x50 if version else 0, len(program)]) + program


def _script_of_base58(network: Network, text: str) -> bytes:
    if len(text) > MAX_CHARS:
        raise ValueError("too long for base58")
    try:
        raw = decode(text)
    except ValueError:
        raise ValueError("neither bech32 of a known network nor base58") from None
    if len(raw) < 5 or checksum(raw[:-4]) != raw[-4:]:
        raise ValueError("checksum is wrong")
    version, payload = raw[0], raw[1:-4]
    if len(payload) != 20:
        raise ValueError(f"a hash of {len(payload)} bytes, not 20")
    if version == network.pubkey_hash:
        return _P2PKH_HEAD + payload + _P2PKH_TAIL
    if version == network.script_hash:
        return _P2SH_HEAD + payload + _P2SH_TAIL
    owners = _names("pubkey_hash", version) or _names("script_hash", version)
    raise ValueError(f"an address of {owners}" if owners else f"version byte {version} is of no known network")


def _names(attribute: str, value: object) -> str:
    return ", ".join(n.name for n in NETWORKS.values() if getattr(n, attribute) == value)


_BASE58_BYTES: Final = 25
_CHECKSUM_BITS: Final = 30
_SHORT, _LONG = 39, 59
"""Characters behind the separator: version, a program of 20 or of 32 bytes, checksum."""

Table = tuple[tuple[int, ...], ...]


_BASE32: Final = dict(zip(CHARSET.encode(), b"0123456789abcdefghijklmnopqrstuv", strict=True))
_TO_BASE32: Final = bytes(_BASE32.get(n, ord("!")) for n in range(256))
"""A table for `bytes.translate` into the digits of `int(text, 32)`, which takes no exclamation mark."""


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
            script = reader(text) if reader is not None else _key_of_base58(network, text)
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
        found = reduce(xor, map(getitem, table, number.to_bytes(width, "big")), start)
        version = number >> 5 * (chars - 1)
        if found != (BECH32M if version else BECH32) or version > (16 if size == 32 else 0):
            return None
        if number >> _CHECKSUM_BITS & (1 << padding) - 1:
            return None
        opcode = version + 0x50 if version else 0
        return bytes((opcode, size)) + (number >> drop & mask).to_bytes(size, "big")

    return read


def _key_of_base58(network: Network, text: str) -> bytes | None:
    """The script of a base58 address of the network; None for what is none."""
    body = decode(text)
    if len(body) != _BASE58_BYTES or checksum(body[:21]) != body[21:]:
        return None
    version, payload = body[0], body[1:21]
    if version == network.pubkey_hash:
        return _P2PKH_HEAD + payload + _P2PKH_TAIL
    return _P2SH_HEAD + payload + _P2SH_TAIL if version == network.script_hash else None
