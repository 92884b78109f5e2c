"""Transactions from raw bytes to facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chains.bitcoin.addresses import address_of
from chains.bitcoin.blocks import compact_size, double_sha256
from chains.bitcoin.params import MAX_MONEY_SATS, Network
from chains.errors import LyingNode
from chains.model import Outpoint, SigningFacts, TxInput, TxOutput, UtxoTransaction

Prevouts = Mapping[Outpoint, TxOutput]
"""What inputs spend, as far as known."""

_NULL_TXID: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class RawInput:
    """An input as it stands in the bytes. `script` is the scriptSig."""

    outpoint: Outpoint
    script: bytes
    sequence: int
    witness: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RawTransaction:
    """A transaction as it stands in the bytes: outputs are (value in satoshi, scriptPubKey)."""

    txid: bytes
    version: int
    locktime: int
    inputs: tuple[RawInput, ...]
    outputs: tuple[tuple[int, bytes], ...]
    base_size: int
    raw: bytes

    @property
    def is_coinbase(self) -> bool:
        """True for the transaction that creates new coins."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint.txid == _NULL_TXID

    @property
    def vsize(self) -> int:
        """Virtual bytes (BIP 141): a quarter of the weight, rounded up."""
        return (3 * self.base_size + len(self.raw) + 3) // 4


def parse_transaction(raw: bytes) -> RawTransaction:
    """Read one whole serialised transaction (BIP 144). Raises LyingNode if the bytes are none, or more than one."""
    try:
        return _parse(raw)
    except IndexError:
        raise LyingNode("a transaction is cut short") from None


def _parse(raw: bytes) -> RawTransaction:
    segwit = raw[4] == 0
    if segwit and raw[5] != 1:
        raise LyingNode("a transaction without inputs")
    inputs, p = _parse_inputs(raw, 6 if segwit else 4)
    outputs, p = _parse_outputs(raw, p)
    body_end = p
    if segwit:
        witnesses, p = _parse_witnesses(raw, p, len(inputs))
        inputs = [RawInput(i.outpoint, i.script, i.sequence, w) for i, w in zip(inputs, witnesses, strict=True)]
    if p + 4 != len(raw):
        raise LyingNode(f"a transaction of {len(raw)} bytes that ends at {p + 4}")
    base = raw[:4] + raw[6:body_end] + raw[p:] if segwit else raw
    return RawTransaction(
        txid=double_sha256(base)[::-1],
        version=int.from_bytes(raw[:4], "little"),
        locktime=int.from_bytes(raw[p:], "little"),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        base_size=len(base),
        raw=raw,
    )


def _parse_inputs(raw: bytes, p: int) -> tuple[list[RawInput], int]:
    count, p = compact_size(raw, p)
    inputs = []
    for _ in range(count):
        outpoint = Outpoint(raw[p : p + 32][::-1], int.from_bytes(raw[p + 32 : p + 36], "little"))
        script, p = _parse_bytes(raw, p + 36)
        if p + 4 > len(raw):
            raise IndexError(p)
        inputs.append(RawInput(outpoint, script, int.from_bytes(raw[p : p + 4], "little")))
        p += 4
    return inputs, p


def _parse_outputs(raw: bytes, p: int) -> tuple[list[tuple[int, bytes]], int]:
    count, p = compact_size(raw, p)
    outputs = []
    for _ in range(count):
        value = int.from_bytes(raw[p : p + 8], "little")
        script, p = _parse_bytes(raw, p + 8)
        if value > MAX_MONEY_SATS:
            raise LyingNode(f"an output of {value} satoshi")
        outputs.append((value, script))
    return outputs, p


def _parse_witnesses(raw: bytes, p: int, count: int) -> tuple[list[tuple[bytes, ...]], int]:
    witnesses = []
    for _ in range(count):
        items, p = compact_size(raw, p)
        stack = []
        for _ in range(items):
            item, p = _parse_bytes(raw, p)
            stack.append(item)
        witnesses.append(tuple(stack))
    return witnesses, p


def _parse_bytes(raw: bytes, p: int) -> tuple[bytes, int]:
    size, p = compact_size(raw, p)
    if p + size > len(raw):
        raise IndexError(p)
    return raw[p : p + size], p + size


def outputs_of(network: Network, tx: RawTransaction) -> tuple[TxOutput, ...]:
    """Every output with its address, in order."""
    return tuple(TxOutput(n, value, address_of(network, script)) for n, (value, script) in enumerate(tx.outputs))


def outpoints_of(network: Network, tx: RawTransaction) -> dict[Outpoint, TxOutput]:
    """Every output by the outpoint that would spend it."""
    return {Outpoint(tx.txid, output.vout): output for output in outputs_of(network, tx)}


def transaction_facts(
    network: Network, tx: RawTransaction, index: int, prevouts: Prevouts, signing: SigningFacts | None = None
) -> UtxoTransaction:
    """The facts of `tx` at place `index` of its block (-1 while pending). Raises LyingNode if it spends less than it
    pays: then the node told wrong values.
    """
    inputs = () if tx.is_coinbase else tuple(_input_facts(i, prevouts.get(i.outpoint)) for i in tx.inputs)
    return UtxoTransaction(
        txid=tx.txid,
        index=index,
        inputs=inputs,
        outputs=outputs_of(network, tx),
        fee=fee_of(tx, prevouts),
        vsize=tx.vsize,
        version=tx.version,
        locktime=tx.locktime,
        signing=signing,
    )


def _input_facts(raw_input: RawInput, spent: TxOutput | None) -> TxInput:
    if spent is None:
        return TxInput(raw_input.outpoint, None, None, raw_input.sequence)
    return TxInput(raw_input.outpoint, spent.value, spent.address, raw_input.sequence)


def fee_of(tx: RawTransaction, prevouts: Prevouts) -> int | None:
    """Inputs minus outputs in satoshi, 0 for a coinbase, None if an input's value is unknown."""
    if tx.is_coinbase:
        return 0
    spent = [prevouts.get(i.outpoint) for i in tx.inputs]
    known = [output.value for output in spent if output is not None]
    if len(known) < len(spent):
        return None
    fee = sum(known) - sum(value for value, _ in tx.outputs)
    if fee < 0:
        raise LyingNode(f"transaction {tx.txid.hex()} would pay out more than it spends")
    return fee


def write_compact_size(number: int) -> bytes:
    """A number in Bitcoin's variable-length form."""
    if number < 0xFD:
        return bytes([number])
    width = 2 if number < 1 << 16 else 4 if number < 1 << 32 else 8
    return bytes([0xFC + width.bit_length() - 1]) + number.to_bytes(width, "little")
