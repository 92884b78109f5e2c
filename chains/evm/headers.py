"""The block hash recomputed: Keccak-256 of the RLP of the header, as execution-specs lists its fields."""

from __future__ import annotations

from eth_hash.auto import keccak

from chains.evm.encodings import rlp_encode
from chains.evm.fields import Fields, data, quantity

_DATA = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "extraData": None,
    "mixHash": 32,
    "nonce": 8,
    "withdrawalsRoot": 32,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
}
_FRONTIER = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_LATER = (
    "baseFeePerGas",  # London, EIP-1559
    "withdrawalsRoot",  # Shanghai, EIP-4895
    "blobGasUsed",  # Cancun, EIP-4844
    "excessBlobGas",
    "parentBeaconBlockRoot",  # Cancun, EIP-4788
    "requestsHash",  # Prague, EIP-7685
)
_BESIDE = frozenset({"hash", "size", "totalDifficulty", "uncles", "transactions", "withdrawals"})
_KNOWN = frozenset(_FRONTIER) | frozenset(_LATER) | _BESIDE


def header_hash(block: Fields) -> bytes | None:
    """The hash of the header fields in a block's JSON.

    None where the header has fields of a fork that is not known here, so that nothing can be said. Raises LyingNode
    for a field of the wrong shape.
    """
    if not _KNOWN.issuperset(key for key, value in block.items() if value is not None):
        return None
    present = [name for name in _LATER if block.get(name) is not None]
    if present != list(_LATER[: len(present)]):
        return None
    return keccak(rlp_encode([_field(block, name) for name in (*_FRONTIER, *present)]))


def _field(block: Fields, name: str) -> bytes | int:
    if name in _DATA:
        return data(block, name, "block", _DATA[name])
    return quantity(block, name, "block")
