"""Deposits into a bridge's vault, known by the instruction in the transaction: vaults rotate and bear no label."""

from __future__ import annotations

from dataclasses import dataclass

from chains.model import AccountTransaction, Address, ChainTransaction, UtxoTransaction
from walletwatch.domain.cases import Onward
from walletwatch.tracing.memos import parse_memo, read_op_return


@dataclass(frozen=True, slots=True)
class Deposit:
    """`vault` got the money to bridge, by output or transfer `ordinal` alone: change is not bridged."""

    ordinal: int
    vault: Address
    onward: Onward


def find_deposit(tx: ChainTransaction) -> Deposit | None:
    """The bridge deposit that `tx` makes, None if it makes none."""
    return _find_in_outputs(tx) if isinstance(tx, UtxoTransaction) else _find_in_call(tx)


def _find_in_outputs(tx: UtxoTransaction) -> Deposit | None:
    """THORChain's rule for coin chains: the vault is the first output, change goes back to the first input's address,
    and the memo is an OP_RETURN.
    """
    memos = [text for output in tx.outputs if (text := read_op_return(output.address.key)) is not None]
    onward = parse_memo(memos[0]) if len(memos) == 1 else None
    first = next((o for o in tx.outputs if o.value and o.address.key[:1] != b"\x6a"), None)
    if onward is None or first is None:
        return None
    if any(i.address is not None and i.address.key == first.address.key for i in tx.inputs):
        return None
    return Deposit(first.vout, first.address, onward)


def _find_in_call(tx: AccountTransaction) -> Deposit | None:
    """By the call's memo, where the family reads it (feature `memo`): the sender's last payment in the transaction, or
    what the router it called passed on last.
    """
    memo = tx.signing.as_dict().get("memo") if tx.signing is not None else None
    onward = parse_memo(memo) if isinstance(memo, str) else None
    if onward is None or not tx.transfers:
        return None
    last = max(tx.transfers, key=lambda t: t.ordinal)
    return Deposit(last.ordinal, last.receiver, onward)
