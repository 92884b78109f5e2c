"""The DMM theft as an alert, and helpers to vary it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chains.model import Address, Asset, AssetId, BlockRef, ChainId
from walletwatch.alerts.lifecycle import fingerprint_of, fold
from walletwatch.alerts.ports import AlertNames, AlertView
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind, finding_id, outflow_id
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Payment

BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
BTC = AssetId.parse(f"{BITCOIN}/slip44:0")
THEFT = bytes.fromhex("975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7")
THIEF = Address(b"\x76\xa9", "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
T0 = datetime(2024, 5, 31, 4, 26, 8, tzinfo=UTC)
NAMES = AlertNames(
    assets={BTC: Asset(BTC, "BTC", 8)}, chains={str(BITCOIN): "bitcoin"}, roles={"dmm-hot": "hot", "cold-1": "cold"}
)


def make_outflow(state: OutflowState = OutflowState.SEEN, tx: bytes = THEFT, **changes: Any) -> Outflow:
    block = BlockRef(845_829, b"\x01" * 32) if state in {OutflowState.INCLUDED, OutflowState.FINAL} else None
    outflow = Outflow(
        id=outflow_id(BITCOIN, tx, "dmm-hot", BTC),
        chain=BITCOIN,
        tx=tx,
        state=state,
        wallet="dmm-hot",
        asset=BTC,
        amount=450_290_000_000,
        payments=(Payment(0, THIEF, 450_290_000_000),),
        fee=10_000_000,
        first_seen=T0,
        block=block,
        block_time=T0 if block else None,
        family=THEFT,
    )
    return replace(outflow, **changes)


def make_finding(rule: str = "unapproved", severity: Severity = Severity.CRITICAL, **changes: Any) -> Finding:
    tx = changes.get("tx", THEFT)
    finding = Finding(
        id=finding_id(str(BITCOIN), tx, "dmm-hot", str(BTC), changes.get("rule_id", rule)),
        rule=rule,
        rule_id=rule,
        verdict=VerdictKind.VIOLATION,
        severity=severity,
        mode=Mode.ENFORCE,
        chain=str(BITCOIN),
        tx=THEFT,
        wallet="dmm-hot",
        asset=str(BTC),
        outflow=outflow_id(BITCOIN, THEFT, "dmm-hot", BTC),
        summary="no request explains 4,502.9 BTC to 1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P",
        evidence={},
        rules_digest="00" * 32,
        found_at=T0 + timedelta(seconds=1),
    )
    return replace(finding, **changes)


LOOKALIKE = make_finding(
    "lookalike_destination",
    Severity.HIGH,
    summary="1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P resembles the payee 1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P of W-1042",
)


def make_alert(*findings: Finding, outflows: tuple[Outflow, ...] = (), at: datetime = T0, **more: Any) -> Alert:
    found = findings or (make_finding(), LOOKALIKE)
    alert = fold(None, fingerprint_of(found[0]), found, outflows or (make_outflow(),), NAMES, at, **more)
    assert alert is not None
    return alert


def make_view(alert: Alert | None = None, **changes: Any) -> AlertView:
    view = AlertView(
        alert=alert or make_alert(),
        findings=(LOOKALIKE, make_finding()),
        outflows=(make_outflow(OutflowState.INCLUDED),),
        names=NAMES,
        labels={THIEF.text: (Label("*", THIEF.text, "DMM thief", "theft"),)},
        requests={},
        tips={str(BITCOIN): 845_830},
    )
    return replace(view, **changes)
