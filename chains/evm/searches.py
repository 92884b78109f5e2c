"""One transaction by its hash, mined or pending."""

from __future__ import annotations

from chains.errors import ChainError, NotReady, RpcError, Unsupported
from chains.evm import questions
from chains.evm.abilities import TRACE_METHODS
from chains.evm.blocks import Block, read_block
from chains.evm.client import BlockReader
from chains.evm.fields import fields_of, hash32, lie, quantity
from chains.evm.pools import decode_pending
from chains.evm.questions import raised
from chains.evm.receipts import read_receipt
from chains.evm.traces import TxTrace
from chains.evm.transactions import decode_transaction, read_spoken
from chains.model import AccountTransaction, BlockRef, TxId
from chains.rpc.transport import Json, Transport


def find_transaction(
    transport: Transport, reader: BlockReader, txid: TxId, at: BlockRef | None
) -> AccountTransaction | None:
    """The transaction whole, with its inner calls where the node shows them; None if the node does not know it."""
    tx_hash = questions.text(txid)
    place = _place_of(transport, tx_hash) if at is None else at
    if place is None:
        return None
    if isinstance(place, dict):
        return decode_pending(read_spoken(place, "transaction"), reader.network)
    block = _block_of(transport, reader, place)
    if block is None or tx_hash not in block.tx_hashes:
        return None
    return _decode(transport, reader, block, block.tx_hashes.index(tx_hash))


def _place_of(transport: Transport, tx_hash: str) -> BlockRef | dict[str, Json] | None:
    """The block a transaction is in, or the transaction itself while it is in none."""
    value = transport.call("eth_getTransactionByHash", (tx_hash,))
    if value is None:
        return None
    fields = dict(fields_of(value, "transaction"))
    if fields.get("hash") != tx_hash:
        raise lie("transaction.hash", "is another's")
    if fields.get("blockHash") is None:
        return fields
    return BlockRef(quantity(fields, "blockNumber", "transaction"), hash32(fields, "blockHash", "transaction"))


def _block_of(transport: Transport, reader: BlockReader, at: BlockRef) -> Block | None:
    value = transport.call(*questions.full_block_by_hash(at.hash))
    if value is None:
        return None
    block = read_block(value, at.height, standard_header=reader.network.standard_header)
    if block.ref != at:
        raise lie("block.hash", f"is {block.ref.hash.hex()}, asked for was {at.hash.hex()}")
    return block


def _decode(transport: Transport, reader: BlockReader, block: Block, index: int) -> AccountTransaction:
    tx = block.transactions[index]
    receipt, trace = _receipt_and_trace(transport, reader, block.tx_hashes[index])
    if receipt is None:
        raise NotReady(f"the receipt of {block.tx_hashes[index]} is null", endpoint=transport.name)
    read = read_receipt(receipt, block, index, tx)
    return decode_transaction(read_spoken(tx, "transaction"), index, read, trace, reader.network)


def _receipt_and_trace(transport: Transport, reader: BlockReader, tx_hash: str) -> tuple[Json, TxTrace | None]:
    method = reader.abilities_of(transport).tracing
    if method is None:
        return transport.call(*questions.receipt(tx_hash)), None
    receipt, answer = transport.batch([questions.receipt(tx_hash), method.transaction_call(tx_hash)])
    for other in (*TRACE_METHODS[TRACE_METHODS.index(method) + 1 :], None):
        try:
            value = raised(answer)
            if value is None:
                raise NotReady(f"{method.name} of {tx_hash} is null", endpoint=transport.name)
            return raised(receipt), method.read_transaction(value)
        except (Unsupported, RpcError):
            if isinstance(receipt, ChainError) or other is None:
                break
        method = other
        (answer,) = transport.batch([method.transaction_call(tx_hash)])
    return raised(receipt), None
