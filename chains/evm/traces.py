"""Calls inside transactions, as nodes' trace modules tell them: what moved ether without a log.

Two shapes are read. *Flat* (`trace_block` of Erigon, Nethermind, Besu, Reth, anvil; geth's `flatCallTracer`): one entry
a call with its `traceAddress`. *Nested* (geth's `callTracer`): a tree. In both a call that failed takes everything
below it along; delegate and static calls carry no value; the outermost call's value is the transaction's own and
is not told here; a self-destruct moves the whole balance (EIP-6780 leaves that).
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from chains.errors import RpcError, Unsupported
from chains.evm.blocks import Block
from chains.evm.fields import Fields, account, account_or_none, count, fields_of, items_of, lie, quantity_or
from chains.rpc.jsonrpc import Json

MAX_TRACES = 5_000_000
MAX_DEPTH = 1_025  # the machine's own limit is 1,024 calls


@dataclass(frozen=True, slots=True)
class Move:
    """Ether moved by a call inside a transaction."""

    sender: bytes
    receiver: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True)
class InnerCall:
    """A successful call of a contract wallet, outermost one included: its input may be a Safe execution."""

    sender: bytes
    receiver: bytes
    depth: int
    delegated: bool
    input: str


@dataclass(slots=True)
class TxTrace:
    """What is known of one transaction: `failed` if its outermost call failed; `moves` in order of execution."""

    failed: bool = False
    moves: list[Move] = field(default_factory=list)
    calls: list[InnerCall] = field(default_factory=list)


NONE: frozenset[bytes] = frozenset()
_NOTHING = (None, "0x0")

Traces = list[TxTrace]
"""One a transaction, in the block's order."""


def read_trace_block(value: Json, block: Block, wallets: AbstractSet[bytes] = NONE) -> Traces:
    """The answer of `trace_block`, with the calls of `wallets`.

    Raises LyingNode if it is of another block or leaves out a transaction.
    """
    traces = [TxTrace() for _ in block.tx_hashes]
    by_tx: list[list[Fields]] = [[] for _ in block.tx_hashes]
    for row in items_of(value, "traces", MAX_TRACES):
        fields = fields_of(row, "trace")
        if fields.get("blockHash") != block.hash_text:
            raise lie("trace.blockHash", f"is {fields.get('blockHash')!r:.80}, asked for was {block.hash_text}")
        if fields.get("type") == "reward":
            continue
        position = count(fields, "transactionPosition", "trace")
        if position >= len(by_tx) or fields.get("transactionHash") != block.tx_hashes[position]:
            raise lie("trace.transactionHash", f"is not that of transaction {position} of the block")
        by_tx[position].append(fields)
    for trace, rows in zip(traces, by_tx, strict=True):
        _read_flat(rows, trace, wallets)
    return traces


def read_debug_block(value: Json, block: Block, tracer: str, wallets: AbstractSet[bytes] = NONE) -> Traces:
    """The answer of `debug_traceBlockByNumber` with `callTracer` or `flatCallTracer`: one result a transaction."""
    rows = items_of(value, "traces", MAX_TRACES)
    if len(rows) != len(block.tx_hashes):
        raise lie("traces", f"are of {len(rows)} transactions, the block has {len(block.tx_hashes)}")
    traces: Traces = []
    for n, (row, tx_hash) in enumerate(zip(rows, block.tx_hashes, strict=True)):
        fields = fields_of(row, f"trace[{n}]")
        if fields.get("txHash", tx_hash) != tx_hash:
            raise lie(f"trace[{n}].txHash", "is another transaction's")
        if fields.get("error"):
            raise RpcError(f"{tracer}: {fields['error']!s:.200}", code=0)
        traces.append(read_debug_result(fields.get("result"), tracer, f"trace[{n}]", wallets))
    return traces


def read_debug_result(value: Json, tracer: str, where: str, wallets: AbstractSet[bytes] = NONE) -> TxTrace:
    """One transaction's result of `callTracer` or `flatCallTracer`."""
    trace = TxTrace()
    if tracer == "flatCallTracer":
        if isinstance(value, dict):  # anvil 1.7.1 answers {} for a tracer it does not have
            raise Unsupported(f"{where}: the node has no {tracer}")
        _read_flat([fields_of(row, where) for row in items_of(value, where, MAX_TRACES)], trace, wallets)
    else:
        _read_nested(fields_of(value, where), trace, wallets)
    return trace


