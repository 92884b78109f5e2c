"""What a Safe was told to do and who signed it: `execTransaction`, MultiSend inside it, EIP-712 signatures.

Pure. Layouts are those of safe-smart-account 1.0 to 1.5; up to 1.2 the signing domain has no chain id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from coincurve import PublicKey
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from chains.evm.fields import to_address
from chains.family import Signature, SignatureKind

EXEC_TRANSACTION = bytes.fromhex("6a761202")
MULTI_SEND = bytes.fromhex("8d80ff0a")  # multiSend(bytes)
DELEGATECALL = 1
MAX_NESTING = 8
MAX_INNER = 10_000

_ARGUMENTS = "(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"[1:-1].split(",")
_SAFE_TX = {
    "SafeTx": [
        {"type": "address", "name": "to"},
        {"type": "uint256", "name": "value"},
        {"type": "bytes", "name": "data"},
        {"type": "uint8", "name": "operation"},
        {"type": "uint256", "name": "safeTxGas"},
        {"type": "uint256", "name": "baseGas"},
        {"type": "uint256", "name": "gasPrice"},
        {"type": "address", "name": "gasToken"},
        {"type": "address", "name": "refundReceiver"},
        {"type": "uint256", "name": "nonce"},
    ]
}


@dataclass(frozen=True, slots=True)
class InnerOperation:
    """One thing a Safe was told to do; `depth` 0 is the execution itself, deeper ones stand in a MultiSend."""

    operation: int
    to: bytes
    value_wei: int
    data: bytes
    depth: int = 0

    @property
    def is_multi_send(self) -> bool:
        """True for a delegated call of `multiSend`: its parts are the real operations."""
        return self.operation == DELEGATECALL and self.data[:4] == MULTI_SEND


@dataclass(frozen=True, slots=True)
class Execution:
    """A call of `execTransaction`. Gas fields and `gas_token`, `refund_receiver` only matter to its hash."""

    operation: InnerOperation
    safe_tx_gas: int
    base_gas: int
    gas_price: int
    gas_token: bytes
    refund_receiver: bytes
    signatures: bytes


def read_execution(calldata: bytes) -> Execution | None:
    """The execution in a Safe's calldata, None for another call or one that does not decode (it will have failed)."""
    if calldata[:4] != EXEC_TRANSACTION:
        return None
    try:
        to, value, data, operation, tx_gas, base_gas, price, token, refund, signatures = decode(
            _ARGUMENTS, calldata[4:], strict=False
        )
    except (DecodingError, ValueError, OverflowError):
        return None
    return Execution(
        InnerOperation(operation, _account(to), value, data),
        tx_gas,
        base_gas,
        price,
        _account(token),
        _account(refund),
        signatures,
    )


def _account(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def operations_of(execution: Execution) -> list[InnerOperation]:
    """The execution's operation and, where it is a MultiSend, everything in it, nested ones too, in order."""
    found: list[InnerOperation] = []
    stack = [execution.operation]
    while stack and len(found) < MAX_INNER:
        operation = stack.pop()
        found.append(operation)
        if operation.is_multi_send and operation.depth < MAX_NESTING:
            stack += reversed(list(_unpack(operation)))
    return found


def _unpack(multi_send: InnerOperation) -> Iterator[InnerOperation]:
    """MultiSend's packed list: operation (1 byte), to (20), value (32), length (32), data. A part cut short ends it."""
    try:
        (packed,) = decode(["bytes"], multi_send.data[4:], strict=False)
    except (DecodingError, ValueError, OverflowError):
        return
    at = 0
    while at + 85 <= len(packed):
        size = int.from_bytes(packed[at + 53 : at + 85], "big")
        if at + 85 + size > len(packed):
            return
        yield InnerOperation(
            operation=packed[at],
            to=packed[at + 1 : at + 21],
            value_wei=int.from_bytes(packed[at + 21 : at + 53], "big"),
            data=packed[at + 85 : at + 85 + size],
            depth=multi_send.depth + 1,
        )
        at += 85 + size


def safe_tx_hash(execution: Execution, safe: bytes, nonce: int, chain_number: int | None) -> bytes:
    """What the owners signed (EIP-712). `chain_number` None: the domain of Safes before 1.3."""
    from chains.evm.contracts import typed_data_hash  # noqa: PLC0415 - web3 takes 0.4 s to import

    operation = execution.operation
    message = {
        "to": operation.to,
        "value": operation.value_wei,
        "data": operation.data,
        "operation": operation.operation,
        "safeTxGas": execution.safe_tx_gas,
        "baseGas": execution.base_gas,
        "gasPrice": execution.gas_price,
        "gasToken": execution.gas_token,
        "refundReceiver": execution.refund_receiver,
        "nonce": nonce,
    }
    chain = {} if chain_number is None else {"chainId": chain_number}
    return typed_data_hash({**chain, "verifyingContract": safe}, _SAFE_TX, message)


def recover_signers(execution: Execution, tx_hash: bytes, owners: AbstractSet[bytes]) -> tuple[bytes, ...]:
    """The accounts behind the signatures, in their order, as far as they go: one that cannot be recovered is left out.

    By the last byte v of each 65: 0 a contract's own check and 1 a hash approved before (both name their owner),
    above 30 an `eth_sign` over the hash, else ECDSA over the hash itself. Contract signatures carry their data behind
    the fixed part, which ends where an entry names no owner any more.
    """
    found: list[bytes] = []
    for at in range(0, len(execution.signatures) - 64, 65):
        signer = _recover(execution.signatures[at : at + 65], tx_hash)
        if signer is None or (owners and signer not in owners):
            break
        found.append(signer)
    return tuple(found)


def _recover(signature: bytes, tx_hash: bytes) -> bytes | None:
    v = signature[64]
    if v in (0, 1):
        return signature[12:32]
    if v > 30:
        tx_hash, v = keccak(b"\x19Ethereum Signed Message:\n32" + tx_hash), v - 4
    return recover_account(tx_hash, v - 27, signature[:32], signature[32:64])


def recover_account(message_hash: bytes, parity: int, r: bytes, s: bytes) -> bytes | None:
    """The account whose key signed, None for what is no signature."""
    if parity not in (0, 1):
        return None
    try:
        key = PublicKey.from_signature_and_message(r + s + bytes((parity,)), message_hash, hasher=None)
    except ValueError:
        return None
    return keccak(key.format(compressed=False)[1:])[12:]


def find_signers(
    execution: Execution, safe: bytes, chain_number: int, nonces: Sequence[int], owners: AbstractSet[bytes]
) -> tuple[int | None, tuple[bytes, ...]]:
    """(nonce, signers) of the first domain and nonce under which every counted signature is an owner's.

    A wrong nonce or domain recovers accounts that nobody owns, so the right one is told from the wrong ones.
    """
    best: tuple[int | None, tuple[bytes, ...]] = (None, ())
    for nonce in nonces:
        for domain in (chain_number, None):
            signers = recover_signers(execution, safe_tx_hash(execution, safe, nonce, domain), owners)
            if len(signers) > len(best[1]):
                best = (nonce, signers)
    return best


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
