"""From one block's answers to facts about the watch set. Pure: no node is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter

from chains.evm.blocks import Block, read_withdrawal
from chains.evm.envelopes import prove_transaction
from chains.evm.fields import Fields, lie
from chains.evm.params import Network, native_asset
from chains.evm.receipts import Receipt
from chains.evm.traces import Traces
from chains.evm.transactions import decode_transaction, read_spoken, withdrawal_transaction
from chains.model import AccountTransaction

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
        decoded.append(decode_transaction(read_spoken(tx, where), index, receipts[index], trace, network))
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
    return [withdrawal_transaction(block, read, native_asset(network.chain).id)]


def gaps_of(block: Block, traces: Traces | None, why: str, watched: AbstractSet[bytes]) -> tuple[str, ...]:
    """What this block's answers cannot show; `why` are the node's words about its traces."""
    gaps: list[str] = []
    if traces is None and block.transactions:
        gaps.append(f"{NO_TRACES} ({why})" if why else NO_TRACES)
    if block.miner in watched:
        gaps.append(FEE_INCOME)
    return tuple(gaps)