def read_trace_transaction(value: Json) -> TxTrace:
    """The answer of `trace_transaction`."""
    trace = TxTrace()
    _read_flat([fields_of(row, "trace") for row in items_of(value, "traces", MAX_TRACES)], trace, NONE)
    return trace


def _read_flat(rows: list[Fields], trace: TxTrace, wallets: AbstractSet[bytes]) -> None:
    """Entries stand in order of execution, parents before children."""
    if not rows:
        raise lie("traces", "leave out a transaction of the block")
    failed: list[Json] | None = None
    for fields in rows:
        path = fields.get("traceAddress")
        if not isinstance(path, list):
            raise lie("trace.traceAddress", "is no list")
        if failed is not None and path[: len(failed)] == failed:
            continue
        failed = None
        if fields.get("error"):
            failed = path
            trace.failed = trace.failed or not path
            continue
        _read_action(fields, len(path), trace, wallets)


def _read_action(fields: Fields, depth: int, trace: TxTrace, wallets: AbstractSet[bytes]) -> None:
    action = fields_of(fields.get("action"), "trace.action")
    kind = fields.get("type")
    if kind == "call":
        call_type = action.get("callType")
        moves = depth and call_type == "call" and action.get("value") not in _NOTHING
        if wallets or moves:
            sender, receiver = account(action, "from", "trace.action"), account(action, "to", "trace.action")
            if receiver in wallets:
                delegated = call_type == "delegatecall"
                trace.calls.append(InnerCall(sender, receiver, depth, delegated, _text(action.get("input"))))
            if moves:
                _move(trace, sender, receiver, quantity_or(action, "value", "trace.action", 0))
    elif kind == "create" and depth:
        result = fields_of(fields.get("result"), "trace.result")
        made = account(result, "address", "trace.result")
        _move(trace, account(action, "from", "trace.action"), made, quantity_or(action, "value", "trace.action", 0))
    elif kind in {"suicide", "selfdestruct"}:
        heir = account(action, "refundAddress", "trace.action")
        _move(
            trace, account(action, "address", "trace.action"), heir, quantity_or(action, "balance", "trace.action", 0)
        )
    elif kind != "create":
        raise lie("trace.type", f"is {kind!r:.40}")


def _read_nested(root: Fields, trace: TxTrace, wallets: AbstractSet[bytes]) -> None:
    for fields, depth in _walk(root):
        kind = fields.get("type")
        if fields.get("error"):
            trace.failed = trace.failed or not depth
            continue
        sender, receiver = account(fields, "from", "trace"), account_or_none(fields, "to", "trace")
        if receiver is None or kind in {"STATICCALL", "CALLCODE"}:
            continue
        if receiver in wallets and kind in {"CALL", "DELEGATECALL"}:
            trace.calls.append(InnerCall(sender, receiver, depth, kind == "DELEGATECALL", _text(fields.get("input"))))
        if depth and kind in {"CALL", "CREATE", "CREATE2", "SELFDESTRUCT"}:
            _move(trace, sender, receiver, quantity_or(fields, "value", "trace", 0))


def _walk(root: Fields) -> Iterator[tuple[Fields, int]]:
    """Depth first, in order of execution; nothing below a call that failed. No recursion: depth is the node's word."""
    stack = [(root, 0)]
    while stack:
        fields, depth = stack.pop()
        yield fields, depth
        if fields.get("error"):
            continue
        if depth > MAX_DEPTH:
            raise lie("trace", f"is deeper than {MAX_DEPTH} calls")
        below = items_of(fields.get("calls") or [], "trace.calls", MAX_TRACES)
        stack += [(fields_of(call, "trace.calls"), depth + 1) for call in reversed(below)]


def _move(trace: TxTrace, sender: bytes, receiver: bytes, amount_wei: int) -> None:
    if amount_wei:
        trace.moves.append(Move(sender, receiver, amount_wei))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else "0x"
