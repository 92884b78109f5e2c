"""One confirmation of a Safe transaction, by the last byte of its 65: who signed, or that it cannot be seen here."""

from __future__ import annotations

from eth_utils.crypto import keccak

from chains.evm.addresses import to_address
from chains.evm.safe import recover_account
from chains.signatures import Signature, SignatureKind


def read_signature(digest: bytes, signature: bytes) -> Signature:
    """As `Safe.checkNSignatures` reads it: v 0 asks a contract, 1 is a hash approved before, above 30 is `eth_sign`."""
    if len(signature) < 65:
        return Signature(SignatureKind.DIGEST, None)
    v = signature[64]
    if v in (0, 1):
        return Signature(SignatureKind.CONTRACT if v == 0 else SignatureKind.ON_CHAIN, None)
    kind = SignatureKind.MESSAGE if v > 30 else SignatureKind.DIGEST
    if kind is SignatureKind.MESSAGE:
        digest, v = keccak(b"\x19Ethereum Signed Message:\n32" + digest), v - 4
    account = recover_account(digest, v - 27, signature[:32], signature[32:64]) if len(signature) == 65 else None
    return Signature(kind, None if account is None else to_address(account))
