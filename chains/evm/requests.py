"""What a node is asked, as JSON-RPC calls: one place for every method's spelling."""

from __future__ import annotations

from collections.abc import Sequence

from chains.errors import ChainError
from chains.evm.receipts import ASKED_TEXT
from chains.rpc.jsonrpc import Call, Json


def tag(height: int) -> str:
    """A height as a quantity."""
    return hex(height)


def text(raw: bytes) -> str:
    """Bytes as hex data."""
    return "0x" + raw.hex()


def full_block(height: int) -> Call:
    """A block with its transactions, by height."""
    return ("eth_getBlockByNumber", (tag(height), True))


def full_block_by_hash(block_hash: bytes) -> Call:
    """A block with its transactions, by hash."""
    return ("eth_getBlockByHash", (text(block_hash), True))


def header(height_or_tag: int | str) -> Call:
    """A block without its transactions, by height or by `latest`, `safe`, `finalized`."""
    which = tag(height_or_tag) if isinstance(height_or_tag, int) else height_or_tag
    return ("eth_getBlockByNumber", (which, False))


def account_logs(height: int, last: int | None = None) -> Call:
    """Every event of a block, or of all from `height` to `last`, that can name an account."""
    high = height if last is None else last
    return ("eth_getLogs", ({"fromBlock": tag(height), "toBlock": tag(high), "topics": [list(ASKED_TEXT)]},))


def account_logs_by_hash(block_hash: bytes) -> Call:
    """The same by hash (EIP-234): a node that does not know the block must say so instead of answering `[]`."""
    return ("eth_getLogs", ({"blockHash": text(block_hash), "topics": [list(ASKED_TEXT)]},))


def contract_logs(height: int, contracts: Sequence[bytes]) -> Call:
    """Every event of some contracts in a block."""
    accounts = [text(c) for c in contracts]
    return ("eth_getLogs", ({"fromBlock": tag(height), "toBlock": tag(height), "address": accounts},))


def receipt(tx_hash: str) -> Call:
    """The receipt of one transaction."""
    return ("eth_getTransactionReceipt", (tx_hash,))


def block_receipts(height: int) -> Call:
    """All receipts of a block."""
    return ("eth_getBlockReceipts", (tag(height),))


def raised(answer: Json | ChainError) -> Json:
    """The answer of one call of a batch. Raises the error that stands in its place."""
    if isinstance(answer, ChainError):
        raise answer
    return answer
