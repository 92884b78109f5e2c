"""What the rules say of a transaction before it is signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chains.family import KnownBefore, NotATransaction, UnsignedTransaction
from chains.model import AccountTransaction, Address, AssetId, ControlKind, UtxoTransaction
from chains.registry import family_of, format_hash
from walletwatch.approvals.act_sources import ActSource, FeedUnreadable
from walletwatch.approvals.acts import hash_intent
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.objects import Names, finding_object, outflow_object, time_text
from walletwatch.domain.withdrawals import Match, MatchResult, NearMiss, Payment
from walletwatch.service.application import Application
from walletwatch.settings import Settings
from walletwatch.store import Store, UnitOfWork
from walletwatch.watch.block_batches import WatchMemory
from walletwatch.watch.preflight import PreflightJudge, PreflightJudgement

_MOST_LOOKS = 10_000
_ACCOUNT_BYTES = 20


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the answer is no: what the bytes cannot show, or what no rule judges."""

    verdict: VerdictKind
    summary: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer. `reasons` come before any rule: a contradiction in the bytes, or what they do not show."""

    watched: WatchedChain
    unsigned: UnsignedTransaction
    judgement: PreflightJudgement
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
    NotATransaction, Fault for a chain that is not configured, ValueError for a wallet or address that is not our own.
    Closes `store`.
    """
    with Application(settings, store) as app, store.reading() as unit:
        watched = app.deployment.chains[settings.chain(chain).id]
        memory = WatchMemory(app.deployment, watched)
        memory.load(unit)
        unsigned = family_of(watched.chain).read_unsigned_transaction(
            watched.chain, content, _known(watched, memory, _signer(watched, wallet, address))
        )
        app.approvals.refresh(unit)
        blind = _read_on(unit, app, app.feeds.sources)
        judge = PreflightJudge(unit, app.deployment, app.approvals, watched, memory.payees, blind)
        judgement = judge.judge(unsigned, unit.now)
        reasons = tuple(_reasons(app, watched, unsigned, judgement, judge))
        return Preflight(watched, unsigned, judgement, reasons, app.deployment.rules_digest, unit.now)


def _known(watched: WatchedChain, memory: WatchMemory, sender: Address | None) -> KnownBefore:
    namespaces = family_of(watched.chain).token_namespaces
    tokens = {bytes.fromhex(t.id.reference[2:]) for t in watched.tokens if t.id.namespace in namespaces}
    return KnownBefore(memory.watch.addresses, memory.watch.outpoints, tokens, sender)


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
                taken = feed.read_new(position, unit.now)
            except FeedUnreadable as error:
                return f"the approval feed {feed.name} cannot be read: {error}"
            if taken is None:
                break
            if taken.rewritten:
                return f"the approval feed {feed.name} is a log that only grows, and its past was changed"
            for act in taken.acts:
                app.approvals.book.add(act)
            position = dict(taken.position)
            if not taken.more:
                break
    return ""


def _reasons(
    app: Application,
    watched: WatchedChain,
    unsigned: UnsignedTransaction,
    judgement: PreflightJudgement,
    judge: PreflightJudge,
) -> Iterator[Reason]:
    for doubt in unsigned.doubts:
        yield Reason(VerdictKind.VIOLATION if doubt.wrong else VerdictKind.UNDETERMINED, doubt.text)
    if not _is_ours(watched, unsigned):
        yield Reason(VerdictKind.UNDETERMINED, "it spends from no watched wallet: there is nothing of ours to judge")
    for txid in judge.mined_rivals(unsigned.transaction):
        yield Reason(VerdictKind.VIOLATION, f"what it spends was spent already, by {format_hash(watched.chain, txid)}")
    asked = {config.type for config in app.deployment.rules}
    for event in judgement.control:
        for kind in sorted({change.kind for change in event.changes}):
            rule = "allowance_granted" if kind is ControlKind.ALLOWANCE else "wallet_control_changed"
            if rule not in asked:
                text = f"it changes the {kind} of {event.wallet}, and no [[rule]] of type {rule} is configured"
                yield Reason(VerdictKind.UNDETERMINED, text)


def _is_ours(watched: WatchedChain, unsigned: UnsignedTransaction) -> bool:
    """Whether it takes anything from an own address, or is sent by one, or changes who controls one."""
    tx, own = unsigned.transaction, watched.perimeter
    if isinstance(tx, UtxoTransaction):
        return any(own.wallet_of(i.address) is not None for i in tx.inputs)
    return (
        own.wallet_of(tx.sender) is not None
        or _takes(tx, watched)
        or any(own.wallet_of(change.account) is not None for change in unsigned.control)
    )


def _takes(tx: AccountTransaction, watched: WatchedChain) -> bool:
    return any(watched.perimeter.wallet_of(transfer.sender) is not None for transfer in tx.transfers)


