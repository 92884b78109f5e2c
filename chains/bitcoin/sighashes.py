"""What the signatures of a transaction sign: BIP 143 (segwit version 0) and the original hash, each in linear time.

python-bitcoinlib hashes all inputs anew for every signature, seconds for a consolidation of a thousand, and cannot pack
a locktime beyond 2**31 - 1; a test holds this to it. Taproot's hash (BIP 341) is not needed: its keys are plain to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chains.bitcoin.blocks import double_sha256
from chains.bitcoin.decode import RawInput, RawTransaction, write_compact_size

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
        outpoints = tuple(_outpoint(i) for i in tx.inputs)
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


def _outpoint(tx_input: RawInput) -> bytes:
    return tx_input.outpoint.txid[::-1] + tx_input.outpoint.vout.to_bytes(4, "little")


def _sized(script: bytes) -> bytes:
    return write_compact_size(len(script)) + script
