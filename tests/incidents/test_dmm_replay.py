"""DMM Bitcoin, 31 May 2024, from the recorded node through the whole pipeline.

Real: the theft and the transaction that funded it (from their published parts, ids recomputed), the addresses of vault,
payee and thief, the moment. Reconstructed: the exchange's ordinary days around it, its approvals, the other blocks
(walletwatch/demo/data/PROVENANCE.md).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from incidents.dmm_days import PAYEE, THEFT_SEEN, THEFT_TIME, THIEF
from walletwatch.cli.main import app as walletwatch
from walletwatch.demo.play import THEFT, played
from walletwatch.domain.findings import Finding, Severity, VerdictKind
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Application, Path]]:
    folder = tmp_path_factory.mktemp("replay") / "dmm"
    with played(folder, io.StringIO()) as app:
        yield app, folder


def findings(app: Application) -> list[Finding]:
    with app.store.reading() as unit:
        return list(unit.findings.find(Filter()))


def test_at_least_six_independent_rules_fire_on_the_theft(replayed: tuple[Application, Path]) -> None:
    """Independent: each looks at something else (who approved, the payee's looks, the list of payees, what is left, how
    much, how much in a day, who was paid before, the hand, the fee), and none of them needs another.
    """
    found = [f for f in findings(replayed[0]) if f.tx == THEFT]
    assert all(f.verdict is VerdictKind.VIOLATION for f in found)
    assert {f.rule for f in found} == {
        "destination_mismatch",
        "lookalike_destination",
        "not_allowlisted",
        "sweep",
        "transaction_limit",
        "window_limit",
        "new_destination",
        "signing_fingerprint",
        "fee_anomaly",
    }
    assert len({f.rule for f in found}) >= 6


def test_none_fires_on_the_ordinary_transactions_before_it(replayed: tuple[Application, Path]) -> None:
    app, _ = replayed
    with app.store.reading() as unit:
        before = [o for o in unit.outflows.find(Filter()) if o.broadcast_at < THEFT_TIME and o.tx != THEFT]
    assert len(before) >= 20
    ordinary = {o.tx for o in before}
    assert [f for f in findings(app) if f.tx in ordinary or f.found_at < THEFT_SEEN] == []


def test_it_is_told_77_seconds_before_its_block(replayed: tuple[Application, Path]) -> None:
    """Lead time: the first transaction was the loss, so that what remains is from the mempool to the block."""
    first = min(f.found_at for f in findings(replayed[0]) if f.severity is Severity.CRITICAL)
    assert (THEFT_TIME - first).total_seconds() == 77


def test_the_story_names_the_request_that_the_theft_took_the_place_of(replayed: tuple[Application, Path]) -> None:
    """`audit why` said "No request explains it." and nothing of the one that differed in its destination alone."""
    _, folder = replayed
    command = ["--config", str(folder / "walletwatch.toml"), "audit", "why", THEFT.hex()]
    text = CliRunner().invoke(walletwatch, command).output
    assert "No request explains it." in text
    assert "The nearest request differs in its destination:" in text
    assert f"Request S-2024-0531: 4,502.9 BTC to {PAYEE}" in text
    story = json.loads(CliRunner().invoke(walletwatch, [*command, "--format", "json"]).output)
    assert [row["id"] for row in story["near_requests"]] == ["S-2024-0531"]
    assert story["requests"] == []
    assert story["outflows"][0]["destinations"][0]["address"] == str(THIEF)