def loudness(finding: Finding) -> tuple[int, str]:
    """The order in which findings are shown: the loudest first."""
    return finding.severity.rank, finding.rule_id


__all__ = ["NotATransaction", "Preflight", "Reason", "loudness", "preflight"]


_FINDING_KEYS = ("rule", "rule_id", "verdict", "severity", "mode", "wallet", "asset", "summary", "evidence")
_DRAFT_RULE = "draft"
"""Stands for a rule in reasons that come of the bytes themselves."""


def preflight_object(answer: Preflight, names: Names) -> dict[str, Any]:
    """The whole answer. `shown_hash` are the hashes an approver's screen should show, one for each payment."""
    chain, unsigned, judged = str(answer.watched.chain), answer.unsigned, answer.judgement
    payments = list(_payments(answer, names))
    return {
        "chain": names.chain(chain),
        "chain_id": chain,
        "kind": unsigned.kind,
        **unsigned.digests,
        "verdict": str(answer.verdict),
        "shown_hash": [row["shown_hash"] for row in payments],
        "requests": list(dict.fromkeys(row["request"] for row in payments if row["request"])),
        "reasons": reason_rows(answer, names),
        "payments": payments,
        "outflows": [_outflow(row) for row in (outflow_object(o, names) for o in judged.outflows)],
        "not_judged": list(judged.not_judged),
        "rules_digest": answer.rules_digest,
        "judged_at": time_text(answer.at),
    }


def reason_rows(answer: Preflight, names: Names) -> list[dict[str, Any]]:
    """What the bytes leave open or contradict, then the findings, the loudest first."""
    found = sorted(answer.judgement.findings, key=loudness)
    rows = [{key: finding_object(f, names)[key] for key in _FINDING_KEYS} for f in found]
    return [*(_reason(reason) for reason in answer.reasons), *rows]


def _reason(reason: Reason) -> dict[str, Any]:
    severity = Severity.CRITICAL if reason.verdict is VerdictKind.VIOLATION else Severity.HIGH
    return {
        "rule": _DRAFT_RULE,
        "rule_id": _DRAFT_RULE,
        "verdict": str(reason.verdict),
        "severity": str(severity),
        "mode": "enforce",
        "wallet": "",
        "asset": "",
        "summary": reason.summary,
        "evidence": {},
    }


def _outflow(row: Mapping[str, Any]) -> dict[str, Any]:
    """An outflow that does not exist yet has neither id nor place."""
    return {key: row[key] for key in ("wallet", "asset", "symbol", "decimals", "amount", "destinations", "fee")}


def _payments(answer: Preflight, names: Names) -> Iterator[dict[str, Any]]:
    """Everything that would be paid, with the request that explains it, if one does."""
    results = {(r.spending.asset, r.spending.payments): r for r in answer.judgement.matches}
    paid = [(outflow.asset, outflow.payments) for outflow in answer.judgement.outflows]
    paid += [(move.asset, move.payments) for move in answer.judgement.moves]
    for asset, payments in dict.fromkeys(paid):
        result = results.get((asset, payments))
        for payment in payments if result is None else result.read_as or payments:
            yield _payment(answer, names, asset, payment, result)


def _payment(
    answer: Preflight, names: Names, asset: AssetId, payment: Payment, result: MatchResult | None
) -> dict[str, Any]:
    found = _explanation(payment, result)
    row = {**names.unit(asset), "amount": str(payment.amount), "destination": payment.address.text}
    if found is None:
        return {**row, "request": None, "intent_hash": None, "shown_hash": _plain_hash(answer, asset, payment)}
    request = found.authorisation.request
    more: dict[str, Any] = {}
    if isinstance(found, NearMiss):
        shown, more["differs"] = _plain_hash(answer, asset, payment), found.differs
    else:
        shown, more["ambiguous_with"] = request.intent.hash, list(found.rivals)
    return {
        **row,
        "request": request.id,
        "intent_hash": request.intent.hash,
        "shown_hash": shown,
        "approved": found.authorisation.met,
        "missing": list(found.authorisation.missing),
        **more,
    }


def _explanation(payment: Payment, result: MatchResult | None) -> Match | NearMiss | None:
    if result is None:
        return None
    found: tuple[Match | NearMiss, ...] = (*result.matches, *result.near)
    return next((one for one in found if one.payment == payment), None)


def _plain_hash(answer: Preflight, asset: AssetId, payment: Payment) -> str:
    """The hash of what the bytes say would be paid, in the least form an intent has: it is no request's hash, so that
    an approval given on this screen counts for none.
    """
    return hash_intent(
        {
            "chain": str(answer.watched.chain),
            "asset": str(asset),
            "amount": str(payment.amount),
            "destination": payment.address.text,
        }
    )
