"""Transactions and blocks of the reconstruction, as bytes: small, whole, and linked as the real ones are.

Signatures are not reconstructed: in their place stand zero bytes of the usual length, so that sizes and fee rates are
what they would be. A txid does not depend on witnesses, nor a block's hash on them without a commitment.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chains.bitcoin.addresses import address_of, parse_address
from chains.bitcoin.blocks import double_sha256, height_push, merkle_root
from chains.bitcoin.decode import RawTransaction, parse_transaction, write_compact_size
from chains.bitcoin.params import MAINNET
from chains.model import Address, Outpoint

REAL = Path(__file__).parents[1] / "data" / "tracing" / "esplora_bitcoin_845752_dmm_theft.json"

_SIGNATURE = bytes(72)
_P2PKH_SCRIPT_SIG = bytes(107)
_MULTISIG_2_OF_3 = (b"", _SIGNATURE, bytes(71), bytes(105))
"""A stack of these sizes gives the theft its 1,298 virtual bytes, in which a fee of 0.1 BTC is 7,704 sat/vB."""


@dataclass(frozen=True)
class Coin:
    """An unspent output, with what is needed to spend it by size: `script_sig` and `witness`."""

    outpoint: Outpoint
    value: int
    address: Address
    script_sig: bytes = b""
    witness: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Spend:
    """A transaction and what its inputs spend."""

    tx: RawTransaction
    coins: tuple[Coin, ...]

    @property
    def txid(self) -> str:
        return self.tx.txid.hex()


def coin(outpoint: Outpoint, value: int, address: Address, script_sig: bytes | None = None) -> Coin:
    """An output of `address` and how large its spending is, by the kind of script."""
    script = address.key
    if len(script) == 25:
        return Coin(outpoint, value, address, _P2PKH_SCRIPT_SIG)
    if len(script) == 23:
        nested = script_sig or b"\x22\x00\x20" + bytes(32)
        return Coin(outpoint, value, address, nested, _MULTISIG_2_OF_3)
    if script[0] == 0x51:
        return Coin(outpoint, value, address, b"", (bytes(64),))
    return Coin(outpoint, value, address, b"", (_SIGNATURE, bytes(33)))


def invent_address(seed: str, kind: str = "p2wpkh") -> Address:
    """An address nobody holds a key of: its hash is that of `seed`."""
    digest = hashlib.sha256(f"walletwatch demo {seed}".encode()).digest()
    script = {
        "p2wpkh": b"\x00\x14" + digest[:20],
        "p2pkh": b"\x76\xa9\x14" + digest[:20] + b"\x88\xac",
        "p2tr": b"\x51\x20" + digest,
    }[kind]
    return address_of(MAINNET, script)


def read_address(text: str) -> Address:
    return parse_address(MAINNET.chain, text)


def build_transaction(
    coins: list[Coin],
    outputs: list[tuple[int, Address]],
    *,
    version: int = 2,
    locktime: int = 0,
    sequence: int = 0xFFFFFFFE,
) -> Spend:
    """Serialise (BIP 144) what spends `coins` and pays `outputs`."""
    ends = sequence.to_bytes(4, "little")
    inputs = b"".join(_outpoint(c.outpoint) + _sized(c.script_sig) + ends for c in coins)
    paid = b"".join(value.to_bytes(8, "little") + _sized(address.key) for value, address in outputs)
    body = write_compact_size(len(coins)) + inputs + write_compact_size(len(outputs)) + paid
    segwit = any(c.witness for c in coins)
    stacks = b"".join(write_compact_size(len(c.witness)) + b"".join(map(_sized, c.witness)) for c in coins)
    raw = b"".join(
        (
            version.to_bytes(4, "little"),
            b"\x00\x01" if segwit else b"",
            body,
            stacks if segwit else b"",
            locktime.to_bytes(4, "little"),
        )
    )
    return Spend(parse_transaction(raw), tuple(coins))


def real_transactions() -> tuple[Spend, Spend]:
    """The funding transaction and the theft, rebuilt from their published parts."""
    funding, theft = (_rebuild(published) for published in json.loads(REAL.read_bytes()))
    return funding, theft


def _rebuild(published: dict[str, Any]) -> Spend:
    coins = []
    for vin in published["vin"]:
        spent = vin["prevout"]
        place = Outpoint(bytes.fromhex(vin["txid"]), vin["vout"])
        address = address_of(MAINNET, bytes.fromhex(spent["scriptpubkey"]))
        script_sig = bytes.fromhex(vin["scriptsig"])
        witness = _MULTISIG_2_OF_3 if len(script_sig) == 35 else ()
        coins.append(Coin(place, spent["value"], address, script_sig, witness))
    outputs = [(o["value"], address_of(MAINNET, bytes.fromhex(o["scriptpubkey"]))) for o in published["vout"]]
    sequences = {vin["sequence"] for vin in published["vin"]}
    spend = build_transaction(
        coins, outputs, version=published["version"], locktime=published["locktime"], sequence=sequences.pop()
    )
    if spend.txid != published["txid"]:
        raise ValueError(f"rebuilt {spend.txid} instead of {published['txid']}")
    return spend


def build_coinbase(height: int) -> RawTransaction:
    """A block's first transaction: its height (BIP 34), and the subsidy of that time to nobody."""
    script = height_push(height) + b"\x13walletwatch demo: a"
    paid = (312_500_000).to_bytes(8, "little") + _sized(b"\x6a\x04demo")
    raw = b"".join(
        (
            (1).to_bytes(4, "little"),
            b"\x01",
            bytes(32) + b"\xff\xff\xff\xff" + _sized(script) + b"\xff\xff\xff\xff",
            b"\x01",
            paid,
            bytes(4),
        )
    )
    return parse_transaction(raw)


def build_block(parent: bytes, time: int, transactions: list[RawTransaction]) -> tuple[bytes, bytes]:
    """(hash in display order, bytes). There is no work in it: nonce 0."""
    root_le = merkle_root([tx.txid[::-1] for tx in transactions])
    header = b"".join(
        (
            (0x20000000).to_bytes(4, "little"),
            parent[::-1],
            root_le,
            time.to_bytes(4, "little"),
            bytes.fromhex("170340bb")[::-1],
            bytes(4),
        )
    )
    body = write_compact_size(len(transactions)) + b"".join(tx.raw for tx in transactions)
    return double_sha256(header)[::-1], header + body


def _outpoint(outpoint: Outpoint) -> bytes:
    return outpoint.txid[::-1] + outpoint.vout.to_bytes(4, "little")


def _sized(data: bytes) -> bytes:
    return write_compact_size(len(data)) + data
