"""Raw transactions, and the JSON answers of bitcoind, into the common language. Nothing in an answer is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from chains.bitcoin.addresses import address_of
from chains.bitcoin.blocks import compact_size, double_sha256
from chains.bitcoin.params import DECIMALS, MAX_MONEY_SATS, Network
from chains.errors import LyingNode
from chains.model import Outpoint, SigningFacts, TxInput, TxOutput, UtxoTransaction, parse_units
from chains.rpc.jsonrpc import Json

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


def sats(value: Json) -> int:
    """Satoshi of an amount in bitcoind's JSON, which `loads_exact` has left as text. Raises LyingNode otherwise."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        amount = parse_units(text, DECIMALS)
    except (ValueError, AttributeError, TypeError) as error:
        raise LyingNode(f"no amount: {value!r:.40}") from error
    if amount > MAX_MONEY_SATS:
        raise LyingNode(f"an amount of {amount} satoshi")
    return amount


def hash_of(value: Json) -> bytes:
    """32 bytes of a hash in a node's JSON. Raises LyingNode for anything else."""
    if isinstance(value, str) and len(value) == 64:
        return bytes_of(value)
    raise LyingNode(f"no hash: {value!r:.80}")


def bytes_of(value: Json) -> bytes:
    """Bytes of hexadecimal text in a node's JSON. Raises LyingNode for anything else."""
    try:
        return bytes.fromhex(value)
    except (ValueError, TypeError) as error:
        raise LyingNode(f"no hexadecimal: {value!r:.80}") from error


def uint_of(value: Json, bits: int = 32) -> int:
    """A non-negative number in a node's JSON. Raises LyingNode for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << bits:
        return value
    raise LyingNode(f"no number of {bits} bits: {value!r:.40}")


def member(value: Json, name: str) -> Json:
    """A member of an object in a node's JSON. Raises LyingNode if there is none."""
    if isinstance(value, dict) and name in value:
        return value[name]
    raise LyingNode(f"no {name!r} in the node's answer")


def output_of(network: Network, vout: int, detail: Json) -> TxOutput:
    """An output as bitcoind describes it in `prevout` and `gettxout`."""
    script = bytes_of(member(member(detail, "scriptPubKey"), "hex"))
    return TxOutput(vout, sats(member(detail, "value")), address_of(network, script))


def prevouts_of(network: Network, detail: Json) -> dict[Outpoint, TxOutput]:
    """What the inputs of a transaction spend, by its JSON (`getblock` 3, `getrawtransaction` 2); inputs for which the
    node does not tell are left out.
    """
    return {
        outpoint: output_of(network, outpoint.vout, vin["prevout"])
        for outpoint, vin in inputs_of(detail)
        if "prevout" in vin
    }


def inputs_of(detail: Json) -> Iterable[tuple[Outpoint, dict[str, Json]]]:
    """The inputs in a transaction's JSON with their outpoints; none for a coinbase."""
    inputs = member(detail, "vin")
    if not isinstance(inputs, list):
        raise LyingNode("no list of inputs")
    for vin in inputs:
        if isinstance(vin, dict) and "coinbase" in vin:
            continue
        yield Outpoint(hash_of(member(vin, "txid")), uint_of(member(vin, "vout"))), vin


def assemble_block(detail: Json) -> bytes:
    """The raw block that a `getblock` 2 or 3 answer describes, so that it can be proved like any other. Raises
    LyingNode for an answer without the parts.
    """
    parent = hash_of(detail["previousblockhash"]) if "previousblockhash" in detail else bytes(32)
    version = member(detail, "version")
    if not isinstance(version, int) or not -(1 << 31) <= version < 1 << 32:
        raise LyingNode(f"no block version: {version!r:.40}")
    transactions = member(detail, "tx")
    if not isinstance(transactions, list):
        raise LyingNode("no list of transactions")
    return b"".join(
        (
            (version % (1 << 32)).to_bytes(4, "little"),
            parent[::-1],
            hash_of(member(detail, "merkleroot"))[::-1],
            uint_of(member(detail, "time")).to_bytes(4, "little"),
            bytes_of(member(detail, "bits"))[::-1],
            uint_of(member(detail, "nonce")).to_bytes(4, "little"),
            write_compact_size(len(transactions)),
            *(bytes_of(member(tx, "hex")) for tx in transactions),
        )
    )
