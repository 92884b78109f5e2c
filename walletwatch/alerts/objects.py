"""Alerts, findings and outflows as the JSON objects of CONTRACT §5."""

from __future__ import annotations

from typing import Any

from walletwatch.alerts.ports import AlertView, Names
from walletwatch.alerts.rendering import name_tx
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import format_utc


def alert_object(alert: Alert) -> dict[str, Any]:
    """The *alert* object; findings and outflows by id."""
    body: dict[str, Any] = {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "severity": str(alert.severity),
        "state": str(alert.state),
        "title": alert.title,
        "findings": list(alert.findings),
        "outflows": list(alert.outflows),
        "opened_at": format_utc(alert.opened_at),
        "version": alert.version,
        "deliveries": [
            {
                "sink": d.sink,
                "outcome": str(d.outcome),
                "attempts": d.attempts,
                "remote_id": d.remote_id,
                "at": format_utc(d.at),
            }
            for d in alert.deliveries
        ],
    }
    for name, decision in (("acknowledged", alert.acknowledged), ("closed", alert.closed)):
        if decision is not None:
            body[name] = {"by": decision.by, "at": format_utc(decision.at), "reason": decision.reason}
    return body


def finding_object(finding: Finding, names: Names) -> dict[str, Any]:
    """The *finding* object."""
    tx = None if finding.tx is None else finding.tx.hex()
    return {
        "id": finding.id,
        "rule": finding.rule,
        "rule_id": finding.rule_id,
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "mode": str(finding.mode),
        "chain": names.chain(finding.chain),
        "tx": f"0x{tx}" if tx and finding.chain.startswith("eip155:") else tx,
        "wallet": finding.wallet,
        "outflow": finding.outflow,
        "summary": finding.summary,
        "evidence": dict(finding.evidence),
        "rules_digest": finding.rules_digest,
        "found_at": format_utc(finding.found_at),
    }


def outflow_object(outflow: Outflow, view: AlertView) -> dict[str, Any]:
    """The *outflow* object. Amounts are texts of base units."""
    asset = view.names.assets.get(outflow.asset)
    block = outflow.block
    return {
        "id": outflow.id,
        "chain": view.names.chain(str(outflow.chain)),
        "chain_id": str(outflow.chain),
        "tx": name_tx(outflow.chain, outflow.tx),
        "state": str(outflow.state),
        "wallet": outflow.wallet,
        "asset": str(outflow.asset),
        "symbol": None if asset is None else asset.symbol,
        "decimals": None if asset is None else asset.decimals,
        "amount": str(outflow.amount),
        "destinations": [_destination(p.address.text, p.amount, view) for p in outflow.payments],
        "fee": str(outflow.fee),
        "height": None if block is None else block.height,
        "block_hash": None if block is None else name_tx(outflow.chain, block.hash),
        "block_time": None if outflow.block_time is None else format_utc(outflow.block_time),
        "first_seen": format_utc(outflow.first_seen),
        "requests": list(view.requests.get(outflow.id, ())),
        "findings": [f.id for f in view.findings if f.outflow == outflow.id],
    }


def _destination(address: str, amount: int, view: AlertView) -> dict[str, str]:
    labels = view.labels.get(address, ())
    named = {"label": labels[0].label} if labels else {}
    return {"address": address, "amount": str(amount), **named}


def event_object(view: AlertView) -> dict[str, Any]:
    """What a webhook gets: the alert, and the objects its findings and outflows name."""
    return {
        "type": "walletwatch.alert/v1",
        **alert_object(view.alert),
        "details": {
            "findings": [finding_object(f, view.names) for f in view.findings],
            "outflows": [outflow_object(o, view) for o in view.outflows],
        },
    }
