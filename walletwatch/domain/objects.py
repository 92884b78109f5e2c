"""The public JSON objects. Pure functions; amounts are base units as text, times UTC with six digits, hashes and
addresses in their chain's usual text form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chains.model import Address, Asset, AssetId, ChainId
from chains.registry import format_hash
from walletwatch.domain.alerts import Alert, Silence
from walletwatch.domain.findings import Finding
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, Request

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """Names for display: assets by id, configured chain names by CAIP-2 text, labels by address text."""

    assets: Mapping[AssetId, Asset] = field(default_factory=dict)
    chains: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def chain(self, chain_id: str) -> str:
        """The configured name, else the id itself."""
        return self.chains.get(chain_id, chain_id)

    def unit(self, asset: AssetId) -> Json:
        """`asset`, `symbol` and `decimals`; the last two are None if the asset is not configured."""
        known = self.assets.get(asset)
        if known is None:
            return {"asset": str(asset), "symbol": None, "decimals": None}
        return {"asset": str(asset), "symbol": known.symbol, "decimals": known.decimals}


def time_text(moment: datetime | None) -> str | None:
    """A time as text; None for None."""
    return None if moment is None else format_utc(moment)


def outflow_object(
    outflow: Outflow, names: Names, *, requests: Sequence[str] = (), findings: Sequence[str] = ()
) -> Json:
    """The *outflow* object; requests and findings by id."""
    block = outflow.block
    return {
        "id": outflow.id,
        "chain": names.chain(str(outflow.chain)),
        "chain_id": str(outflow.chain),
        "tx": format_hash(outflow.chain, outflow.tx),
        "state": str(outflow.state),
        "wallet": outflow.wallet,
        **names.unit(outflow.asset),
        "amount": str(outflow.amount),
        "destinations": [_destination(p.address, p.amount, names) for p in outflow.payments],
        "fee": str(outflow.fee),
        "height": None if block is None else block.height,
        "block_hash": None if block is None else format_hash(outflow.chain, block.hash),
        "block_time": time_text(outflow.block_time),
        "first_seen": time_text(outflow.first_seen),
        "requests": list(requests),
        "findings": list(findings),
    }


def _destination(address: Address, amount: int, names: Names) -> Json:
    label = names.labels.get(address.text)
    return {"address": address.text, "amount": str(amount)} | ({"label": label} if label else {})


def finding_object(finding: Finding, names: Names, *, resolved: Mapping[str, Any] | None = None) -> Json:
    """The *finding* object. `resolved` is what explained it later; the finding itself is unchanged."""
    return {
        "id": finding.id,
        "rule": finding.rule,
        "rule_id": finding.rule_id,
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "mode": str(finding.mode),
        "chain": names.chain(finding.chain),
        "chain_id": finding.chain,
        "tx": None if finding.tx is None else format_hash(ChainId.parse(finding.chain), finding.tx),
        "wallet": finding.wallet,
        "asset": finding.asset,
        "outflow": finding.outflow,
        "summary": finding.summary,
        "evidence": dict(finding.evidence),
        "rules_digest": finding.rules_digest,
        "found_at": time_text(finding.found_at),
    } | ({"resolved": dict(resolved)} if resolved else {})


def alert_object(alert: Alert) -> Json:
    """The *alert* object; findings and outflows by id."""
    deliveries = [
        {
            "sink": d.sink,
            "outcome": str(d.outcome),
            "attempts": d.attempts,
            "remote_id": d.remote_id,
            "at": time_text(d.at),
        }
        for d in alert.deliveries
    ]
    decisions = {"acknowledged": alert.acknowledged, "closed": alert.closed}
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "severity": str(alert.severity),
        "state": str(alert.state),
        "title": alert.title,
        "findings": list(alert.findings),
        "outflows": list(alert.outflows),
        "opened_at": time_text(alert.opened_at),
        "version": alert.version,
        **{
            name: {"by": decision.by, "at": time_text(decision.at), "reason": decision.reason}
            for name, decision in decisions.items()
            if decision is not None
        },
        "deliveries": deliveries,
    }


def silence_object(silence: Silence) -> Json:
    """A silence: by whom, why, until when, and its matchers."""
    return {
        "id": silence.id,
        "by": silence.by,
        "reason": silence.reason,
        "created_at": time_text(silence.created_at),
        "until": time_text(silence.until),
        "rule_ids": list(silence.rule_ids),
        "wallets": list(silence.wallets),
        "chains": list(silence.chains),
        "alerts": list(silence.alert_ids),
    }


def label_object(label: Label) -> Json:
    """A label; `confidence` is a decimal from 0 to 1, as text."""
    return {
        "chain": label.chain,
        "address": label.address,
        "label": label.label,
        "category": label.category,
        "source": label.source,
        "confidence": f"{label.confidence_milli // 1000}.{label.confidence_milli % 1000:03d}",
        "valid_from": time_text(label.valid_from),
        "expires_at": time_text(label.expires_at),
    }


def request_object(request: Request, names: Names, *, state: str, tx: bytes | None = None) -> Json:
    """A request: its intent, and all acts on it. `tx` is the transaction that paid it."""
    intent = request.intent
    return {
        "id": request.id,
        "state": state,
        "chain": names.chain(str(intent.chain)),
        "chain_id": str(intent.chain),
        **names.unit(intent.asset),
        "amount": str(intent.amount),
        "destination": intent.destination.text,
        "wallet": intent.wallet,
        "memo": intent.memo,
        "customer": intent.customer,
        "expires_at": time_text(intent.expires_at),
        "intent_hash": intent.hash,
        "requested_by": request.requested.actor,
        "requested_at": time_text(request.requested.at),
        "tx": None if tx is None else format_hash(intent.chain, tx),
        "acts": [act_object(act, intent.chain) for act in request.acts],
    }


def act_object(act: Act, chain: ChainId) -> Json:
    """One act of the approval log. `refused` is the rule by which it does not count, or empty."""
    return {
        "act": str(act.kind),
        "request_id": act.request_id,
        "actor": act.actor,
        "at": time_text(act.at),
        "kid": act.kid,
        "signed": act.signed,
        "grade": str(act.grade),
        "feed": act.feed,
        "line": act.line,
        "txid": None if act.txid is None else format_hash(chain, act.txid),
        "refused": act.refused,
        "reason": act.reason,
    }
