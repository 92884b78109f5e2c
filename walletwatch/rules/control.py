"""Who controls a wallet, and who may take from it. An approved change is still a finding: it must be seen by people."""

from __future__ import annotations

from typing import Any

from chains.model import ControlChange, ControlKind
from walletwatch.domain.findings import PASS, Severity, Verdict, undetermined, violation
from walletwatch.rules.evidence import shown
from walletwatch.rules.facts import ControlEvent, Facts, SentTransaction
from walletwatch.rules.parameters import NoParams
from walletwatch.rules.rule_types import declare, rule

_WORDS = {
    ControlKind.SINGLETON: "the contract that runs the Safe was replaced",
    ControlKind.OWNERS: "the owners changed",
    ControlKind.THRESHOLD: "the number of signatures needed changed",
    ControlKind.MODULES: "the modules that may act without signatures changed",
    ControlKind.GUARD: "the guard changed",
    ControlKind.FALLBACK_HANDLER: "the fallback handler changed",
    ControlKind.DELEGATECALL: "foreign code ran with the wallet's own powers",
    ControlKind.CODE: "code was set on the account",
    ControlKind.IMPLEMENTATION: "the code behind the proxy was replaced",
}


@rule(
    type="allowance_granted",
    family="control",
    severity=Severity.HIGH,
    description="A watched account allowed somebody else to take its tokens. What is allowed can leave at any time, "
    "without another signature. Setting an allowance to zero is no finding.",
    source="ERC-20 approve, EIP-2612, Permit2; BadgerDAO 2021-12-02: about 120 M USD through allowances",
)
def allowance_granted(event: ControlEvent, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - a rule's form
    """Violated by any allowance above 0; undetermined where the amount allowed cannot be read."""
    grants = [c for c in event.changes if c.kind is ControlKind.ALLOWANCE and c.after.strip() != "0"]
    if not grants:
        return PASS
    unread = [c for c in grants if not c.after.isdecimal()]
    if len(unread) == len(grants):
        return undetermined("an allowance was set, and how much it allows cannot be read", changes=_changes(unread))
    spender = grants[0].detail.get("spender", "somebody")
    more = f" and {len(grants) - 1} more" if len(grants) > 1 else ""
    return violation(f"{event.wallet} allowed {spender} to take its tokens{more}", changes=_changes(grants))


@rule(
    type="wallet_control_changed",
    family="control",
    severity=Severity.CRITICAL,
    description="Who controls a wallet changed: owners, threshold, modules, guard, fallback handler or program of a "
    "Safe, foreign code run with its powers, or code set on an own account. This comes before the theft.",
    source="Bybit 2025-02-21: slot 0 rewritten 13 blocks before the drain; WazirX 2024-07-18; EIP-7702",
)
def wallet_control_changed(event: ControlEvent, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - a rule's form
    """Violated by any change but an allowance; undetermined where the node does not show who controls the wallet."""
    changes = [c for c in event.changes if c.kind is not ControlKind.ALLOWANCE and not _same(c)]
    if not changes:
        unread = [c for c in event.changes if "unread" in c.detail]
        why = f"{event.wallet} was used, and who controls it now could not be read from the node"
        return undetermined(why, changes=_changes(unread)) if unread else PASS
    words = list(dict.fromkeys(_WORDS[c.kind] for c in changes))
    return violation(f"{event.wallet}: {', and '.join(words)}", changes=_changes(changes))


def _same(change: ControlChange) -> bool:
    """A value written over itself. A delegatecall is an act, not a value: it has no before and after to compare."""
    return change.kind is not ControlKind.DELEGATECALL and change.before == change.after


def _changes(changes: list[ControlChange]) -> list[Any]:
    return shown(
        {"account": str(c.account), "kind": str(c.kind), "before": c.before, "after": c.after}
        | {"detail": {name: str(value) for name, value in c.detail.items()}}
        for c in changes
    )


@rule(
    type="failed_transaction",
    family="pattern",
    severity=Severity.MEDIUM,
    description="A transaction of a watched account failed. Signers were perhaps shown something else than they "
    "signed.",
    source="WazirX 2024-07-18: a legitimate transfer failed minutes before the theft",
)
def failed_transaction(event: SentTransaction, facts: Facts, params: NoParams) -> Verdict:  # noqa: ARG001 - a rule's form
    """Violated by every failure."""
    tx = event.transaction
    if tx.ok:
        return PASS
    to = "to create a contract" if tx.receiver is None else f"to {tx.receiver}"
    return violation(
        f"A transaction of {event.wallet} {to} failed",
        sender=str(tx.sender),
        receiver=None if tx.receiver is None else str(tx.receiver),
        nonce=str(tx.nonce),
        fee=str(tx.fee),
    )


UNEXPLAINED_BALANCE = declare(
    "unexplained_balance",
    "control",
    Severity.CRITICAL,
    "The balance on chain is not what opening balance, receipts, outflows and fees add up to: something moved unseen.",
    "Conservation of value: opening + in - out - fees = balance, to the base unit",
)
