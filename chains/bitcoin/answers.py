"""The shapes of bitcoind's JSON answers, each checked before it is believed. Pure.

Amounts must have been left as text (`chains.rpc.envelopes.loads_exact`): no float touches them.
"""

from __future__ import annotations

from collections.abc import Iterable

from chains.bitcoin.addresses import address_of
from chains.bitcoin.decode import write_compact_size
from chains.bitcoin.params import DECIMALS, MAX_MONEY_SATS, Network
from chains.errors import LyingNode
from chains.model import Outpoint, TxOutput, parse_units
from chains.rpc.transport import Json


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
