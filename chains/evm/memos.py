"""The instruction for a bridge in a call: THORChain's memo, as its routers and its plain deposits carry it."""

from __future__ import annotations

from eth_utils.crypto import keccak

MAX_MEMO_BYTES = 512

_DEPOSITS = frozenset(
    keccak(text=signature)[:4]
    for signature in (
        "deposit(address,address,uint256,string)",
        "depositWithExpiry(address,address,uint256,string,uint256)",
    )
)
"""Vault, asset, amount, memo (THORChain's router, all versions; Maya's is the same)."""
_MEMO_WORD = 3


def read_memo(calldata: bytes) -> str | None:
    """The memo of a deposit; None if the call is none, or its memo no printable ASCII of at most 512 bytes.

    A deposit without router is ether sent to the vault with the memo itself as calldata.
    """
    raw = _argument(calldata[4:]) if calldata[:4] in _DEPOSITS else calldata
    if raw is None or not 0 < len(raw) <= MAX_MEMO_BYTES or b":" not in raw:
        return None
    return raw.decode("ascii") if all(32 <= byte < 127 for byte in raw) else None


def _argument(arguments: bytes) -> bytes | None:
    """The dynamic bytes that the memo's word points to; None if they do not lie within the call."""
    head = arguments[32 * _MEMO_WORD : 32 * (_MEMO_WORD + 1)]
    offset = int.from_bytes(head, "big")
    if len(head) < 32 or offset + 32 > len(arguments):
        return None
    size = int.from_bytes(arguments[offset : offset + 32], "big")
    if offset + 32 + size > len(arguments):
        return None
    return arguments[offset + 32 : offset + 32 + size]
