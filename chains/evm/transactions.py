"""Transactions in the common language: who paid whom, by every way ether and tokens move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.evm.blocks import Block, Withdrawal
from chains.evm.fields import (
    ZERO_KEY,
    Fields,
    account,
    account_or_none,
    data,
    hash32,
    items_of,
    lie,
    quantity,
    quantity_or,
    to_address,
)
from chains.evm.params import Network, native_id
from chains.evm.receipts import Receipt
from chains.evm.tokens import as_transfer, token_moves
from chains.evm.traces import Move, TxTrace
from chains.evm.transaction_forms import rlp_encode
from chains.model import AccountTransaction, AssetId, SigningFacts, Transfer, TransferKind

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


MAX_NONCE = 2**64 - 2  # EIP-2681
MAX_LIST = 100_000


@dataclass(frozen=True, slots=True)
class TransactionFields:
    """What a transaction says before it runs, read with care."""

    txid: bytes
    sender: bytes
    receiver: bytes | None
    nonce: int
    value_wei: int
    mint_wei: int
    input: bytes
    signing: SigningFacts


def read_transaction_fields(tx: Fields, where: str) -> TransactionFields:
    """Read a node's transaction object."""
    nonce = quantity(tx, "nonce", where)
    if nonce > MAX_NONCE:
        raise lie(f"{where}.nonce", f"is {nonce}")
    calldata = data(tx, "input" if "input" in tx else "data", where)
    sender = account(tx, "from", where)
    return TransactionFields(
        txid=hash32(tx, "hash", where),
        sender=sender,
        receiver=account_or_none(tx, "to", where),
        nonce=nonce,
        value_wei=quantity(tx, "value", where),
        # A deposit of an OP-stack rollup: minted to the sender on arrival, even if the call then fails.
        mint_wei=quantity_or(tx, "mint", where, 0),
        input=calldata,
        signing=_signing(tx, sender, nonce, calldata, where),
    )


def _signing(tx: Fields, sender: bytes, nonce: int, calldata: bytes, where: str) -> SigningFacts:
    """The choices of whoever built the transaction: gas limit, fee caps in wei, type, nonce, call shape."""
    features: list[tuple[str, int | str]] = [
        ("type", quantity_or(tx, "type", where, 0)),
        ("nonce", nonce),
        ("gas_limit", quantity(tx, "gas", where)),
        ("selector", "0x" + calldata[:4].hex() if len(calldata) >= 4 else ""),
        ("calldata_bytes", len(calldata)),
    ]
    if tx.get("maxFeePerGas") is None:
        features.append(("gas_price_wei", quantity_or(tx, "gasPrice", where, 0)))
    else:
        features.append(("max_fee_wei", quantity(tx, "maxFeePerGas", where)))
        features.append(("max_priority_fee_wei", quantity(tx, "maxPriorityFeePerGas", where)))
    memo = read_memo(calldata)
    if memo is not None:
        features.append(("memo", memo))
    for name, feature in (("accessList", "access_list"), ("authorizationList", "authorizations")):
        if tx.get(name):
            features.append((feature, len(items_of(tx[name], f"{where}.{name}", MAX_LIST))))
    return SigningFacts((to_address(sender).text,), tuple(features))


def created_account(sender: bytes, nonce: int) -> bytes:
    """The account a creating transaction makes: the last 20 bytes of Keccak-256 of RLP(sender, nonce)."""
    return keccak(rlp_encode([sender, nonce]))[12:]


def decode_transaction(
    spoken: TransactionFields, index: int, receipt: Receipt, trace: TxTrace | None, network: Network
) -> AccountTransaction:
    """A mined transaction whole. `trace` None: the node shows no inner calls."""
    ok = _outcome(receipt, trace, index)
    receiver = spoken.receiver
    arrived_at = created_account(spoken.sender, spoken.nonce) if receiver is None else receiver
    native = native_id(network.chain)
    ether: list[tuple[Move, TransferKind]] = []
    if spoken.mint_wei:
        ether.append((Move(ZERO_KEY, spoken.sender, spoken.mint_wei), TransferKind.INTERNAL))
    if ok and spoken.value_wei:
        ether.append((Move(spoken.sender, arrived_at, spoken.value_wei), TransferKind.NATIVE))
    if ok and trace is not None:
        ether += [(move, TransferKind.INTERNAL) for move in trace.moves]
    tokens = token_moves(receipt.logs if ok else (), network, network.chain)
    transfers = [_ether(native, move, kind, n) for n, (move, kind) in enumerate(ether)]
    transfers += [as_transfer(move, n) for n, move in enumerate(tokens, len(ether))]
    return AccountTransaction(
        txid=spoken.txid,
        index=index,
        sender=to_address(spoken.sender),
        receiver=None if receiver is None else to_address(receiver),
        nonce=spoken.nonce,
        ok=ok,
        fee=receipt.fee_wei,
        transfers=tuple(transfers),
        traced=trace is not None,
        signing=_with_gas(spoken.signing, receipt.gas_used),
    )


def _with_gas(signing: SigningFacts, used: int) -> SigningFacts:
    """What a unit of gas was paid follows from the fee and this; no cap tells it (EIP-1559)."""
    return SigningFacts(signing.signers, (*signing.features, ("gas_used", used)))


def _outcome(receipt: Receipt, trace: TxTrace | None, index: int) -> bool:
    """Success by the receipt; before Byzantium by the trace, without which it would have to be guessed."""
    if receipt.ok is None:
        if trace is None:
            raise lie(f"receipt[{index}].status", "is missing, and without traces the outcome cannot be known")
        return not trace.failed
    if trace is not None and trace.failed == receipt.ok:
        raise lie(f"receipt[{index}].status", "contradicts the trace of the transaction")
    return receipt.ok


def _ether(native: AssetId, move: Move, kind: TransferKind, ordinal: int) -> Transfer:
    return Transfer(native, to_address(move.sender), to_address(move.receiver), move.amount_wei, kind, ordinal)


def withdrawal_transaction(block: Block, watched: Mapping[int, Withdrawal], native: AssetId) -> AccountTransaction:
    """Withdrawals, by their position, as one pseudo-transaction under the block's hash, last in the block.

    It comes from the zero account, whose "nonce" is the height, so that those of different blocks do not replace
    each other.
    """
    transfers = (
        _ether(native, Move(ZERO_KEY, row.account, row.amount_wei), TransferKind.WITHDRAWAL, at)
        for at, row in watched.items()
    )
    return AccountTransaction(
        txid=block.ref.hash,
        index=len(block.transactions),
        sender=to_address(ZERO_KEY),
        receiver=None,
        nonce=block.ref.height,
        ok=True,
        fee=0,
        transfers=tuple(transfers),
        traced=True,
    )
