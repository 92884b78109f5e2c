"""What became of a transaction: status, fee and logs."""

from __future__ import annotations

from dataclasses import dataclass

from chains.evm.blocks import Block
from chains.evm.fields import Fields, account_or_none, count, fields_of, items_of, lie, quantity, quantity_or
from chains.evm.logs import Log, check_place, read_log
from chains.rpc.transport import Json

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
    check_place(fields, block, tx_index, where)
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
