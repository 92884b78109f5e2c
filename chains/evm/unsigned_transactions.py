"""What an account or a Safe is about to sign: a raw transaction or a Safe transaction, read as its pool would read it.

Nothing is run: what a contract would do inside is not seen, and that is said. Bybit's signers (2025-02-21) saw a
payment on their screens; the bytes they signed were a delegated call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eth_utils.crypto import keccak

from chains.errors import LyingNode
from chains.evm.calls import Call, CallReading, calls_of
from chains.evm.decode import find_authorizations
from chains.evm.fields import Fields, to_address
from chains.evm.mempool import decode_pending
from chains.evm.params import Network, network_of
from chains.evm.safe import operations_of, safe_tx_hash
from chains.evm.safe_files import SafeFile, execution_calldata, read_safe_file
from chains.evm.transaction_forms import SignedTransaction, read_raw
from chains.evm.transactions import TransactionFields, read_transaction_fields
from chains.family import Doubt, KnownBefore, NotATransaction, UnsignedTransaction
from chains.model import ChainId, ControlChange, ControlKind, SigningFacts

_WHERE = "transaction"


def read_unsigned_transaction(chain: ChainId, content: bytes, known: KnownBefore) -> UnsignedTransaction:
    """The unsigned a file is: JSON is a Safe transaction, all else a raw transaction. Raises NotATransaction."""
    network = network_of(chain)
    if content.lstrip()[:1] in (b"{", b"["):
        return _read_safe(read_safe_file(content), network, known)
    try:
        return _read_raw(read_raw(content), network, known)
    except LyingNode as error:
        raise NotATransaction(str(error)) from None


# --- a raw transaction ------------------------------------------------------------------------------------------------


def _read_raw(raw: SignedTransaction, network: Network, known: KnownBefore) -> UnsignedTransaction:
    if raw.chain_number not in (None, network.number):
        raise NotATransaction(f"the transaction is for eip155:{raw.chain_number}, not {network.chain}")
    spoken = read_transaction_fields(_as_fields(raw, known), _WHERE)
    reading = CallReading(spoken.txid, known)
    if raw.chain_number is None:
        reading.doubts.append(Doubt("it names no chain (EIP-155): signed, it is good on every one"))
    if spoken.receiver is None:
        reading.doubts.append(Doubt("it creates a contract, whose code is not looked into"))
    else:
        reading.read([Call(spoken.sender, spoken.receiver, spoken.input)])
    reading.control += _delegations(raw.fields, spoken.txid, network, known)
    digests = {"signing_hash": "0x" + raw.digest.hex()} | ({"tx": "0x" + raw.hash.hex()} if raw.hash else {})
    return _unsigned("transaction", spoken, reading, digests, network)


def _as_fields(raw: SignedTransaction, known: KnownBefore) -> Fields:
    """The fields of a node's answer, with the hash and the sender that follow from the bytes."""
    if raw.sender is None and known.sender is None:
        raise NotATransaction(
            "the transaction is not signed, and does not say whose it is: name the wallet that will sign"
        )
    if raw.sender is not None and known.sender is not None and raw.sender != known.sender.key:
        raise NotATransaction(f"the transaction is signed by {to_address(raw.sender)}, not by {known.sender}")
    sender = raw.sender or (known.sender.key if known.sender is not None else b"")
    return {**raw.fields, "from": "0x" + sender.hex(), "hash": "0x" + (raw.hash or raw.digest).hex()}


def _delegations(fields: Fields, txid: bytes, network: Network, known: KnownBefore) -> list[ControlChange]:
    """Own accounts that give their code away (EIP-7702)."""
    return [
        ControlChange(txid, to_address(a.authority), ControlKind.CODE, "", to_address(a.delegate).text)
        for a in find_authorizations([fields], known.accounts, network.number)
    ]


# --- a Safe transaction -----------------------------------------------------------------------------------------------


def _read_safe(file: SafeFile, network: Network, known: KnownBefore) -> UnsignedTransaction:
    if file.chain_number not in (None, network.number):
        raise NotATransaction(f"the Safe transaction is for eip155:{file.chain_number}, not {network.chain}")
    safe = file.safe or (None if known.sender is None else known.sender.key)
    if safe is None:
        raise NotATransaction("the file does not say which Safe executes it: name its wallet")
    if known.sender is not None and known.sender.key != safe:
        raise NotATransaction(f"the file is for the Safe {to_address(safe)}, not for {known.sender}")
    calldata = execution_calldata(file.execution)
    digests, doubts = _safe_hashes(file, safe, network)
    txid = bytes.fromhex(digests["safe_tx_hash"][2:]) if digests else keccak(safe + calldata)
    reading = CallReading(txid, known, doubts=doubts)
    if file.execution.gas_price:
        reading.read([Call(safe, safe, calldata)])
    else:
        reading.read(calls_of(safe, operations_of(file.execution)))
    spoken = TransactionFields(txid, safe, safe, file.nonce or 0, 0, 0, calldata, SigningFacts())
    return _unsigned("safe", spoken, reading, digests, network)


def _safe_hashes(file: SafeFile, safe: bytes, network: Network) -> tuple[dict[str, str], list[Doubt]]:
    """The hash the owners sign, recomputed; none without a nonce. Safes before 1.3 sign without the chain's id: which
    of the two it is, the file's own hash tells, or the device's screen.
    """
    if file.nonce is None:
        text = "the file gives no nonce, so that the hash its owners will sign cannot be told"
        return {}, [Doubt(text)] if file.claimed_hash else []
    present, old = (safe_tx_hash(file.execution, safe, file.nonce, n) for n in (network.number, None))
    if file.claimed_hash in (present, old):
        return {"safe_tx_hash": "0x" + file.claimed_hash.hex()}, []
    both = {"safe_tx_hash": "0x" + present.hex(), "safe_tx_hash_before_1_3": "0x" + old.hex()}
    if not file.claimed_hash:
        return both, []
    claimed = "0x" + file.claimed_hash.hex()
    text = f"the file says the Safe transaction's hash is {claimed}; its fields hash to 0x{present.hex()}"
    return both, [Doubt(text, wrong=True)]


def _unsigned(
    kind: str, spoken: TransactionFields, reading: CallReading, digests: dict[str, str], network: Network
) -> UnsignedTransaction:
    transaction = decode_pending(spoken, network)
    if kind == "safe":
        transaction = replace(transaction, signing=None)  # who will sign, and who will carry it, is not known
    return UnsignedTransaction(
        kind, transaction, digests, _ordered(reading.control), tuple(dict.fromkeys(reading.doubts))
    )


def _ordered(changes: Sequence[ControlChange]) -> tuple[ControlChange, ...]:
    return tuple(sorted(changes, key=lambda change: (change.account.key, change.kind)))
