"""Movements of ERC-20, ERC-721 and ERC-1155 tokens, and allowances granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from eth_utils.crypto import keccak

from chains.errors import ChainError, RpcError, Unsupported
from chains.evm.blocks import Block
from chains.evm.fields import to_address
from chains.evm.params import Network
from chains.evm.receipts import (
    APPROVAL,
    APPROVAL_FOR_ALL,
    PERMIT2_APPROVAL,
    PERMIT2_PERMIT,
    TRANSFER,
    TRANSFER_BATCH,
    TRANSFER_SINGLE,
    Log,
    Receipt,
    topic_account,
)
from chains.evm.state import eth_call, read_states
from chains.model import AssetId, BlockRef, ChainId, ControlChange, ControlKind, Transfer, TransferKind
from chains.rpc.jsonrpc import Json, Transport

MAX_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class TokenMove:
    """One movement in a log: `amount` base units of `asset`."""

    asset: AssetId
    sender: bytes
    receiver: bytes
    amount: int
    log_index: int


@lru_cache(maxsize=65536)
def erc20_asset(chain: ChainId, contract: bytes) -> AssetId:
    """CAIP-19 id of a token contract."""
    return AssetId(chain, "erc20", "0x" + contract.hex())


def _item_asset(chain: ChainId, standard: str, contract: bytes, token: int) -> AssetId:
    """CAIP-19 writes an item as `contract/number`; with `%2f` for the slash the item is an asset of its own."""
    return AssetId(chain, standard, f"0x{contract.hex()}%2f{token}")


def token_moves(logs: Sequence[Log], network: Network, chain: ChainId) -> Iterator[TokenMove]:
    """Every movement in `logs`, in their order. Logs of another shape than the standards' are no movements."""
    for log in logs:
        if not log.topics or log.contract in network.coin_mirrors:
            continue
        if log.topics[0] == TRANSFER:
            yield from _transfer(log, chain)
        elif log.topics[0] == TRANSFER_SINGLE and len(log.topics) == 4 and len(log.data) == 64:
            token, amount = _words(log.data)
            yield _item(log, chain, token, amount)
        elif log.topics[0] == TRANSFER_BATCH and len(log.topics) == 4:
            for token, amount in _batch(log.data):
                yield _item(log, chain, token, amount)


def _transfer(log: Log, chain: ChainId) -> Iterator[TokenMove]:
    if len(log.topics) == 3 and len(log.data) == 32:
        asset, amount = erc20_asset(chain, log.contract), int.from_bytes(log.data, "big")
    elif len(log.topics) == 4 and not log.data:
        asset, amount = _item_asset(chain, "erc721", log.contract, int.from_bytes(log.topics[3], "big")), 1
    else:
        return
    yield TokenMove(asset, topic_account(log.topics[1]), topic_account(log.topics[2]), amount, log.index)


def _item(log: Log, chain: ChainId, token: int, amount: int) -> TokenMove:
    asset = _item_asset(chain, "erc1155", log.contract, token)
    return TokenMove(asset, topic_account(log.topics[2]), topic_account(log.topics[3]), amount, log.index)


def _words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def _batch(raw: bytes) -> list[tuple[int, int]]:
    """Two dynamic arrays of equal length; nothing if the encoding is broken."""
    if len(raw) < 128 or len(raw) % 32:
        return []
    words = _words(raw)
    arrays = [_array(words, words[0]), _array(words, words[1])]
    if len(arrays[0]) != len(arrays[1]):
        return []
    return list(zip(*arrays, strict=True))


def _array(words: Sequence[int], offset: int) -> Sequence[int]:
    at = offset // 32
    if offset % 32 or at >= len(words) or words[at] > min(MAX_BATCH, len(words) - at - 1):
        return ()
    return words[at + 1 : at + 1 + words[at]]


def as_transfer(move: TokenMove, ordinal: int) -> Transfer:
    """The movement in the common language."""
    return Transfer(
        move.asset,
        to_address(move.sender),
        to_address(move.receiver),
        move.amount,
        TransferKind.TOKEN,
        ordinal,
        move.log_index,
    )


_CALL_TRANSFER = bytes.fromhex("a9059cbb")  # transfer(address,uint256)
_CALL_TRANSFER_FROM = bytes.fromhex("23b872dd")  # transferFrom(address,address,uint256)


def announced_moves(
    sender: bytes, contract: bytes, calldata: bytes, chain: ChainId
) -> Iterator[tuple[AssetId, bytes, bytes, int]]:
    """(asset, payer, payee, amount) that a call of EIP-20's two payment functions asks for."""
    selector, arguments = calldata[:4], calldata[4:]
    if selector == _CALL_TRANSFER and len(arguments) >= 64:
        amount = int.from_bytes(arguments[32:64], "big")
        yield erc20_asset(chain, contract), sender, arguments[12:32], amount
    elif selector == _CALL_TRANSFER_FROM and len(arguments) >= 96:
        amount = int.from_bytes(arguments[64:96], "big")
        yield erc20_asset(chain, contract), arguments[12:32], arguments[44:64], amount


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
