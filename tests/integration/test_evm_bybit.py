"""The transaction that took over Bybit's Safe, through the whole pipeline: recorded, replayed, and scanned."""

from __future__ import annotations

from pathlib import Path

import pytest
from evm_proxies import ServedNode
from exchanges import Exchange

from chains.captures import CaptureRange
from chains.model import ChainId
from data.ethereum.samples import (
    BYBIT_HEIGHT,
    BYBIT_NEW_SINGLETON,
    BYBIT_OLD_SINGLETON,
    BYBIT_SAFE,
    BYBIT_SIGNERS,
    bybit_node,
)
from walletwatch.service.trials import Trial, TrialFailed, record, replay, scan

MAINNET = ChainId("eip155", "1")
COVERED = CaptureRange(MAINNET, BYBIT_HEIGHT, BYBIT_HEIGHT)


def exchange(folder: Path, url: str) -> Exchange:
    return Exchange(
        folder,
        f"""
[[chain]]
name = "ethereum"
id = "{MAINNET}"
endpoints = ["{url}"]
finality = 1
[[wallet]]
name = "eth-cold"
role = "cold"
chain = "ethereum"
kind = "safe"
addresses = ["{BYBIT_SAFE}"]
""",
        rules='[[rule]]\nid = "wallet-control"\ntype = "wallet_control_changed"\n',
    )


def hold_to_the_facts(trial: Trial) -> None:
    assert trial.outflows == (), "the first drain came 13 blocks later"
    (found,) = trial.findings
    assert (found.rule_id, found.rule, found.severity) == ("wallet-control", "wallet_control_changed", "critical")
    assert found.wallet == "eth-cold"
    assert found.tx is not None
    changes = {c["kind"]: c for c in found.evidence["changes"]}
    assert changes.keys() == {"singleton", "delegatecall"}
    assert changes["singleton"]["before"].lower() == BYBIT_OLD_SINGLETON
    assert changes["singleton"]["after"].lower() == BYBIT_NEW_SINGLETON
    signers = changes["delegatecall"]["detail"]["signers"].lower().split(",")
    assert signers == sorted(BYBIT_SIGNERS)


def test_recorded_and_replayed_it_fires_before_any_value_moved(tmp_path: Path) -> None:
    capture = tmp_path / "bybit.jsonl.gz"
    with ServedNode(node=bybit_node()) as node:
        settings = exchange(tmp_path / "exchange", node.url).settings()
        recorded = record(settings, COVERED, capture)
        scanned = scan(settings, COVERED)
    replayed = replay(settings, capture)
    for trial in (recorded, scanned, replayed):
        hold_to_the_facts(trial)
    assert {f.id for f in recorded.findings} == {f.id for f in replayed.findings} == {f.id for f in scanned.findings}
    assert replayed.findings[0].evidence == recorded.findings[0].evidence


def test_where_the_node_shows_no_state_the_calldata_still_accuses(tmp_path: Path) -> None:
    """A node that has pruned the Safe's storage must not make the takeover look like nothing."""
    with ServedNode(node=bybit_node()) as node:
        node.fault = lambda call, _number: "refuse" if call["method"] == "eth_getStorageAt" else "pass"
        trial = scan(exchange(tmp_path / "exchange", node.url).settings(), COVERED)
    (found,) = trial.findings
    assert (found.rule, found.severity, found.verdict) == ("wallet_control_changed", "critical", "violation")
    (change,) = found.evidence["changes"]
    assert (change["kind"], change["after"][2:8]) == ("delegatecall", "962214")
    assert change["detail"]["code_hash"] == "unread"


def test_a_node_that_answers_null_for_storage_is_not_believed(tmp_path: Path) -> None:
    with ServedNode(node=bybit_node()) as node:
        node.fault = lambda call, _number: "null" if call["method"] == "eth_getStorageAt" else "pass"
        with pytest.raises(TrialFailed, match="eth_getStorageAt"):
            scan(exchange(tmp_path / "exchange", node.url).settings(), COVERED)
