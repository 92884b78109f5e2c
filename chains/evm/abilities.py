"""What a node can do beyond the common methods, found out by asking and remembered by endpoint."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from chains.errors import ChainError, NotReady, RpcError, Unsupported
from chains.evm import requests as questions
from chains.evm.blocks import Block
from chains.evm.requests import raised
from chains.evm.traces import (
    Traces,
    TxTrace,
    read_debug_block,
    read_debug_result,
    read_trace_block,
    read_trace_transaction,
)
from chains.rpc.jsonrpc import Call, Json, Transport

ASK_AGAIN_AFTER_BLOCKS = 1_000
"""A node without traces is asked for them again: it may have been restarted with another configuration."""


@dataclass(frozen=True, slots=True)
class TraceMethod:
    """One way of asking for calls inside transactions."""

    name: str
    block_call: Callable[[int], Call]
    read_block: Callable[[Json, Block, AbstractSet[bytes]], Traces]
    transaction_call: Callable[[str], Call]
    read_transaction: Callable[[Json], TxTrace]


def _debug(tracer: str) -> TraceMethod:
    return TraceMethod(
        name=tracer,
        block_call=lambda height: ("debug_traceBlockByNumber", (questions.tag(height), {"tracer": tracer})),
        read_block=lambda value, block, wallets: read_debug_block(value, block, tracer, wallets),
        transaction_call=lambda tx_hash: ("debug_traceTransaction", (tx_hash, {"tracer": tracer})),
        read_transaction=lambda value: read_debug_result(value, tracer, "trace"),
    )


TRACE_METHODS = (
    TraceMethod(
        name="trace_block",
        block_call=lambda height: ("trace_block", (questions.tag(height),)),
        read_block=read_trace_block,
        transaction_call=lambda tx_hash: ("trace_transaction", (tx_hash,)),
        read_transaction=read_trace_transaction,
    ),
    # Flat before nested: calls nested 512 deep make JSON of 1,024 levels, which decoders refuse.
    _debug("flatCallTracer"),
    _debug("callTracer"),
)


@dataclass(slots=True)
class Abilities:
    """One endpoint's. `method` is the place in TRACE_METHODS in use, its length for none."""

    method: int = 0
    untraced_blocks: int = 0
    block_receipts: bool = True
    spared_logs: bool = False
    """The last block's bloom showed that asking for its logs was not needed."""
    refusal: str = ""
    """The node's words when it refused its last trace method."""

    @property
    def tracing(self) -> TraceMethod | None:
        """The trace method to ask with next, None if the node has none."""
        if self.method >= len(TRACE_METHODS):
            self.untraced_blocks += 1
            if self.untraced_blocks < ASK_AGAIN_AFTER_BLOCKS:
                return None
            self.method, self.untraced_blocks = 0, 0
        return TRACE_METHODS[self.method]

    def block_traces(
        self,
        transport: Transport,
        block: Block,
        method: TraceMethod | None,
        first: Json | ChainError,
        wallets: AbstractSet[bytes],
    ) -> tuple[Traces | None, str]:
        """The calls of a block and an empty text, or None and why the node shows none.

        `first` is the answer to `method`, asked together with the block; calls of `wallets` are kept.
        Raises what is worth another try.
        """
        answer = first
        while method is not None:
            try:
                return method.read_block(_present(answer, method, block, transport), block, wallets), ""
            except (Unsupported, RpcError) as refusal:
                self.refusal = f"{method.name}: {refusal}"
                method = self._after(method, refusal)
            if method is not None:
                (answer,) = transport.batch([method.block_call(block.ref.height)])
        return None, self.refusal

    def _after(self, method: TraceMethod, refusal: ChainError) -> TraceMethod | None:
        """The next method. One the node does not have is not asked for again; one that failed on this block is."""
        place = TRACE_METHODS.index(method) + 1
        if isinstance(refusal, Unsupported) and self.method < place:
            self.method = place
        return TRACE_METHODS[place] if place < len(TRACE_METHODS) else None


def _present(answer: Json | ChainError, method: TraceMethod, block: Block, transport: Transport) -> Json:
    if answer is None:
        raise NotReady(f"{method.name} of block {block.ref.height} is null", endpoint=transport.name)
    return raised(answer)
