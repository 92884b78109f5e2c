"""Token movements: EIP-20, EIP-721 and EIP-1155 events as transfers.

What a contract says is a fact about its log, not about value: any contract may log a transfer of anybody (address
poisoning does), and rules decide which assets they believe. Wrapped ether's Deposit and Withdrawal are no transfers by
the standard and are left out: a wallet that wraps sees its coin go to the contract and nothing come back here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chains.evm.addresses import to_address
from chains.evm.logs import TRANSFER, TRANSFER_BATCH, TRANSFER_SINGLE, Log, topic_account
from chains.evm.params import Network
from chains.model import AssetId, ChainId, Transfer, TransferKind

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
