"""Asks one node for one block and proves that its answers belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from chains.errors import BlockGone, ChainError, LyingNode, NotReady, RpcError, Unsupported
from chains.evm import requests as questions
from chains.evm.abilities import TRACE_METHODS, Abilities, TraceMethod
from chains.evm.blocks import MAX_TRANSACTIONS, Block, read_block
from chains.evm.decode import Authorization, concerned_by_calls, concerned_by_value, find_authorizations
from chains.evm.fields import count, items_of, lie
from chains.evm.params import Network
from chains.evm.receipts import (
    ASKED,
    AccountIndex,
    Receipt,
    bloom_mask,
    concerned_by_logs,
    masks_of,
    may_hold,
    read_receipt,
    topic_account,
)
from chains.evm.requests import raised
from chains.evm.roots import UNPROVED, prove_receipts, prove_transactions
from chains.evm.traces import Traces
from chains.rpc.jsonrpc import Call, Json, Transport
from chains.rpc.prefetch import Ask, Fetches, asked_anew, requests_of

RECEIPTS_ONE_BY_ONE = 24
"""Up to so many receipts are asked for singly; beyond, all of the block in one answer cost less (2 kB each)."""

_ASKED = frozenset(ASKED)
_ASKED_MASKS = masks_of(ASKED)


@dataclass(frozen=True, slots=True)
class BlockAnswers:
    """Everything one node said about one block, held against each other. `receipts` are of what concerns us."""

    block: Block
    receipts: Mapping[int, Receipt]
    traces: Traces | None
    untraced_why: str
    authorizations: Sequence[Authorization]
    unproved: tuple[str, ...] = ()
    """What was to be proved and could not be."""


@dataclass(slots=True)
class BlockReader:
    """Reads blocks of one network. `contracts` are the contract wallets whose every event matters.

    `always_ask_logs` keeps the questions of a block the same whatever came before, as captures need. `prove_contents`
    reads every receipt of a block and proves them and the transactions complete by the header's roots.
    """

    network: Network
    contracts: frozenset[bytes] = frozenset()
    always_ask_logs: bool = False
    prove_contents: bool = False
    _abilities: dict[str, Abilities] = field(default_factory=dict)
    _index: AccountIndex = field(default_factory=AccountIndex)

    def abilities_of(self, transport: Transport) -> Abilities:
        """What is known of the node behind `transport`."""
        return self._abilities.setdefault(transport.name, Abilities())

    def blindness_of(self, endpoint: str) -> str:
        """Why the endpoint shows no inner calls; empty if it does, or was not asked yet."""
        abilities = self._abilities.get(endpoint)
        return "" if abilities is None or abilities.method < len(TRACE_METHODS) else f"no traces: {abilities.refusal}"

    def read(self, transport: Transport, height: int, watched: AbstractSet[bytes]) -> BlockAnswers:
        """The block at `height`. Raises BlockGone above the tip, LyingNode if the answers contradict each other twice.

        Once may be a reorg between two answers of one batch, or a backend behind a load balancer that is late.
        """
        try:
            return self._read(transport, height, watched)
        except LyingNode:
            return self._read(asked_anew(transport), height, watched)

    def plan(self, node: Fetches, heights: range, *, with_logs: bool) -> Ask:
        """How the answers are fetched ahead that `read` will ask for first; logs only if they are not by range."""
        abilities = self.abilities_of(node)
        method = TRACE_METHODS[abilities.method] if abilities.method < len(TRACE_METHODS) else None
        calls: list[Call] = []
        for height in heights:
            calls += self._first_calls(height, method, with_logs=with_logs).values()
            calls += [questions.block_receipts(height)] if self.prove_contents else []
        return lambda: requests_of(calls, node.fetch(calls))

    def needs_logs(self, node: Transport) -> bool:
        """Whether a block's logs are asked for together with it: the last one's bloom did not spare them."""
        return not self.prove_contents and (self.always_ask_logs or not self.abilities_of(node).spared_logs)

    def _read(self, transport: Transport, height: int, watched: AbstractSet[bytes]) -> BlockAnswers:
        abilities = self.abilities_of(transport)
        method = abilities.tracing
        calls = self._first_calls(height, method, with_logs=self.needs_logs(transport))
        answers = dict(zip(calls, transport.batch(list(calls.values())), strict=True))
        value = raised(answers["block"])
        if value is None:
            raise BlockGone(f"no block at height {height}", endpoint=transport.name)
        block = read_block(value, height, standard_header=self.network.standard_header)
        traces, why = abilities.block_traces(transport, block, method, answers.get("traces"), self.contracts)
        concerned = concerned_by_value(block.transactions, watched)
        given = find_authorizations(block.transactions, watched, self.network.number)
        concerned |= {a.tx_index for a in given}
        if traces is not None:
            concerned |= concerned_by_calls(traces, watched, self.contracts)
        if answers.get("contracts") is not None:
            concerned |= concerned_by_logs(raised(answers["contracts"]), block, watched, self.contracts).keys()
        if self.prove_contents:
            receipts, unproved = self._proved_receipts(transport, block)
            concerned |= {n for n, r in receipts.items() if _touches(r, watched, self.contracts)}
            return BlockAnswers(block, {n: receipts[n] for n in concerned}, traces, why, given, unproved)
        logs = self._logs(transport, block, watched, answers.get("logs"))
        if isinstance(logs, ChainError):
            receipts = self._all_receipts(transport, block, logs)
            concerned |= {n for n, r in receipts.items() if _touches(r, watched, self.contracts)}
            return BlockAnswers(block, {n: receipts[n] for n in concerned}, traces, why, given)
        concerned |= logs.keys()
        receipts = self._receipts(transport, block, sorted(concerned))
        self._compare(block, logs, receipts, watched)
        return BlockAnswers(block, receipts, traces, why, given)

    def _first_calls(self, height: int, method: TraceMethod | None, *, with_logs: bool) -> dict[str, Call]:
        calls = {"block": questions.full_block(height)}
        if with_logs:
            calls["logs"] = questions.account_logs(height)
        if self.contracts:
            calls["contracts"] = questions.contract_logs(height, sorted(self.contracts))
        if method is not None:
            calls["traces"] = method.block_call(height)
        return calls

    def _logs(
        self, transport: Transport, block: Block, watched: AbstractSet[bytes], answer: Json | ChainError
    ) -> dict[int, list[Json]] | ChainError:
        """Logs by concerned transaction, or the error of a node that refuses to list them."""
        may_concern = any(may_hold(block.bloom, m) for m in _ASKED_MASKS) and self._index.may_concern(
            block.bloom, watched
        )
        bloom_counts = self.network.standard_header and block.proved
        self.abilities_of(transport).spared_logs = bloom_counts and not may_concern
        if answer is None and (may_concern or not bloom_counts):
            (answer,) = transport.batch([questions.account_logs(block.ref.height)])
        if answer == [] and may_concern and bloom_counts:
            # A backend that has not the block yet answers [] by height; by hash it must say so.
            (answer,) = transport.batch([questions.account_logs_by_hash(block.ref.hash)])
        if isinstance(answer, (RpcError, Unsupported)):
            return answer
        return concerned_by_logs([] if answer is None else raised(answer), block, watched)

    def _receipts(self, transport: Transport, block: Block, wanted: list[int]) -> dict[int, Receipt]:
        if len(wanted) > RECEIPTS_ONE_BY_ONE and self.abilities_of(transport).block_receipts:
            try:
                every = self._all_receipts(transport, block, None)
            except Unsupported:
                self.abilities_of(transport).block_receipts = False
            else:
                return {n: every[n] for n in wanted}
        if not wanted:
            return {}
        answers = transport.batch([questions.receipt(block.tx_hashes[n]) for n in wanted])
        return dict(zip(wanted, self._read_receipts(transport, block, wanted, answers), strict=True))

    def _all_receipts(self, transport: Transport, block: Block, instead_of: ChainError | None) -> dict[int, Receipt]:
        """Every receipt of the block. Raises `instead_of` if the node does not give them in one answer."""
        rows = self._receipt_rows(transport, block, instead_of)
        return dict(enumerate(self._read_receipts(transport, block, range(len(rows)), rows)))

    def _receipt_rows(self, transport: Transport, block: Block, instead_of: ChainError | None) -> list[Json]:
        (answer,) = transport.batch([questions.block_receipts(block.ref.height)])
        if isinstance(answer, (RpcError, Unsupported)):
            raise instead_of or Unsupported(str(answer), endpoint=transport.name)
        value = raised(answer)
        if value is None:
            raise NotReady(f"the receipts of block {block.ref.height} are null", endpoint=transport.name)
        rows = items_of(value, "receipts", MAX_TRANSACTIONS)
        if len(rows) != len(block.tx_hashes):
            raise lie("receipts", f"are {len(rows)}, the block has {len(block.tx_hashes)} transactions")
        return rows

    def _proved_receipts(self, transport: Transport, block: Block) -> tuple[dict[int, Receipt], tuple[str, ...]]:
        """Every receipt, and what of the block's contents could not be proved. Raises Unsupported."""
        rows = self._receipt_rows(transport, block, None)
        receipts = dict(enumerate(self._read_receipts(transport, block, range(len(rows)), rows)))
        proved = {
            "transactions": prove_transactions(block, self.network.number),
            "receipts": prove_receipts(rows, block),
        }
        return receipts, tuple(UNPROVED.format(what=what) for what, fine in proved.items() if not fine)

    def _read_receipts(
        self, transport: Transport, block: Block, wanted: Iterable[int], answers: list[Json | ChainError]
    ) -> list[Receipt]:
        receipts = []
        for n, answer in zip(wanted, answers, strict=True):
            if answer is None:
                raise NotReady(f"the receipt of {block.tx_hashes[n]} is null", endpoint=transport.name)
            receipts.append(read_receipt(raised(answer), block, n, block.transactions[n]))
        return receipts

    def _compare(
        self,
        block: Block,
        logs: Mapping[int, list[Json]],
        receipts: Mapping[int, Receipt],
        watched: AbstractSet[bytes],
    ) -> None:
        """Logs listed for the block and logs in receipts are the same logs, and in the header's bloom."""
        for n, receipt in receipts.items():
            told = {log.index for log in receipt.logs if log.topics and log.topics[0] in _ASKED}
            if n in logs:
                listed = {count(log, "logIndex", "logs") for log in logs[n]}
            else:
                listed = set() if _touches(receipt, watched, frozenset()) else told
            if listed != told:
                raise lie(f"receipt[{n}].logs", "are not those that the log query gave")
            if block.proved and not all(may_hold(block.bloom, bloom_mask(log.contract)) for log in receipt.logs):
                raise lie(f"receipt[{n}].logs", "are not in the header's bloom")


def _touches(receipt: Receipt, watched: AbstractSet[bytes], contracts: AbstractSet[bytes]) -> bool:
    return any(
        log.contract in contracts
        or (log.topics and log.topics[0] in _ASKED and any(topic_account(t) in watched for t in log.topics[1:]))
        for log in receipt.logs
    )
