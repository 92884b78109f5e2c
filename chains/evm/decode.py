"""A block and its receipts, logs and traces into the common language, EIP-7702 delegations included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import itemgetter

from eth_utils.crypto import keccak

from chains.evm.blocks import Block, read_withdrawal
from chains.evm.fields import Fields, account, fields_of, items_of, lie, quantity
from chains.evm.params import Network, native_id
from chains.evm.receipts import Receipt
from chains.evm.safe import recover_account
from chains.evm.traces import Traces
from chains.evm.transaction_forms import prove_transaction, rlp_encode
from chains.evm.transactions import decode_transaction, read_transaction_fields, withdrawal_transaction
from chains.model import AccountTransaction

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


NO_TRACES = "internal calls: the node offers no trace method, so ether moved by contracts is not seen"
FEE_INCOME = "fee income: a watched account is the block's fee recipient, whose tips are in no transfer"


def concerned_by_value(transactions: Sequence[Fields], watched: AbstractSet[bytes]) -> set[int]:
    """Positions of transactions sent by or to a watched account.

    Looks at every transaction of the block, so it decodes each different account once and nothing else.
    """
    try:
        parties = set(map(itemgetter("from"), transactions))
        parties.update(map(itemgetter("to"), transactions))
        parties.discard(None)
        ours = {text for text in parties if bytes.fromhex(text[2:]) in watched}
    except (KeyError, TypeError, ValueError) as error:
        raise lie("block.transactions", f"are malformed: {error!r:.80}") from error
    if not ours:
        return set()
    return {n for n, tx in enumerate(transactions) if tx["from"] in ours or tx["to"] in ours}


def concerned_by_calls(traces: Traces, watched: AbstractSet[bytes], contracts: AbstractSet[bytes]) -> set[int]:
    """Positions of transactions in which a call moves a watched account's ether or reaches one of `contracts`."""
    return {
        index
        for index, trace in enumerate(traces)
        if any(m.sender in watched or m.receiver in watched for m in trace.moves)
        or (contracts and any(c.receiver in contracts for c in trace.calls))
    }


def decode_transactions(
    block: Block, receipts: Mapping[int, Receipt], traces: Traces | None, network: Network
) -> list[AccountTransaction]:
    """The transactions whose receipts are given, in block order, proved where their network allows."""
    decoded = []
    for index in sorted(receipts):
        tx, where = block.transactions[index], f"transaction[{index}]"
        if network.signed_transactions:
            prove_transaction(tx, network.number, where)
        trace = None if traces is None else traces[index]
        decoded.append(decode_transaction(read_transaction_fields(tx, where), index, receipts[index], trace, network))
    return decoded


def decode_withdrawals(block: Block, watched: AbstractSet[bytes], network: Network) -> list[AccountTransaction]:
    """At most one pseudo-transaction with the validators' withdrawals to watched accounts."""
    try:
        payees = [row["address"] for row in block.withdrawals]
        if not {len(text) for text in payees} <= {42}:
            raise lie("block.withdrawals", "go to what are no accounts")
        mine = [n for n, text in enumerate(payees) if bytes.fromhex(text[2:]) in watched]
    except (KeyError, TypeError, ValueError) as error:
        raise lie("block.withdrawals", f"are malformed: {error!r:.80}") from error
    if not mine:
        return []
    read = {n: read_withdrawal(block.withdrawals[n], f"withdrawals[{n}]") for n in mine}
    return [withdrawal_transaction(block, read, native_id(network.chain))]


def gaps_of(block: Block, traces: Traces | None, why: str, watched: AbstractSet[bytes]) -> tuple[str, ...]:
    """What this block's answers cannot show; `why` are the node's words about its traces."""
    gaps: list[str] = []
    if traces is None and block.transactions:
        gaps.append(f"{NO_TRACES} ({why})" if why else NO_TRACES)
    if block.miner in watched:
        gaps.append(FEE_INCOME)
    return tuple(gaps)
