"""`preflight`: what is about to be signed, held to approvals and rules. Reads the database and the approval feeds,
keeps nothing, sends nothing, asks no node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from chains.drafts import Draft, Known, NotADraft
from chains.model import AccountTransaction, Address, ControlKind, UtxoTransaction, format_hash
from chains.registry import read_draft
from walletwatch.approvals.sources import ActSource, FeedUnreadable
from walletwatch.domain.findings import Finding, Mode, VerdictKind
from walletwatch.pipeline.deployments import WatchedChain
from walletwatch.pipeline.drafts import DraftJudge, DraftJudgement
from walletwatch.pipeline.memories import Memory
from walletwatch.service.applications import Application
from walletwatch.settings import Settings
from walletwatch.store import Store, UnitOfWork

_MOST_LOOKS = 10_000
_ACCOUNT_BYTES = 20


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the answer is no: what the bytes cannot show, or what no rule was asked about."""

    verdict: VerdictKind
    summary: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer. `reasons` come before any rule: a contradiction in the bytes, or what they do not tell."""

    watched: WatchedChain
    draft: Draft
    judgement: DraftJudgement
    reasons: tuple[Reason, ...]
    rules_digest: str
    at: datetime

    @property
    def verdict(self) -> VerdictKind:
        """`pass` only if every rule in enforce mode passes and nothing stays untold."""
        found = {f.verdict for f in self.judgement.findings if f.mode is Mode.ENFORCE}
        found |= {reason.verdict for reason in self.reasons}
        worst = (VerdictKind.VIOLATION, VerdictKind.UNDETERMINED)
        return next((verdict for verdict in worst if verdict in found), VerdictKind.PASS)


def preflight(
    settings: Settings,
    store: Store,
    content: bytes,
    chain: str,
    *,
    wallet: str | None = None,
    address: str | None = None,
) -> Preflight:
    """Judge what `content` would do on `chain`. `wallet` or `address` say who signs, where the bytes do not. Raises
    NotADraft, Fault for a chain that is not configured, ValueError for a wallet or address that is none of ours. Closes
    `store`.
    """
    with Application(settings, store) as app, store.reading() as unit:
        watched = app.deployment.chains[settings.chain(chain).id]
        memory = Memory(app.deployment, watched)
        memory.load(unit)
        draft = read_draft(watched.chain, content, _known(watched, memory, _signer(watched, wallet, address)))
        app.desk.refresh(unit)
        blind = _read_on(unit, app, app.feeds.sources)
        judge = DraftJudge(unit, app.deployment, app.desk, watched, memory.payees, blind)
        judgement = judge.judge(draft, unit.now)
        reasons = tuple(_reasons(app, watched, draft, judgement, judge))
        return Preflight(watched, draft, judgement, reasons, app.deployment.rules_digest, unit.now)


def _known(watched: WatchedChain, memory: Memory, sender: Address | None) -> Known:
    tokens = {bytes.fromhex(t.id.reference[2:]) for t in watched.tokens if t.id.namespace == "erc20"}
    return Known(memory.watch.addresses, memory.watch.outpoints, tokens, sender)


def _signer(watched: WatchedChain, wallet: str | None, address: str | None) -> Address | None:
    own = watched.perimeter
    if address is not None:
        found = next((a for a in own.addresses.values() if a.text.lower() == address.lower()), None)
        if found is None or (wallet is not None and getattr(own.wallet_of(found), "name", "") != wallet):
            whose = "this deployment" if wallet is None else f'the wallet "{wallet}"'
            raise ValueError(f"{address[:100]} is no address of {whose} on {watched.name}")
        return found
    if wallet is None:
        return None
    addresses = own.addresses_of(wallet)
    if not addresses:
        raise ValueError(f'no wallet "{wallet}" has an address on {watched.name}')
    if len(addresses) > 1 and len(addresses[0].key) == _ACCOUNT_BYTES:
        raise ValueError(
            f'the wallet "{wallet}" has {len(addresses)} addresses on {watched.name}: say which, by --address'
        )
    return addresses[0]


def _read_on(unit: UnitOfWork, app: Application, feeds: Sequence[ActSource]) -> str:
    """Take in, for this answer alone, what the feeds hold beyond what the database has; why that cannot be done."""
    for feed in feeds:
        known = unit.approvals.feed(feed.name)
        position = {} if known is None else known.position
        for _ in range(_MOST_LOOKS):
            try:
                taken = feed.look(position, unit.now)
            except FeedUnreadable as error:
                return f"the approval feed {feed.name} cannot be read: {error}"
            if taken is None:
                break
            if taken.rewritten:
                return f"the approval feed {feed.name} is a log that only grows, and its past was changed"
            for act in taken.acts:
                app.desk.book.add(act)
            position = dict(taken.position)
            if not taken.more:
                break
    return ""


def _reasons(
    app: Application, watched: WatchedChain, draft: Draft, judgement: DraftJudgement, judge: DraftJudge
) -> Iterator[Reason]:
    for doubt in draft.doubts:
        yield Reason(VerdictKind.VIOLATION if doubt.wrong else VerdictKind.UNDETERMINED, doubt.text)
    if not _is_ours(watched, draft):
        yield Reason(VerdictKind.UNDETERMINED, "it spends from no watched wallet: there is nothing of ours to judge")
    for txid in judge.mined_rivals(draft.transaction):
        yield Reason(VerdictKind.VIOLATION, f"what it spends was spent already, by {format_hash(watched.chain, txid)}")
    asked = {config.type for config in app.deployment.rules}
    for event in judgement.control:
        for kind in sorted({change.kind for change in event.changes}):
            rule = "allowance_granted" if kind is ControlKind.ALLOWANCE else "wallet_control_changed"
            if rule not in asked:
                text = f"it changes the {kind} of {event.wallet}, and no [[rule]] of type {rule} is configured"
                yield Reason(VerdictKind.UNDETERMINED, text)


def _is_ours(watched: WatchedChain, draft: Draft) -> bool:
    """Whether it takes anything from an own address, or is sent by one, or changes who controls one."""
    tx, own = draft.transaction, watched.perimeter
    if isinstance(tx, UtxoTransaction):
        return any(own.wallet_of(i.address) is not None for i in tx.inputs)
    return (
        own.wallet_of(tx.sender) is not None
        or _takes(tx, watched)
        or any(own.wallet_of(change.account) is not None for change in draft.control)
    )


def _takes(tx: AccountTransaction, watched: WatchedChain) -> bool:
    return any(watched.perimeter.wallet_of(transfer.sender) is not None for transfer in tx.transfers)


def loudness(finding: Finding) -> tuple[int, str]:
    """The order in which findings are told: the loudest first."""
    return finding.severity.rank, finding.rule_id


__all__ = ["NotADraft", "Preflight", "Reason", "loudness", "preflight"]
