"""Script types, and the digests that signatures of inputs cover (BIP 143, BIP 341)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bitcoin.core.script import OP_CHECKMULTISIG, CScript, CScriptInvalidError

from chains.bitcoin.addresses import witness_program
from chains.bitcoin.blocks import double_sha256
from chains.bitcoin.decode import RawTransaction, write_compact_size

_OP_1, _OP_16 = 0x51, 0x60
_PUBKEY_SIZES: Final = (33, 65)


def script_type(script: bytes) -> str:
    """`p2pk p2pkh p2sh p2wpkh p2wsh p2tr multisig op_return anchor witness` or `nonstandard`."""
    program = witness_program(script)
    if program is not None:
        return _witness_type(*program)
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return "p2pkh"
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return "p2sh"
    if len(script) in (35, 67) and script[0] == len(script) - 2 and script[-1:] == b"\xac":
        return "p2pk"
    if script[:1] == b"\x6a":
        return "op_return"
    return "multisig" if multisig_keys(script) else "nonstandard"


def _witness_type(version: int, program: bytes) -> str:
    if version == 0:
        return {20: "p2wpkh", 32: "p2wsh"}.get(len(program), "nonstandard")
    if version == 1 and len(program) == 32:
        return "p2tr"
    return "anchor" if (version, program) == (1, b"\x4e\x73") else "witness"


def multisig_keys(script: bytes) -> tuple[bytes, ...]:
    """The public keys of `m <key>… n OP_CHECKMULTISIG`, in order; empty for any other script."""
    items = script_items(script)
    if items is None or len(items) < 4 or items[-1] != OP_CHECKMULTISIG:
        return ()
    keys = tuple(item for item in items[1:-2] if isinstance(item, bytes) and len(item) in _PUBKEY_SIZES)
    if len(keys) != len(items) - 3 or not 1 <= len(keys) <= 20:
        return ()
    return keys if _number(items[-2]) == len(keys) >= _number(items[0]) >= 1 else ()


def _number(item: bytes | int) -> int:
    """The small number an item pushes, 0 if it pushes none. 17 to 20 keys are counted by a byte."""
    if isinstance(item, bytes):
        return item[0] if len(item) == 1 else 0
    return item - _OP_1 + 1 if _OP_1 <= item <= _OP_16 else 0


def script_items(script: bytes) -> list[bytes | int] | None:
    """Pushed data as bytes (empty for OP_0) and other opcodes as numbers; None if a push runs past the end."""
    items: list[bytes | int] = []
    try:
        for opcode, data, _place in CScript(script).raw_iter():
            items.append(b"" if opcode == 0 else data if data is not None else int(opcode))
    except CScriptInvalidError:
        return None
    return items


def pushes(script: bytes) -> tuple[bytes, ...]:
    """The data pushed by a scriptSig; empty if it does anything else."""
    items = script_items(script)
    if items is None or not all(isinstance(item, bytes) for item in items):
        return ()
    return tuple(item for item in items if isinstance(item, bytes))


ALL: Final = 1
NONE: Final = 2
SINGLE: Final = 3
ANYONE_CAN_PAY: Final = 0x80
_ONE: Final = (1).to_bytes(32, "little")


@dataclass(frozen=True, slots=True)
class SigningDigests:
    """The parts of a transaction that its signatures share, serialised once."""

    tx: RawTransaction
    outpoints: tuple[bytes, ...]
    sequences: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    hash_outpoints: bytes
    hash_sequences: bytes
    hash_outputs: bytes

    @classmethod
    def of(cls, tx: RawTransaction) -> SigningDigests:
        """Prepare `tx`."""
        outpoints = tuple(i.outpoint.wire for i in tx.inputs)
        sequences = tuple(i.sequence.to_bytes(4, "little") for i in tx.inputs)
        outputs = tuple(value.to_bytes(8, "little") + _sized(script) for value, script in tx.outputs)
        hashes = (double_sha256(b"".join(parts)) for parts in (outpoints, sequences, outputs))
        return cls(tx, outpoints, sequences, outputs, *hashes)

    def segwit_hash(self, index: int, script_code: bytes, value: int, hash_type: int) -> bytes:
        """BIP 143 for input `index` that spends `value` satoshi."""
        alone, kind = hash_type & ANYONE_CAN_PAY, hash_type & 0x1F
        outputs = self.hash_outputs
        if kind == SINGLE:
            outputs = double_sha256(self.outputs[index]) if index < len(self.outputs) else bytes(32)
        elif kind == NONE:
            outputs = bytes(32)
        return double_sha256(
            b"".join(
                (
                    self.tx.version.to_bytes(4, "little"),
                    bytes(32) if alone else self.hash_outpoints,
                    bytes(32) if alone or kind in (SINGLE, NONE) else self.hash_sequences,
                    self.outpoints[index],
                    _sized(script_code),
                    value.to_bytes(8, "little"),
                    self.sequences[index],
                    outputs,
                    self.tx.locktime.to_bytes(4, "little"),
                    hash_type.to_bytes(4, "little"),
                )
            )
        )

    def legacy_hash(self, index: int, script_code: bytes, hash_type: int) -> bytes:
        """The hash of the original protocol for input `index`; `script_code` holds no OP_CODESEPARATOR."""
        kind = hash_type & 0x1F
        if kind == SINGLE and index >= len(self.outputs):
            return _ONE  # a quirk of the first client, kept by consensus
        inputs = [self._legacy_input(n, index, script_code, kind) for n in range(len(self.outpoints))]
        if hash_type & ANYONE_CAN_PAY:
            inputs = [inputs[index]]
        outputs = self.outputs
        if kind == NONE:
            outputs = ()
        elif kind == SINGLE:
            outputs = (b"\xff" * 8 + b"\x00",) * index + (self.outputs[index],)
        return double_sha256(
            b"".join(
                (
                    self.tx.version.to_bytes(4, "little"),
                    write_compact_size(len(inputs)),
                    *inputs,
                    write_compact_size(len(outputs)),
                    *outputs,
                    self.tx.locktime.to_bytes(4, "little"),
                    hash_type.to_bytes(4, "little"),
                )
            )
        )

    def _legacy_input(self, n: int, index: int, script_code: bytes, kind: int) -> bytes:
        script = _sized(script_code) if n == index else b"\x00"
        blank = n != index and kind in (NONE, SINGLE)
        return self.outpoints[n] + script + (bytes(4) if blank else self.sequences[n])


def _sized(script: bytes) -> bytes:
    return write_compact_size(len(script)) + script
