"""Who controls a contract wallet: changes read from events, executions and storage of a Safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from eth_utils.crypto import keccak

from chains.errors import RpcError, Unsupported
from chains.evm.blocks import Block
from chains.evm.client import BlockAnswers
from chains.evm.decode import Authorization, describe_code
from chains.evm.fields import data_of, to_address
from chains.evm.params import Network
from chains.evm.receipts import topic
from chains.evm.safe import DELEGATECALL, Execution, InnerOperation, find_signers, operations_of, read_execution
from chains.evm.state import WalletState, read_codes, read_wallets, unchanged
from chains.evm.tokens import find_grants, read_allowance_changes
from chains.evm.transactions import read_transaction_fields
from chains.model import BlockRef, ControlChange, ControlKind, SigningFacts
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


UNREADABLE = "control: the node shows no state of this block, so that of contract wallets was not compared"

_ACCOUNT_KINDS = {
    "singleton": ControlKind.SINGLETON,
    "guard": ControlKind.GUARD,
    "module_guard": ControlKind.GUARD,
    "fallback_handler": ControlKind.FALLBACK_HANDLER,
    "implementation": ControlKind.IMPLEMENTATION,
    "beacon": ControlKind.IMPLEMENTATION,
    "admin": ControlKind.IMPLEMENTATION,
}


@dataclass(slots=True)
class ControlFacts:
    """What a block did to control. `signing` replaces the signers of transactions that executed a Safe."""

    changes: list[ControlChange] = field(default_factory=list)
    signing: dict[int, SigningFacts] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


def read_control(
    transport: Transport,
    answers: BlockAnswers,
    watched: AbstractSet[bytes],
    contracts: AbstractSet[bytes],
    network: Network,
) -> ControlFacts:
    """Everything about control in one block; asks the node only for what the block touched."""
    facts = ControlFacts()
    if not answers.receipts:
        return facts
    block = answers.block
    parent = BlockRef(block.ref.height - 1, block.parent_hash)
    grants = find_grants(answers.receipts, watched)
    if grants:
        facts.changes += read_allowance_changes(transport, grants, block, parent)
    try:
        facts.changes += _delegations(transport, answers.authorizations, block, parent)
        _read_wallets(transport, answers, contracts, network, facts)
    except (RpcError, Unsupported) as error:
        facts.gaps.append(f"{UNREADABLE} ({error})")
        facts.changes += _unread(answers, contracts, network, str(error))
    facts.changes.sort(key=lambda change: block.positions["0x" + change.txid.hex()])
    return facts


def _delegations(
    transport: Transport, given: Sequence[Authorization], block: Block, parent: BlockRef
) -> list[ControlChange]:
    """Accounts whose code is another after the block; an authorisation with a stale nonce changes nothing."""
    last = {a.authority: a for a in given}
    if not last:
        return []
    before, after = read_codes(transport, sorted(last), parent), read_codes(transport, sorted(last), block.ref)
    return [
        ControlChange(
            txid=block.txid(last[account].tx_index),
            account=to_address(account),
            kind=ControlKind.CODE,
            before=describe_code(before[account]),
            after=describe_code(after[account]),
            detail={"authorized": to_address(last[account].delegate).text},
        )
        for account in sorted(last)
        if before[account] != after[account]
    ]


def _unread(answers: BlockAnswers, contracts: AbstractSet[bytes], network: Network, why: str) -> list[ControlChange]:
    """What is told of touched wallets whose state the node does not show: what they were asked to delegate, by the
    calldata alone, and that the rest was not looked at.
    """
    touched = touched_wallets(answers, contracts)
    blank = WalletState(dict.fromkeys(_ACCOUNT_KINDS, bytes(32)), 0, 0, (), ())
    executed = find_executions(answers, dict.fromkeys(touched, blank), touched, network)
    blind = [
        ControlChange(
            answers.block.txid(_culprit(wallet, positions, executed)),
            to_address(wallet),
            ControlKind.SINGLETON,
            "",
            "",
            {"unread": why},
        )
        for wallet, positions in sorted(touched.items())
    ]
    # Without the Safe's nonce no signature says whose it is.
    unsigned = [replace(e, nonce=None, signers=()) for e in executed]
    return [*unread_delegates(answers.block, unsigned), *blind]


def touched_wallets(answers: BlockAnswers, contracts: AbstractSet[bytes]) -> dict[bytes, list[int]]:
    """Contract wallet -> positions of the successful transactions that called it or in which it logged something."""
    touched: dict[bytes, list[int]] = {}
    for index, receipt in sorted(answers.receipts.items()):
        if receipt.ok is False:
            continue
        met = {log.contract for log in receipt.logs}
        receiver = answers.block.transactions[index].get("to")
        met |= {bytes.fromhex(receiver[2:])} if isinstance(receiver, str) else set()
        if answers.traces is not None:
            met |= {call.receiver for call in answers.traces[index].calls}
        for wallet in met & contracts:
            touched.setdefault(wallet, []).append(index)
    return touched


def _read_wallets(
    transport: Transport,
    answers: BlockAnswers,
    contracts: AbstractSet[bytes],
    network: Network,
    facts: ControlFacts,
) -> None:
    touched = touched_wallets(answers, contracts)
    block = answers.block
    parent = BlockRef(block.ref.height - 1, block.parent_hash)
    for wallet in unchanged(transport, touched, parent, block.ref):
        del touched[wallet]
    if not touched:
        return
    wallets = sorted(touched)
    before = read_wallets(transport, wallets, parent)
    after = read_wallets(transport, wallets, block.ref)
    executed = find_executions(answers, before, touched, network)
    facts.changes += delegate_changes(transport, block, executed)
    for wallet in wallets:
        culprit = _culprit(wallet, touched[wallet], executed)
        facts.changes += _state_changes(wallet, before[wallet], after[wallet], answers, culprit)
    facts.signing.update(signing_of(answers, executed))


def _culprit(wallet: bytes, touching: list[int], executed: list[ExecutedSafe]) -> int:
    """The transaction to hold a change against: the last execution of the wallet, else the last that touched it."""
    return max([e.tx_index for e in executed if e.safe == wallet] or touching)


def _state_changes(
    wallet: bytes, before: WalletState, after: WalletState, answers: BlockAnswers, index: int
) -> list[ControlChange]:
    changed: list[tuple[ControlKind, str, str, Mapping[str, str | int]]] = []
    for name, kind in _ACCOUNT_KINDS.items():
        if before.accounts[name] != after.accounts[name]:
            changed.append((kind, _text(before.accounts[name]), _text(after.accounts[name]), {"slot": name}))
    if before.threshold != after.threshold:
        changed.append((ControlKind.THRESHOLD, str(before.threshold), str(after.threshold), {}))
    for kind, old, new in (
        (ControlKind.OWNERS, before.owners, after.owners),
        (ControlKind.MODULES, before.modules, after.modules),
    ):
        if set(old) != set(new):
            detail = {"added": _list(set(new) - set(old)), "removed": _list(set(old) - set(new))}
            changed.append((kind, _list(set(old)), _list(set(new)), detail))
    txid = answers.block.txid(index)
    account = to_address(wallet)
    return [ControlChange(txid, account, kind, old, new, detail) for kind, old, new, detail in changed]


def _text(word: bytes) -> str:
    """An account, or the whole word where more than an account stands in it; empty for nothing."""
    if not any(word):
        return ""
    return "0x" + word.hex() if any(word[:12]) else to_address(word[12:]).text


def _list(accounts: set[bytes]) -> str:
    return ",".join(to_address(a).text for a in sorted(accounts))
