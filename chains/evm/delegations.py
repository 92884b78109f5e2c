"""Accounts that gave their code away: EIP-7702 authorisations in type-4 transactions."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.evm.encodings import rlp_encode
from chains.evm.fields import Fields, account, fields_of, items_of, quantity
from chains.evm.safe import recover_account

PREFIX = bytes.fromhex("ef0100")
"""A delegated account's code is this and the 20 bytes of whose code it runs."""
MAX_AUTHORIZATIONS = 10_000
_MAGIC = b"\x05"


@dataclass(frozen=True, slots=True)
class Authorization:
    """In transaction `tx_index`, `authority` lets `delegate` be its code (the zero account takes it back)."""

    tx_index: int
    authority: bytes
    delegate: bytes


def find_authorizations(
    transactions: Sequence[Fields], watched: AbstractSet[bytes], chain_number: int
) -> list[Authorization]:
    """Authorisations of watched accounts. They hold even if their transaction fails; whether one was valid (nonce)
    shows in the account's code. The signer is recovered, 40 µs each: a node's word would cost nothing to forge.
    """
    found = []
    for index in [n for n, tx in enumerate(transactions) if "authorizationList" in tx]:
        where = f"transaction[{index}].authorizationList"
        for row in items_of(transactions[index]["authorizationList"] or [], where, MAX_AUTHORIZATIONS):
            authority, delegate = _read(fields_of(row, where), chain_number, where)
            if authority is not None and authority in watched:
                found.append(Authorization(index, authority, delegate))
    return found


def _read(fields: Fields, chain_number: int, where: str) -> tuple[bytes | None, bytes]:
    delegate = account(fields, "address", where)
    number, nonce = quantity(fields, "chainId", where), quantity(fields, "nonce", where)
    if number not in (0, chain_number):
        return None, delegate
    parity = quantity(fields, "yParity" if "yParity" in fields else "v", where)
    r, s = (quantity(fields, name, where).to_bytes(32, "big") for name in ("r", "s"))
    signed = keccak(_MAGIC + rlp_encode([number, delegate, nonce]))
    return recover_account(signed, parity, r, s), delegate


def describe_code(code: bytes) -> str:
    """Empty for none, the delegate's account in lower-case hex for EIP-7702, else the hash of the code."""
    if not code:
        return ""
    if len(code) == 23 and code[:3] == PREFIX:
        return "0x" + code[3:].hex()
    return "code:0x" + keccak(code).hex()
