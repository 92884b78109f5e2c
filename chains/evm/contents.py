"""Everything in a block proved by its header: all transactions, and all receipts with every log.

Costs 20 µs a transaction, which is more than all the rest of reading a block; worth it where the node is not one's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.evm.blocks import Block
from chains.evm.encodings import rlp_encode
from chains.evm.envelopes import encode_transaction
from chains.evm.fields import Fields, account, data, fields_of, items_of, lie, quantity, quantity_or
from chains.evm.logs import MAX_LOGS
from chains.evm.roots import ordered_root
from chains.rpc.transport import Json

UNPROVED = "contents: this block's list of {what} cannot be proved (its header or a type in it is not known here)"


def prove_transactions(block: Block, chain_number: int) -> bool:
    """True if the block's transactions are all of it and nothing else; False if that cannot be told.

    Raises LyingNode if they are not.
    """
    encoded = [encode_transaction(tx, chain_number, f"transaction[{n}]") for n, tx in enumerate(block.transactions)]
    known = [e for e in encoded if e is not None]
    if not block.proved or len(known) != len(encoded):
        return False
    if ordered_root(known) != block.transactions_root:
        raise lie("block.transactions", "are not those that the header commits to")
    return True


def prove_receipts(rows: Sequence[Json], block: Block) -> bool:
    """The same for receipts, given as the node told them, in order. Raises LyingNode if a log was left out or added."""
    encoded = [_encode_receipt(fields_of(row, "receipt"), f"receipt[{n}]") for n, row in enumerate(rows)]
    known = [e for e in encoded if e is not None]
    if not block.proved or len(known) != len(encoded):
        return False
    if ordered_root(known) != block.receipts_root:
        raise lie("receipts", "are not those that the header commits to")
    return True


def _encode_receipt(fields: Fields, where: str) -> bytes | None:
    """The consensus form (EIP-658, EIP-2718); None for types of rollups and for receipts without status."""
    kind = quantity_or(fields, "type", where, 0)
    if kind > 4 or fields.get("status") is None:
        return None
    logs = [fields_of(log, where) for log in items_of(fields.get("logs"), where, MAX_LOGS)]
    body = rlp_encode(
        [
            quantity(fields, "status", where),
            quantity(fields, "cumulativeGasUsed", where),
            data(fields, "logsBloom", where, 256),
            [[account(log, "address", where), _topics(log, where), data(log, "data", where)] for log in logs],
        ]
    )
    return body if kind == 0 else bytes((kind,)) + body


def _topics(log: Fields, where: str) -> list[bytes]:
    return [data({"topic": t}, "topic", where, 32) for t in items_of(log.get("topics"), where, 4)]
