"""Partially signed transactions as they stand in the bytes: BIP 174 (version 0) and BIP 370 (version 2).

Read here because the library that derives our addresses reads version 0 only. Every length is held against what is
left, a key that stands twice is refused, and nothing may follow the last map.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chains.bitcoin.blocks import compact_size
from chains.bitcoin.decode import RawTransaction, parse_transaction, write_compact_size
from chains.errors import LyingNode
from chains.family import MAX_BYTES, NotATransaction
from chains.model import Outpoint

MAGIC: Final = b"psbt\xff"
MAX_MAPS: Final = 100_000

_UNSIGNED_TX, _TX_VERSION, _FALLBACK_LOCKTIME = b"\x00", b"\x02", b"\x03"
_INPUT_COUNT, _OUTPUT_COUNT, _TX_MODIFIABLE, _VERSION = b"\x04", b"\x05", b"\x06", b"\xfb"
_NON_WITNESS_UTXO, _WITNESS_UTXO, _SIGHASH, _TAP_KEY_SIG = b"\x00", b"\x01", b"\x03", b"\x13"
_REDEEM_SCRIPT, _WITNESS_SCRIPT = b"\x04", b"\x05"
_PARTIAL_SIG, _TAP_SCRIPT_SIG = 0x02, 0x14
_PREVIOUS_TXID, _SPENT_INDEX, _SEQUENCE = b"\x0e", b"\x0f", b"\x10"
_TIME_LOCKTIME, _HEIGHT_LOCKTIME = b"\x11", b"\x12"
_AMOUNT, _SCRIPT = b"\x03", b"\x04"
_DEFAULT_SIGHASH: Final = 0
_SCHNORR_BYTES: Final = 64

Pairs = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class PsbtInput:
    """What the file says about one input: its key-value pairs, read when asked for."""

    outpoint: Outpoint
    pairs: Pairs

    def previous(self) -> RawTransaction | None:
        """The whole transaction it spends from (`non_witness_utxo`), if it is there. Raises NotATransaction."""
        raw = self.pairs.get(_NON_WITNESS_UTXO)
        return None if raw is None else _transaction(raw, "non_witness_utxo")

    def witness_utxo(self) -> tuple[int, bytes] | None:
        """(satoshi, script) that the file claims it spends, if it does. Raises NotATransaction."""
        raw = self.pairs.get(_WITNESS_UTXO)
        if raw is None:
            return None
        reader = _Reader(raw)
        try:
            value, script = int.from_bytes(reader.take(8), "little"), reader.sized()
        except IndexError:
            raise NotATransaction("a witness_utxo of the PSBT is cut short") from None
        reader.end("witness_utxo")
        return value, script

    @property
    def redeem_script(self) -> bytes:
        """Empty if it has none."""
        return self.pairs.get(_REDEEM_SCRIPT, b"")

    @property
    def witness_script(self) -> bytes:
        """Empty if it has none."""
        return self.pairs.get(_WITNESS_SCRIPT, b"")

    def sighash_types(self) -> frozenset[int]:
        """The types it asks to be signed with, and those of the signatures it holds already."""
        asked = self.pairs.get(_SIGHASH)
        found = set() if asked is None else {int.from_bytes(asked, "little")}
        found |= {value[-1] for key, value in self.pairs.items() if key[0] == _PARTIAL_SIG and value}
        schnorr = [value for key, value in self.pairs.items() if key == _TAP_KEY_SIG or key[0] == _TAP_SCRIPT_SIG]
        found |= {value[-1] if len(value) > _SCHNORR_BYTES else _DEFAULT_SIGHASH for value in schnorr}
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Psbt:
    """`unsigned` is the transaction without scripts and witnesses. `open_parts`: by its own word (BIP 370) inputs or
    outputs may still be added.
    """

    version: int
    unsigned: RawTransaction
    inputs: tuple[PsbtInput, ...]
    open_parts: tuple[str, ...]


def read_psbt(content: bytes) -> Psbt:
    """Read a PSBT: binary, base64 or hexadecimal. Raises NotATransaction that says what is wrong."""
    raw = _binary(content)
    try:
        return _read(raw)
    except IndexError:
        raise NotATransaction("the PSBT is cut short") from None


def _binary(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise NotATransaction(f"a PSBT of more than {MAX_BYTES} bytes is not read")
    if content.startswith(MAGIC):
        return content
    text = b"".join(content.split())
    try:
        raw = (
            binascii.unhexlify(text)
            if text[:10].lower() == MAGIC.hex().encode()
            else base64.b64decode(text, None, True)
        )
    except (binascii.Error, ValueError):
        raise NotATransaction("neither a binary PSBT nor one in base64 or hexadecimal") from None
    if not raw.startswith(MAGIC):
        raise NotATransaction("no PSBT: its magic bytes are missing")
    return raw


class _Reader:
    """Takes bytes from the front. Raises IndexError where there are too few."""

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self.raw, self.at = raw, at

    def take(self, size: int) -> bytes:
        if size > len(self.raw) - self.at:
            raise IndexError(self.at)
        self.at += size
        return self.raw[self.at - size : self.at]

    def sized(self) -> bytes:
        """Bytes behind their length."""
        size, self.at = compact_size(self.raw, self.at)
        return self.take(size)

    def pairs(self) -> dict[bytes, bytes]:
        """One map: keys with their type in front."""
        found: dict[bytes, bytes] = {}
        while key := self.sized():
            if key in found:
                raise NotATransaction(f"the key {key.hex()[:80]} stands twice in one map of the PSBT")
            found[key] = self.sized()
        return found

    def end(self, what: str) -> None:
        if self.at != len(self.raw):
            raise NotATransaction(f"{len(self.raw) - self.at} bytes follow the end of the {what}")


def _read(raw: bytes) -> Psbt:
    reader = _Reader(raw, len(MAGIC))
    pairs = reader.pairs()
    version = _number(pairs, _VERSION, 4, 0)
    if version == 0:
        unsigned = _unsigned(pairs)
        counts = len(unsigned.inputs), len(unsigned.outputs)
    elif version == 2:
        counts = _count(pairs, _INPUT_COUNT), _count(pairs, _OUTPUT_COUNT)
    else:
        raise NotATransaction(f"a PSBT of version {version}; 0 (BIP 174) and 2 (BIP 370) are known")
    maps = [reader.pairs() for _ in range(sum(counts))]
    reader.end("PSBT")
    inputs, outputs = maps[: counts[0]], maps[counts[0] :]
    if version == 2:
        unsigned = _assemble(pairs, inputs, outputs)
    spent = [i.outpoint for i in unsigned.inputs]
    if len(set(spent)) != len(spent):
        raise NotATransaction("two inputs spend the same output")
    rows = tuple(PsbtInput(outpoint, row) for outpoint, row in zip(spent, inputs, strict=True))
    flags = _number(pairs, _TX_MODIFIABLE, 1, 0) if version == 2 else 0
    may_change = tuple(name for bit, name in ((1, "inputs"), (2, "outputs")) if flags & bit)
    return Psbt(version, unsigned, rows, may_change)


def _unsigned(pairs: Pairs) -> RawTransaction:
    if _UNSIGNED_TX not in pairs:
        raise NotATransaction("the PSBT holds no transaction")
    unsigned = _transaction(pairs[_UNSIGNED_TX], "unsigned transaction")
    if any(i.script or i.witness for i in unsigned.inputs):
        raise NotATransaction("the PSBT's unsigned transaction is signed")
    return unsigned


def _transaction(raw: bytes, what: str) -> RawTransaction:
    try:
        return parse_transaction(raw)
    except (LyingNode, IndexError) as error:
        raise NotATransaction(f"the PSBT's {what}: {error}") from None


def _count(pairs: Pairs, key: bytes) -> int:
    if key not in pairs:
        raise NotATransaction("the PSBT does not say how many inputs and outputs it has")
    reader = _Reader(pairs[key])
    count, reader.at = compact_size(reader.raw + b"\0", 0)  # the count is the whole value; its reader wants one more
    reader.end("count of the PSBT")
    if not 0 < count <= MAX_MAPS:
        raise NotATransaction(f"a PSBT with {count} inputs or outputs")
    return count


def _number(pairs: Pairs, key: bytes, size: int, default: int | None = None) -> int:
    value = pairs.get(key)
    if value is None and default is not None:
        return default
    if value is None or len(value) != size:
        raise NotATransaction(f"the PSBT's field {key.hex()} is missing or has no {size} bytes")
    return int.from_bytes(value, "little")


def _assemble(pairs: Pairs, inputs: list[dict[bytes, bytes]], outputs: list[dict[bytes, bytes]]) -> RawTransaction:
    """The transaction that the maps of version 2 describe."""
    raw = _number(pairs, _TX_VERSION, 4).to_bytes(4, "little") + write_compact_size(len(inputs))
    for row in inputs:
        if len(row.get(_PREVIOUS_TXID, b"")) != 32:
            raise NotATransaction("an input of the PSBT does not say what it spends")
        raw += row[_PREVIOUS_TXID] + _number(row, _SPENT_INDEX, 4).to_bytes(4, "little") + b"\0"
        raw += _number(row, _SEQUENCE, 4, 0xFFFFFFFF).to_bytes(4, "little")
    raw += write_compact_size(len(outputs))
    for row in outputs:
        if _SCRIPT not in row:
            raise NotATransaction("an output of the PSBT has no script")
        raw += _number(row, _AMOUNT, 8).to_bytes(8, "little") + write_compact_size(len(row[_SCRIPT])) + row[_SCRIPT]
    return _transaction(raw + _locktime(pairs, inputs).to_bytes(4, "little"), "inputs and outputs")


def _locktime(pairs: Pairs, inputs: list[dict[bytes, bytes]]) -> int:
    """BIP 370: the greatest lock time any input requires, of the kind that all of those accept; heights first."""
    times = [_number(row, _TIME_LOCKTIME, 4) for row in inputs if _TIME_LOCKTIME in row]
    heights = [_number(row, _HEIGHT_LOCKTIME, 4) for row in inputs if _HEIGHT_LOCKTIME in row]
    asking = sum(_TIME_LOCKTIME in row or _HEIGHT_LOCKTIME in row for row in inputs)
    if not asking:
        return _number(pairs, _FALLBACK_LOCKTIME, 4, 0)
    if asking not in (len(times), len(heights)):
        raise NotATransaction("the inputs of the PSBT require lock times of both kinds")
    return max(heights) if len(heights) == asking else max(times)
