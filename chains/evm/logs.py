"""Event logs as the node tells them, and a quick look at which of them concern the watch set."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.evm.blocks import Block
from chains.evm.fields import account, count, data, data_of, fields_of, items_of, lie
from chains.rpc.transport import Json

MAX_LOGS = 1_000_000


def topic(signature: str) -> bytes:
    """The first topic of an event."""
    return keccak(text=signature)


TRANSFER = topic("Transfer(address,address,uint256)")  # EIP-20 and, with a fourth topic, EIP-721
TRANSFER_SINGLE = topic("TransferSingle(address,address,address,uint256,uint256)")  # EIP-1155
TRANSFER_BATCH = topic("TransferBatch(address,address,address,uint256[],uint256[])")
APPROVAL = topic("Approval(address,address,uint256)")
APPROVAL_FOR_ALL = topic("ApprovalForAll(address,address,bool)")
PERMIT2_APPROVAL = topic("Approval(address,address,address,uint160,uint48)")
PERMIT2_PERMIT = topic("Permit(address,address,address,uint160,uint48,uint48)")

ASKED = (TRANSFER, TRANSFER_SINGLE, TRANSFER_BATCH, APPROVAL, APPROVAL_FOR_ALL, PERMIT2_APPROVAL, PERMIT2_PERMIT)
"""Every event that can concern an account by a topic."""
ASKED_TEXT = tuple("0x" + t.hex() for t in ASKED)
_ASKED_TEXT = frozenset(ASKED_TEXT)


@dataclass(frozen=True, slots=True)
class Log:
    """One event. `index` is its position in the block."""

    contract: bytes
    topics: tuple[bytes, ...]
    data: bytes
    tx_index: int
    index: int


def topic_account(word: bytes) -> bytes:
    """The account in a 32-byte word."""
    return word[12:]


def read_log(value: Json, block: Block, where: str) -> Log:
    """One log. Raises LyingNode if it is of another block or transaction than it says."""
    fields = fields_of(value, where)
    if fields.get("removed") is True:
        raise lie(where, "was removed by a reorg")
    tx_index = count(fields, "transactionIndex", where)
    check_place(fields, block, tx_index, where)
    topics = items_of(fields.get("topics"), where, 4)
    return Log(
        contract=account(fields, "address", where),
        topics=tuple([data_of(t, where, 32, "topics") for t in topics]),
        data=data(fields, "data", where),
        tx_index=tx_index,
        index=count(fields, "logIndex", where),
    )


def check_place(fields: dict[str, Json] | Json, block: Block, tx_index: int, where: str) -> None:
    """A log or receipt must name the block asked for and the transaction that stands at its index there."""
    if fields.get("blockHash") != block.hash_text:
        raise lie(f"{where}.blockHash", f"is {fields.get('blockHash')!r:.80}, asked for was {block.hash_text}")
    if tx_index >= len(block.tx_hashes) or fields.get("transactionHash") != block.tx_hashes[tx_index]:
        raise lie(f"{where}.transactionHash", f"is not that of transaction {tx_index} of the block")


def concerned_by_logs(
    logs: Json, block: Block, watched: AbstractSet[bytes], contracts: AbstractSet[bytes] = frozenset()
) -> dict[int, list[Json]]:
    """Transaction index -> its logs in `logs`, of those with a watched account in a topic or from one of `contracts`.

    Looks at every log of the block, so it decodes each different account once; what it returns is read with care later.
    """
    rows = items_of(logs, "logs", MAX_LOGS)
    try:
        _check_places(rows, block)
        words = {word for log in rows for word in log["topics"]}
        if not {len(word) for word in words} <= {66}:
            raise lie("logs.topics", "are not of 32 bytes")
        named = {word for word in words if bytes.fromhex(word[26:]) in watched}
        emitters = {log["address"] for log in rows} if contracts else ()
        wallets = {text for text in emitters if bytes.fromhex(text[2:]) in contracts}
        concerned = {
            block.positions[log["transactionHash"]]
            for log in (rows if named or wallets else ())
            if log["address"] in wallets
            or (not named.isdisjoint(log["topics"][1:]) and log["topics"][0] in _ASKED_TEXT)
        }
    except (TypeError, KeyError, ValueError) as error:
        raise lie("logs", f"are malformed: {error!r:.90}") from error
    return _grouped(rows, block, concerned)


def _check_places(rows: list[Json], block: Block) -> None:
    hashes = {log["blockHash"] for log in rows}
    if not hashes <= {block.hash_text}:
        raise lie("logs.blockHash", f"is {hashes!r:.160}, asked for was {block.hash_text}")
    if not {log["transactionHash"] for log in rows} <= block.positions.keys():
        raise lie("logs.transactionHash", "is of no transaction of the block")


def _grouped(rows: list[Json], block: Block, concerned: set[int]) -> dict[int, list[Json]]:
    grouped: dict[int, list[Json]] = {index: [] for index in concerned}
    for log in rows if concerned else ():
        index = block.positions[log["transactionHash"]]
        if index in grouped:
            grouped[index].append(log)
    return grouped
