"""What a block did to a case, as findings that people are told."""

from __future__ import annotations

from datetime import datetime

from chains.model import format_units
from walletwatch.domain.cases import CaseEvent, CaseEventKind
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.pipeline.deployments import Deployment


def finding_of(event: CaseEvent, deployment: Deployment, now: datetime) -> Finding:
    """A case's event as a finding: arrivals are louder than movements, because there funds can be frozen."""
    arrived = event.kind is CaseEventKind.ARRIVED
    asset = deployment.asset(event.asset)
    evidence = {
        "case": event.case,
        "event": str(event.kind),
        "amount": str(event.amount),
        "asset": str(event.asset),
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "address": "" if event.address is None else event.address.text,
        "to": [address.text for address in event.to],
        "label": event.label,
        "category": event.category,
        "height": event.block.height,
    }
    if event.onward is not None:
        evidence["onward"] = {
            "chain": event.onward.chain,
            "address": event.onward.address,
            "memo": event.onward.memo,
        }
    rule = "case_arrival" if arrived else "case_movement"
    return Finding(
        id=event.id,
        rule=rule,
        rule_id=rule,
        verdict=VerdictKind.VIOLATION,
        severity=Severity.HIGH if arrived else Severity.MEDIUM,
        mode=Mode.ENFORCE,
        chain=str(event.asset.chain),
        tx=event.tx,
        wallet="",
        asset=str(event.asset),
        outflow=None,
        summary=describe_event(event, asset.symbol, asset.decimals),
        evidence=evidence,
        rules_digest=deployment.rules_digest,
        found_at=now,
    )


def describe_event(event: CaseEvent, symbol: str, decimals: int) -> str:
    """One sentence for a person."""
    amount = f"{format_units(event.amount, decimals)} {symbol}"
    place = "" if event.address is None else event.address.text
    match event.kind:
        case CaseEventKind.MOVED:
            count = len(event.to)
            return f"{amount} stolen moved on from {place} to {count} address{'es' if count != 1 else ''}"
        case CaseEventKind.ARRIVED:
            who = event.label or place
            return f"{amount} stolen arrived at {who} ({event.category}), address {place}: ask to freeze it"
        case CaseEventKind.COINJOIN:
            return f"{amount} stolen went into a CoinJoin"
        case CaseEventKind.THRESHOLD:
            return f"{amount} stolen came to rest at {place} in parts too small to follow"
        case CaseEventKind.HOPS:
            return f"{amount} stolen reached the last hop that is followed, {place}"
