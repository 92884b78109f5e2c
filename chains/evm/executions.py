"""What the Safes of a block executed: signers, and delegated calls into code that is not known to be harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.evm.addresses import to_address
from chains.evm.blocks import Block
from chains.evm.client import BlockAnswers
from chains.evm.fields import data_of
from chains.evm.params import Network
from chains.evm.receipts import topic
from chains.evm.safe import DELEGATECALL, Execution, InnerOperation, find_signers, operations_of, read_execution
from chains.evm.state import WalletState, read_codes
from chains.evm.transactions import read_transaction_fields
from chains.model import ControlChange, ControlKind, SigningFacts
from chains.rpc.jsonrpc import Transport

MULTI_SEND_CODES = frozenset(
    bytes.fromhex(digest)
    for digest in (
        "ea3cd4564369cbf8fc26ee65c7f0ba817895866824160662a75f266ef84e45cf",  # 1.3.0 MultiSend
        "a9865ac2d9c7a1591619b188c4d88167b50df6cc0c5327fcbd1c8c75f7c066ad",  # 1.3.0 MultiSendCallOnly
        "be8c0a076af4c2555e37ce30e86a260c5d695e7f1f372621e64eb3b8f91afcea",  # 1.4.1 MultiSend
        "ecd5bd14a08c5d2122379900b2f272bdf107a7e92423c10dd5fe3254386c9939",  # 1.4.1 MultiSendCallOnly
        "6162351242f2689768583ab62161154ad1e0454a1f7706f20ec2346dfd0e157d",  # 1.5.0 MultiSend
        "cdbdcec38d2f1c7d961b0029ff8416b7e86e9974d6f0e9c9580c7d17fcfb6663",  # 1.5.0 MultiSendCallOnly
    )
)
"""Keccak-256 of the code of safe-smart-account's MultiSend contracts, their own account in it zeroed (an immutable)."""

_EXECUTION_FAILURE = topic("ExecutionFailure(bytes32,uint256)")

NONCES_TRIED = 8
"""Executions of one Safe in one block that the node did not show us may have used nonces in between."""


@dataclass(frozen=True, slots=True)
class ExecutedSafe:
    """One successful `execTransaction`. `nonce` None: no nonce and domain made the signatures those of owners."""

    tx_index: int
    safe: bytes
    execution: Execution
    nonce: int | None
    signers: tuple[bytes, ...]


def find_executions(
    answers: BlockAnswers, before: Mapping[bytes, WalletState], touched: Mapping[bytes, Sequence[int]], network: Network
) -> list[ExecutedSafe]:
    """Executions of the Safes in `before`, called by anybody, in the block's order."""
    found = []
    next_nonce = {safe: state.nonce for safe, state in before.items()}
    for index in sorted({n for positions in touched.values() for n in positions}):
        for safe, calldata in _safe_calls(answers, index):
            execution = read_execution(calldata) if safe in before else None
            if execution is not None:
                nonces = range(next_nonce[safe], next_nonce[safe] + NONCES_TRIED)
                owners = frozenset(before[safe].owners)
                nonce, signers = find_signers(execution, safe, network.number, nonces, owners)
                next_nonce[safe] = (next_nonce[safe] if nonce is None else nonce) + 1
                found.append(ExecutedSafe(index, safe, execution, nonce, signers))
    return found


def _safe_calls(answers: BlockAnswers, index: int) -> list[tuple[bytes, bytes]]:
    """(callee, calldata) of the calls in a transaction; without traces only the outermost."""
    if answers.traces is not None:
        calls = answers.traces[index].calls
        return [(c.receiver, data_of(c.input, "trace.input")) for c in calls if not c.delegated]
    spoken = read_transaction_fields(answers.block.transactions[index], f"transaction[{index}]")
    return [] if spoken.receiver is None else [(spoken.receiver, spoken.input)]


def delegate_changes(transport: Transport, block: Block, executed: Sequence[ExecutedSafe]) -> list[ControlChange]:
    """Delegated calls of Safes into code that is no known MultiSend: such code may do anything to the Safe."""
    delegated = [(e, o) for e in executed for o in operations_of(e.execution) if o.operation == DELEGATECALL]
    targets = sorted({o.to for _, o in delegated})
    codes = read_codes(transport, targets, block.ref) if targets else {}
    return [_delegated(block, e, o, codes[o.to]) for e, o in delegated if not _is_harmless(o, codes[o.to])]


def unread_delegates(block: Block, executed: Sequence[ExecutedSafe]) -> list[ControlChange]:
    """The same where no code can be read: what does not even look like a MultiSend."""
    operations = [(e, o) for e in executed for o in operations_of(e.execution) if o.operation == DELEGATECALL]
    return [_delegated(block, e, o, None) for e, o in operations if not o.is_multi_send]


def code_digest(account: bytes, code: bytes) -> bytes:
    """Keccak-256 of code with the account's own 20 bytes zeroed, which a MultiSend holds as an immutable."""
    return keccak(code.replace(account, bytes(20)))


def _is_harmless(operation: InnerOperation, code: bytes) -> bool:
    return operation.is_multi_send and code_digest(operation.to, code) in MULTI_SEND_CODES


def _delegated(block: Block, executed: ExecutedSafe, operation: InnerOperation, code: bytes | None) -> ControlChange:
    detail: dict[str, str | int] = {
        "operation": operation.operation,
        "selector": "0x" + operation.data[:4].hex(),
        "calldata": "0x" + operation.data[:256].hex(),
        "code_hash": "unread" if code is None else "0x" + keccak(code).hex(),
        "depth": operation.depth,
        "signers": ",".join(to_address(s).text for s in executed.signers),
    }
    if executed.nonce is not None:
        detail["safe_nonce"] = executed.nonce
    txid = block.txid(executed.tx_index)
    return ControlChange(
        txid, to_address(executed.safe), ControlKind.DELEGATECALL, "", to_address(operation.to).text, detail
    )


def _failed(answers: BlockAnswers, executed: ExecutedSafe) -> bool:
    """True if the Safe says that what it executed failed, though the transaction went through."""
    logs = answers.receipts[executed.tx_index].logs
    return any(log.contract == executed.safe and log.topics[:1] == (_EXECUTION_FAILURE,) for log in logs)


def signing_of(answers: BlockAnswers, executed: Sequence[ExecutedSafe]) -> dict[int, SigningFacts]:
    """The owners who signed, in place of the account that only carried the execution to the chain."""
    facts: dict[int, SigningFacts] = {}
    for e in executed:
        if e.tx_index not in facts and e.signers:
            carried = read_transaction_fields(answers.block.transactions[e.tx_index], "transaction").signing
            told = e.execution.operation
            more: tuple[tuple[str, int | str], ...] = (
                ("safe_nonce", -1 if e.nonce is None else e.nonce),
                ("safe_operation", told.operation),
                ("safe_selector", "0x" + told.data[:4].hex() if len(told.data) >= 4 else ""),
                ("safe_executor", carried.signers[0]),
                ("safe_failed", int(_failed(answers, e))),
            )
            facts[e.tx_index] = SigningFacts(tuple(to_address(s).text for s in e.signers), (*carried.features, *more))
    return facts
