"""Receipts, their logs, and the bloom filters that say where a log cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from eth_utils.crypto import keccak

from chains.evm.blocks import Block
from chains.evm.fields import (
    Fields,
    account,
    account_or_none,
    count,
    data,
    data_of,
    fields_of,
    items_of,
    lie,
    quantity,
    quantity_or,
)
from chains.rpc.jsonrpc import Json

_BITS = 2048
_EXPECTED_FALSE = 3
"""With more accounts expected in the bloom by chance than this, searching it is worth nothing."""


@lru_cache(maxsize=16384)
def bloom_mask(item: bytes) -> int:
    """The three bits of an address or topic."""
    digest = keccak(item)
    mask = 0
    for at in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[at : at + 2], "big") & (_BITS - 1))
    return mask


def may_hold(bloom: int, mask: int) -> bool:
    """False only if the item is certainly in no log."""
    return bloom & mask == mask


class AccountIndex:
    """Watched accounts by one of their bits, as padded log topics, so that a search looks at few of them.

    A search over n accounts costs n x (share of bits set) and is given up where chance alone would find one: at 100,000
    accounts beyond 64 bits set, which is 3,000 comparisons at most.
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._by_bit: dict[int, list[int]] = {}

    def may_concern(self, bloom: int, accounts: AbstractSet[bytes]) -> bool:
        """True if a log topic of `bloom` may be one of `accounts`."""
        share = bloom.bit_count() / _BITS
        if len(accounts) * share**3 >= _EXPECTED_FALSE:
            return True
        self._learn(accounts)
        return any(may_hold(bloom, mask) for bit, masks in self._by_bit.items() if bloom >> bit & 1 for mask in masks)

    def _learn(self, accounts: AbstractSet[bytes]) -> None:
        """Accounts that are no longer watched stay: they can only make the answer `True` once too often."""
        if accounts <= self._known:
            return
        for key in accounts - self._known:
            mask = bloom_mask(key.rjust(32, b"\0"))
            self._by_bit.setdefault(mask.bit_length() - 1, []).append(mask)
        self._known |= accounts


def masks_of(items: Iterable[bytes]) -> tuple[int, ...]:
    """The masks of several items."""
    return tuple(bloom_mask(item) for item in items)


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
    check_position(fields, block, tx_index, where)
    topics = items_of(fields.get("topics"), where, 4)
    return Log(
        contract=account(fields, "address", where),
        topics=tuple([data_of(t, where, 32, "topics") for t in topics]),
        data=data(fields, "data", where),
        tx_index=tx_index,
        index=count(fields, "logIndex", where),
    )


def check_position(fields: dict[str, Json] | Json, block: Block, tx_index: int, where: str) -> None:
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
        _check_positions(rows, block)
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


def _check_positions(rows: list[Json], block: Block) -> None:
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


MAX_LOGS_PER_TX = 100_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """`ok` is None before Byzantium, where receipts carry no status. `fee_wei` is all the sender paid."""

    ok: bool | None
    fee_wei: int
    gas_used: int
    logs: tuple[Log, ...]
    created: bytes | None


def read_receipt(value: Json, block: Block, tx_index: int, tx: Fields) -> Receipt:
    """The receipt of transaction `tx_index` of `block`. Raises LyingNode if it is another's."""
    where = f"receipt[{tx_index}]"
    fields = fields_of(value, where)
    if count(fields, "transactionIndex", where) != tx_index:
        raise lie(f"{where}.transactionIndex", "is another transaction's")
    check_position(fields, block, tx_index, where)
    rows = items_of(fields.get("logs"), f"{where}.logs", MAX_LOGS_PER_TX)
    logs = tuple(read_log(row, block, f"{where}.logs") for row in rows)
    if any(log.tx_index != tx_index for log in logs):
        raise lie(f"{where}.logs", "are another transaction's")
    return Receipt(
        ok=_status(fields, where),
        fee_wei=_fee(fields, tx, where),
        gas_used=quantity(fields, "gasUsed", where),
        logs=logs,
        created=account_or_none(fields, "contractAddress", where),
    )


def _status(fields: Fields, where: str) -> bool | None:
    if fields.get("status") is None:
        return None
    status = quantity(fields, "status", where)
    if status > 1:
        raise lie(f"{where}.status", f"is {status}")
    return status == 1


def _fee(fields: Fields, tx: Fields, where: str) -> int:
    """Execution gas at the price paid, blob gas (EIP-4844), and on rollups of the OP stack the `l1Fee`.

    Nodes older than London leave `effectiveGasPrice` out; the transaction's own price is the same there.
    """
    price = quantity_or(fields, "effectiveGasPrice", where, -1)
    if price < 0:
        price = quantity(tx, "gasPrice", where)
    blob = quantity_or(fields, "blobGasUsed", where, 0) * quantity_or(fields, "blobGasPrice", where, 0)
    fee = quantity(fields, "gasUsed", where) * price + blob + quantity_or(fields, "l1Fee", where, 0)
    if fee >= 2**256:
        raise lie(where, "claims a fee above 2**256")
    return fee
