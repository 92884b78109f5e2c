"""Who was allowed to take a watched account's tokens: EIP-20 and EIP-721 approvals, operators, Permit2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.errors import ChainError, RpcError, Unsupported
from chains.evm.addresses import to_address
from chains.evm.blocks import Block
from chains.evm.logs import (
    APPROVAL,
    APPROVAL_FOR_ALL,
    PERMIT2_APPROVAL,
    PERMIT2_PERMIT,
    Log,
    topic_account,
)
from chains.evm.receipts import Receipt
from chains.evm.states import eth_call, read_states
from chains.model import BlockRef, ControlChange, ControlKind
from chains.rpc.transport import Json, Transport

PERMIT2 = bytes.fromhex("000000000022d473030f116ddee9f6b43ac78ba3")
"""The one deployment of Uniswap's Permit2, at the same account on every network."""

_PERMIT2_EVENTS = (PERMIT2_APPROVAL, PERMIT2_PERMIT)
_ALLOWANCE = keccak(text="allowance(address,address)")[:4]


@dataclass(frozen=True, slots=True)
class Grant:
    """What an event says: `owner` lets `spender` take up to `limit` of `token`.

    `standard` is erc20, erc721 (limit: the item's number), operator (limit 1: all items) or permit2.
    """

    tx_index: int
    standard: str
    token: bytes
    owner: bytes
    spender: bytes
    limit: int
    expires_at: int | None = None


def find_grants(receipts: Mapping[int, Receipt], watched: AbstractSet[bytes]) -> list[Grant]:
    """Every grant by a watched owner, in the block's order; grants of nothing are kept, they end one."""
    return [
        grant
        for index in sorted(receipts)
        if receipts[index].ok is not False
        for log in receipts[index].logs
        for grant in _grants(log, index)
        if grant.owner in watched
    ]


def _grants(log: Log, index: int) -> Iterator[Grant]:
    if not log.topics or len(log.topics) < 3:
        return
    first, owner, second = log.topics[0], topic_account(log.topics[1]), topic_account(log.topics[2])
    if first == APPROVAL and len(log.topics) == 3 and len(log.data) == 32:
        yield Grant(index, "erc20", log.contract, owner, second, int.from_bytes(log.data, "big"))
    elif first == APPROVAL and len(log.topics) == 4 and not log.data:
        yield Grant(index, "erc721", log.contract, owner, second, int.from_bytes(log.topics[3], "big"))
    elif first == APPROVAL_FOR_ALL and len(log.topics) == 3 and len(log.data) == 32:
        yield Grant(index, "operator", log.contract, owner, second, int.from_bytes(log.data, "big"))
    elif first in _PERMIT2_EVENTS and log.contract == PERMIT2 and len(log.topics) == 4 and len(log.data) >= 64:
        limit, expires = (int.from_bytes(log.data[at : at + 32], "big") for at in (0, 32))
        yield Grant(index, "permit2", second, owner, topic_account(log.topics[3]), limit, expires)


def read_allowance_changes(
    transport: Transport, grants: Sequence[Grant], block: Block, parent: BlockRef
) -> list[ControlChange]:
    """Grants that let somebody take more than before the event.

    A grant of nothing is none, and many tokens log the smaller rest of an allowance at each `transferFrom`: the
    allowance before the block is asked of the token, and followed through the block.
    """
    pairs = sorted({(g.token, g.owner, g.spender) for g in grants if g.standard == "erc20"})
    calls = [eth_call(token, _ALLOWANCE + _padded(owner) + _padded(spender)) for token, owner, spender in pairs]
    answers = read_states(transport, calls, parent)
    known = {pair: limit for pair, a in zip(pairs, answers, strict=True) if (limit := _limit(a)) is not None}
    changes = []
    for grant in grants:
        pair = (grant.token, grant.owner, grant.spender)
        before = known.get(pair) if grant.standard == "erc20" else None
        if grant.standard == "erc20":
            known[pair] = grant.limit
        if _is_more(grant, before):
            changes.append(_change(grant, block.txid(grant.tx_index), before))
    return changes


def _padded(account: bytes) -> bytes:
    return account.rjust(32, b"\0")


def _limit(answer: Json | ChainError) -> int | None:
    """What a token says, None if it says nothing (no code yet at the parent counts as nothing allowed).

    Raises what is worth another try.
    """
    if isinstance(answer, ChainError) and not isinstance(answer, (RpcError, Unsupported)):
        raise answer
    if answer == "0x":
        return 0
    if not isinstance(answer, str) or len(answer) != 66:
        return None
    try:
        return int(answer, 16)
    except ValueError:
        return None


def _is_more(grant: Grant, before: int | None) -> bool:
    if grant.standard == "erc721":
        return grant.spender != bytes(20)
    return grant.limit > (before or 0)


def _change(grant: Grant, txid: bytes, before: int | None) -> ControlChange:
    detail: dict[str, str | int] = {
        "standard": grant.standard,
        "token": to_address(grant.token).text,
        "spender": to_address(grant.spender).text,
    }
    if grant.expires_at is not None:
        detail["expires_at"] = grant.expires_at
    after = f"item {grant.limit}" if grant.standard == "erc721" else str(grant.limit)
    return ControlChange(
        txid=txid,
        account=to_address(grant.owner),
        kind=ControlKind.ALLOWANCE,
        before="unknown" if before is None and grant.standard == "erc20" else str(before or 0),
        after=after,
        detail=detail,
    )
