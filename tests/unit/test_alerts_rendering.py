"""What a person sees of an alert. The whole Slack message is held in tests/golden/alerts_slack_dmm.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from alerts_samples import BITCOIN, LOOKALIKE, THEFT, THIEF, make_alert, make_finding, make_outflow, make_view
from chains.model import Asset, AssetId, ChainId
from walletwatch.alerts.ports import AlertNames
from walletwatch.alerts.rendering import make_page, make_text
from walletwatch.alerts.slack import MAX_BLOCKS, make_blocks, make_message
from walletwatch.alerts.webhook import event_object
from walletwatch.domain.outflows import OutflowState
from walletwatch.domain.withdrawals import Payment

GOLDEN = Path(__file__).parents[1] / "golden" / "alerts_slack_dmm.json"
MAINNET = ChainId.parse("eip155:1")
USDT = AssetId.parse("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7")


def test_the_slack_message_of_the_dmm_theft() -> None:
    assert make_message(make_view()) == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(
    ("state", "tip", "said"),
    [
        (OutflowState.SEEN, 845_830, "in the mempool, in no block yet"),
        (OutflowState.INCLUDED, 845_829, "included in block 845829, 1 confirmation"),
        (OutflowState.INCLUDED, 845_830, "included in block 845829, 2 confirmations"),
        (OutflowState.INCLUDED, 845_828, "included in block 845829"),
        (OutflowState.FINAL, 845_840, "final in block 845829"),
        (OutflowState.ORPHANED, 845_840, "orphaned by a reorg, may be included again"),
        (OutflowState.REPLACED, 845_840, "replaced by another transaction"),
    ],
)
def test_the_life_of_the_transaction_is_told_in_words(state: OutflowState, tip: int, said: str) -> None:
    page = make_page(make_view(outflows=(make_outflow(state),), tips={str(BITCOIN): tip}))
    assert dict(page.facts)["Life"] == said


def test_a_replacement_is_shown_with_both_transactions_and_only_its_own_destinations() -> None:
    gone = make_outflow(OutflowState.REPLACED)
    other = make_outflow(tx=b"\x02" * 32, payments=(Payment(0, replace(THIEF, text="1Other"), 100_000_000),))
    page = make_page(make_view(outflows=(gone, other)))
    assert page.destinations == ("1 BTC → 1Other",)
    assert dict(page.facts)["Transaction"] == f"{THEFT.hex()}, {'02' * 32}"


def test_wallets_that_spent_together_do_not_double_what_arrived() -> None:
    both = (make_outflow(amount=200_000_000), make_outflow(wallet="cold-1", amount=450_090_000_000))
    page = make_page(make_view(outflows=both))
    assert page.destinations[0].startswith("4,502.9 BTC →")


def test_many_destinations_and_findings_are_cut_and_it_is_said() -> None:
    payments = tuple(Payment(n, replace(THIEF, text=f"1Dest{n:03}"), n + 1) for n in range(143))
    findings = tuple(make_finding(f"rule_{n:02}", rule_id=f"rule_{n:02}") for n in range(14))
    page = make_page(make_view(make_alert(*findings), findings=findings, outflows=(make_outflow(payments=payments),)))
    assert page.destinations[0] == "0.00000143 BTC → 1Dest142"
    assert page.destinations[-1] == "and 133 more destinations"
    assert len(page.findings) == 10
    assert dict(page.facts)["Not shown"] == "4 more findings"
    assert len(make_blocks(page)) <= MAX_BLOCKS


def test_evm_hashes_and_unknown_assets_are_written_as_their_people_do() -> None:
    names = AlertNames(assets={USDT: Asset(USDT, "USDT", 6)}, chains={"eip155:1": "ethereum"})
    other = AssetId.parse("eip155:1/erc20:0x000000000000000000000000000000000000dead")
    outflow = make_outflow(chain=MAINNET, asset=USDT, amount=1_500_000, payments=())
    finding = make_finding(chain="eip155:1")
    page = make_page(make_view(make_alert(finding), findings=(finding,), outflows=(outflow,), names=names))
    assert dict(page.facts)["Transaction"] == f"0x{THEFT.hex()}"
    assert page.commands[-1] == f"walletwatch audit why 0x{THEFT.hex()}"
    assert names.amount(1_500_000, USDT) == "1.5 USDT"
    assert names.amount(1_500_000, other) == f"1,500,000 base units of {other}"


def test_an_alert_without_transaction_says_what_it_is_about() -> None:
    stale = make_finding("node_stale", tx=None, wallet="", outflow=None, summary="no block for 31 minutes")
    text = make_text(make_view(make_alert(stale, outflows=()), findings=(stale,), outflows=()))
    assert "CRITICAL node stale: no block for 31 minutes" in text
    assert "Chain:        bitcoin" in text
    assert "audit why" not in text


def test_matched_requests_are_named() -> None:
    view = make_view()
    page = make_page(replace(view, requests={make_outflow().id: ("W-7", "W-8")}))
    assert dict(page.facts)["Request"] == "W-7, W-8"


def test_the_webhook_s_object_names_what_its_ids_mean() -> None:
    body = event_object(make_view())
    assert body["type"] == "walletwatch.alert/v1"
    assert {f["id"] for f in body["details"]["findings"]} == {make_finding().id, LOOKALIKE.id}
    assert body["details"]["outflows"][0]["chain_id"] == str(BITCOIN)
