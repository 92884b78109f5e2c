"""Who controls watched accounts, block by block: Safes by their storage, delegations, allowances.

A Safe can be taken over by a delegated call that writes slot 0, and no event tells (Bybit, 2025-02-21, block
21,895,238): in each block in which a Safe was touched its slots are compared with the block before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from chains.errors import RpcError, Unsupported
from chains.evm.addresses import to_address
from chains.evm.blocks import Block
from chains.evm.client import BlockAnswers
from chains.evm.decode import Authorization, describe_code
from chains.evm.executions import ExecutedSafe, delegate_changes, find_executions, signing_of, unread_delegates
from chains.evm.params import Network
from chains.evm.state import WalletState, read_codes, read_wallets, unchanged
from chains.evm.tokens import find_grants, read_allowance_changes
from chains.model import BlockRef, ControlChange, ControlKind, SigningFacts
from chains.rpc.jsonrpc import Transport

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
