"""The JSON objects other programs rely on, field by field."""

import json
from datetime import UTC, datetime

import pytest

from chains.model import Address, Asset, AssetId, BlockRef, ChainId
from walletwatch.alerts.ports import AlertNames, AlertView
from walletwatch.alerts.webhook import event_object
from walletwatch.domain.alerts import Alert, AlertState, Decision, Delivery, Outcome, Silence
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.labels import Label
from walletwatch.domain.objects import (
    Names,
    alert_object,
    finding_object,
    label_object,
    outflow_object,
    request_object,
    silence_object,
)
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Payment, Request

BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
ETHEREUM = ChainId.parse("eip155:1")
BTC = AssetId(BITCOIN, "slip44", "0")
USDT = AssetId.parse("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7")
AT = datetime(2024, 5, 31, 4, 26, 17, 5, tzinfo=UTC)
THIEF = Address(b"\x01", "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
NAMES = Names({BTC: Asset(BTC, "BTC", 8)}, {str(BITCOIN): "bitcoin"}, {THIEF.text: "DMM thief"})

OUTFLOW = Outflow(
    id="out_1",
    chain=BITCOIN,
    tx=bytes(range(32)),
    state=OutflowState.INCLUDED,
    wallet="btc-hot",
    asset=BTC,
    amount=450_290_000_000,
    payments=(Payment(0, THIEF, 450_290_000_000),),
    fee=10_000_000,
    first_seen=AT,
    block=BlockRef(845_828, b"\xaa" * 32),
    block_time=AT,
)
FINDING = Finding(
    id="fnd_1",
    rule="unapproved",
    rule_id="unapproved",
    verdict=VerdictKind.VIOLATION,
    severity=Severity.CRITICAL,
    mode=Mode.ENFORCE,
    chain=str(BITCOIN),
    tx=OUTFLOW.tx,
    wallet="btc-hot",
    asset=str(BTC),
    outflow="out_1",
    summary="no request explains it",
    evidence={"outputs": [0]},
    rules_digest="sha256:00",
    found_at=AT,
)
ALERT = Alert(
    id="alr_1",
    fingerprint="f",
    severity=Severity.CRITICAL,
    state=AlertState.ACKNOWLEDGED,
    title="4,502.9 BTC left",
    findings=("fnd_1",),
    outflows=("out_1",),
    opened_at=AT,
    acknowledged=Decision("treasury-1", AT, "calling"),
    deliveries=(Delivery("slack-1", Outcome.DELIVERED, 1, "171.2", AT),),
)


def test_an_outflow_has_every_field_of_the_contract() -> None:
    assert outflow_object(OUTFLOW, NAMES, requests=["W-1"], findings=["fnd_1"]) == {
        "id": "out_1",
        "chain": "bitcoin",
        "chain_id": str(BITCOIN),
        "tx": bytes(range(32)).hex(),
        "state": "included",
        "wallet": "btc-hot",
        "asset": str(BTC),
        "symbol": "BTC",
        "decimals": 8,
        "amount": "450290000000",
        "destinations": [{"address": THIEF.text, "amount": "450290000000", "label": "DMM thief"}],
        "fee": "10000000",
        "height": 845_828,
        "block_hash": "aa" * 32,
        "block_time": "2024-05-31T04:26:17.000005Z",
        "first_seen": "2024-05-31T04:26:17.000005Z",
        "requests": ["W-1"],
        "findings": ["fnd_1"],
    }


def test_an_outflow_of_the_mempool_has_no_block_and_an_unknown_token_no_symbol() -> None:
    pending = Outflow("o", ETHEREUM, b"\x0f" * 32, OutflowState.SEEN, "w", USDT, 2**256 - 1, (), 0, AT)
    row = outflow_object(pending, NAMES)
    assert (row["tx"], row["chain"]) == ("0x" + "0f" * 32, "eip155:1")
    assert [row[key] for key in ("height", "block_hash", "block_time", "symbol", "decimals")] == [None] * 5
    assert row["amount"] == str(2**256 - 1)


def test_a_finding_has_every_field_of_the_contract() -> None:
    row = finding_object(FINDING, NAMES)
    contract = "id rule rule_id verdict severity mode chain tx wallet outflow summary evidence rules_digest found_at"
    assert set(contract.split()) <= row.keys()
    assert (row["chain"], row["tx"], row["found_at"]) == ("bitcoin", OUTFLOW.tx.hex(), "2024-05-31T04:26:17.000005Z")
    assert "resolved" not in row
    assert finding_object(FINDING, NAMES, resolved={"at": "x", "late_secs": 5})["resolved"]["late_secs"] == 5


def test_an_alert_has_every_field_of_the_contract() -> None:
    row = alert_object(ALERT)
    contract = "id fingerprint severity state title findings outflows opened_at acknowledged deliveries"
    assert set(contract.split()) <= row.keys()
    assert row["acknowledged"] == {"by": "treasury-1", "at": "2024-05-31T04:26:17.000005Z", "reason": "calling"}
    assert row["deliveries"] == [
        {
            "sink": "slack-1",
            "outcome": "delivered",
            "attempts": 1,
            "remote_id": "171.2",
            "at": "2024-05-31T04:26:17.000005Z",
        }
    ]


def test_a_webhook_is_told_the_same_objects_as_the_command_shows() -> None:
    names = AlertNames(assets=dict(NAMES.assets), chains=dict(NAMES.chains))
    label = Label("*", THIEF.text, "DMM thief", "theft")
    view = AlertView(ALERT, (FINDING,), (OUTFLOW,), names, {THIEF.text: (label,)}, {"out_1": ("W-1",)})
    told = event_object(view)
    assert alert_object(ALERT).items() <= told.items()
    assert told["details"]["findings"] == [finding_object(FINDING, NAMES)]
    assert told["details"]["outflows"] == [outflow_object(OUTFLOW, NAMES, requests=["W-1"], findings=["fnd_1"])]


@pytest.mark.parametrize(("milli", "text"), [(0, "0.000"), (5, "0.005"), (750, "0.750"), (1000, "1.000")])
def test_a_labels_confidence_is_exact(milli: int, text: str) -> None:
    assert label_object(Label("*", "a", "l", "scam", confidence_milli=milli))["confidence"] == text


def test_a_request_shows_its_acts_and_who_paid_it() -> None:
    intent = Intent(ETHEREUM, USDT, 5_000_000, Address(b"\x02", "0xAb"), "sha256:00", wallet="eth-hot")
    opened = Act(ActKind.REQUEST, "W-1", "treasury-1", AT, b"\x00" * 32, "feed", 1, kid="k", intent=intent)
    sent = Act(ActKind.BROADCAST, "W-1", "hsm", AT, b"\x01" * 32, "feed", 2, txid=b"\x0e" * 32)
    row = request_object(Request("W-1", intent, opened, (opened, sent)), NAMES, state="paid", tx=b"\x0e" * 32)
    assert (row["state"], row["amount"], row["tx"]) == ("paid", "5000000", "0x" + "0e" * 32)
    assert [(act["act"], act["line"], act["txid"]) for act in row["acts"]] == [
        ("request", 1, None),
        ("broadcast", 2, "0x" + "0e" * 32),
    ]


def test_every_object_is_plain_json() -> None:
    silence = Silence("sil_1", "b", "r", AT, AT, wallets=("btc-hot",))
    for row in (
        outflow_object(OUTFLOW, NAMES),
        finding_object(FINDING, NAMES),
        alert_object(ALERT),
        silence_object(silence),
    ):
        assert json.loads(json.dumps(row)) == row
