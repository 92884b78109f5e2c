"""The demonstration from end to end: the recorded days through the whole pipeline, and every fact it shows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc.util import urlsafe_b64decode
from rich.console import Console

from incidents.dmm_days import STORAGE, THEFT_HEIGHT, THEFT_TIME, Days
from incidents.dmm_recording import HOME, Recording, unpack
from walletwatch.audit.notes import VerifyingKey
from walletwatch.audit.pack_verification import verify_pack
from walletwatch.demo import play as demo_plays
from walletwatch.demo.evidence import Evidence, gather
from walletwatch.demo.play import THEFT, played
from walletwatch.demo.screens import FILES, run_demo
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.findings import Finding, VerdictKind
from walletwatch.domain.outflows import OutflowState
from walletwatch.service.daemon import Daemon, Ended
from walletwatch.service.deployment import check_rule
from walletwatch.service.reporting import daily_text
from walletwatch.settings import Settings, load
from walletwatch.store import open_store
from walletwatch.store.statements import Filter

STOLEN = 450_290_000_000


@dataclass(frozen=True)
class Shown:
    """One demonstration: its folder, what stood on the terminal, and how it ended."""

    folder: Path
    screen: str
    status: int

    @property
    def settings(self) -> Settings:
        return load(self.folder / "walletwatch.toml", environ={}, rule_check=check_rule)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder, out = tmp_path_factory.mktemp("demo") / "dmm", io.StringIO()
    status = run_demo(folder, Console(file=out, width=100))
    return Shown(folder, out.getvalue(), status)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("again") / "dmm"
    with played(folder, io.StringIO()) as app:
        yield gather(app, folder)


# --- the recording ----------------------------------------------------------------------------------------------------


def test_the_recording_is_made_again_byte_for_byte() -> None:
    made = Recording().files()
    kept = {name: unpack(name, (HOME / name).read_bytes()) for name in made}
    assert [name for name, content in made.items() if kept[name] != content] == []
    assert sum((HOME / name).stat().st_size for name in made) < 300_000


def test_the_theft_in_it_is_the_real_one() -> None:
    days = Days()
    assert days.theft.tx.txid == THEFT
    assert days.funding.txid == "c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908"
    assert sum(c.value for c in days.theft.coins) - STOLEN == 10_000_000
    assert 10_000_000 // days.theft.tx.vsize == 7_704


# --- what it found ----------------------------------------------------------------------------------------------------


def test_nine_rules_fire_on_the_theft_and_none_on_anything_before(evidence: Evidence) -> None:
    assert {(f.rule, f.rule_id) for f in evidence.findings} == {
        ("destination_mismatch", "destination_mismatch"),
        ("lookalike_destination", "lookalike"),
        ("not_allowlisted", "vault-allowlist"),
        ("sweep", "vault-sweep"),
        ("transaction_limit", "vault-max"),
        ("window_limit", "vault-day"),
        ("new_destination", "vault-new-payee"),
        ("signing_fingerprint", "vault-hand"),
        ("fee_anomaly", "vault-fee"),
    }
    assert all(f.verdict is VerdictKind.VIOLATION for f in evidence.findings)
    assert evidence.on_ordinary == ()
    assert len(evidence.paid) == 21
    assert evidence.requests == ("S-2024-0531",)


def test_the_theft_is_told_from_the_mempool_and_kept_up_to_date_until_it_is_final(evidence: Evidence) -> None:
    theft, alert = evidence.theft, evidence.alert
    assert (theft.tx, theft.amount, theft.state) == (THEFT, STOLEN, OutflowState.FINAL)
    assert theft.block is not None
    assert (theft.block.height, theft.block_time) == (THEFT_HEIGHT, THEFT_TIME)
    assert theft.first_seen < THEFT_TIME
    assert alert.opened_at == theft.first_seen
    assert (alert.state, alert.version) == (AlertState.ACKNOWLEDGED, 4)
    assert [c.what.partition(":")[0] for c in alert.changes] == [
        "seen → included",
        "acknowledged by treasury-2",
        "included → final",
    ]


def test_every_stolen_satoshi_is_traced_to_the_ten_wallets(evidence: Evidence) -> None:
    trace = evidence.trace
    holding = {node.address: node.holding for node in trace.nodes if node.holding}
    assert set(holding) == {address.text for address in STORAGE}
    assert sorted(holding.values())[1:] == [50_000_000_000] * 9
    for totals in trace.totals.values():
        assert totals.stolen == STOLEN
        assert totals.holding + totals.fees == STOLEN
    assert sum(holding.values()) == trace.totals[trace.model].holding


def test_the_report_balances_and_counts_the_theft(evidence: Evidence) -> None:
    report = evidence.report
    assert report.balances is True
    assert [(book.wallet, book.difference) for book in report.books] == [
        ("btc-vault", 0),
        ("btc-reserve", 0),
        ("btc-hot", 0),
    ]
    assert {(t.outcome, t.count) for t in report.outflows} == {("approved", 3), ("destination_mismatch", 1)}
    used = {use.rule_id: (use.used, use.broken, use.tx) for use in report.limits}
    assert used["vault-max"] == (STOLEN, 1, THEFT.hex())
    # 24 h up to the theft: six settlements, and the theft itself.
    after = THEFT_TIME - timedelta(seconds=79 - 2) - timedelta(hours=24)
    settled = [o.amount for o in evidence.paid if o.wallet == "btc-vault" and o.broadcast_at > after]
    assert used["vault-day"] == (STOLEN + sum(settled), 1, THEFT.hex())
    assert used["hot-max"][1:] == (0, evidence.paid[-2].tx.hex())
    assert report.alerts.max_secs == 389
    assert report.unwatched == ()


def test_the_log_is_whole_and_a_changed_digit_in_it_is_found(evidence: Evidence) -> None:
    assert evidence.verified.ok
    assert evidence.verified.unsigned == 0
    assert not evidence.forged.ok
    assert "was changed" in evidence.forged.problems[0].message


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_the_terminal_tells_it_all(shown: Shown) -> None:
    assert shown.status == 0
    for words in (
        "Reconstructed:",
        "none broke a rule",
        "CRITICAL · destination mismatch · 4,502.9 BTC left cold wallet btc-vault",
        "9 rules fired",
        "lie in 10 wallets",
        "acknowledged the alert",
        "The books agree with the chain",
        "untouched",
        "checked as a regulator would, with the public key alone: in order.",
        "audit verify",
    ):
        assert words in shown.screen
    assert all(len(line) <= 100 for line in shown.screen.splitlines() if "--config" not in line and "dmm/" not in line)


def test_every_file_it_names_is_there(shown: Shown) -> None:
    assert [name for name, _ in FILES if not (shown.folder / name).is_file()] == []
    assert (shown.folder / "keys" / "audit.key").stat().st_mode & 0o777 == 0o600
    report = json.loads((shown.folder / "report.json").read_bytes())
    assert report["balances"] is True
    trace = json.loads((shown.folder / "trace.json").read_bytes())
    assert trace["stolen"] == str(STOLEN)
    vkey = VerifyingKey.parse((shown.folder / "keys" / "audit.vkey").read_text())
    assert verify_pack(shown.folder / "evidence.zip", vkey).ok


def test_two_demonstrations_tell_the_same(shown: Shown, evidence: Evidence) -> None:
    found = {f.id: f.summary for f in _findings(shown.settings) if f.tx == THEFT}
    assert found == {f.id: f.summary for f in evidence.findings}


def test_a_folder_with_anything_in_it_is_never_touched(tmp_path: Path) -> None:
    precious = tmp_path / "walletwatch.toml"
    precious.write_text("mine")
    with pytest.raises(FileExistsError, match="not empty") as refused:
        run_demo(tmp_path, Console(file=io.StringIO()))
    assert refused.value.filename == str(tmp_path)
    assert precious.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [precious]


def test_the_daemon_takes_over_where_the_demonstration_ended(tmp_path: Path) -> None:
    """The folder is a deployment like any other: a restart finds nothing new to judge, and the log goes on."""
    with played(tmp_path / "dmm", io.StringIO()) as app:
        before = [f.id for f in _findings(app.settings)]
        assert Daemon(app).run(until_synced=True) is Ended.FINE
        assert [f.id for f in _findings(app.settings)] == before


def _findings(settings: Settings) -> list[Finding]:
    store = open_store(settings.store.url.reveal())
    with store.reading() as unit:
        found = list(unit.findings.find(Filter()))
    store.close()
    return found


def test_the_report_command_reads_the_same_day_from_the_folder(shown: Shown) -> None:
    store = open_store(shown.settings.store.url.reveal())
    with store.reading() as unit:
        text = daily_text(shown.settings, unit, "table", datetime(2024, 5, 31, 12, tzinfo=UTC).date(), width=100)
    store.close()
    assert "4 outflows, 1 not as approved: 4,502.9 BTC destination mismatch." in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_an_approval_that_comes_after_finality_still_explains_its_payment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the approval log came 45 minutes late, when its payment was final and the request already put aside.
    Judged again, the payment was held to have been paid twice: a critical `approval_reused`, by no first transaction.
    """
    acts = demo_plays.read_acts()
    late = next(n for n, (_, line) in enumerate(acts) if _is_act(line, "S-1007", "compliance-1"))
    acts[late] = (acts[late][0] + timedelta(minutes=45), acts[late][1])
    monkeypatch.setattr(demo_plays, "read_acts", lambda: sorted(acts))
    with played(tmp_path / "dmm", io.StringIO()) as app, app.store.reading() as unit:
        late_ones = [f for f in unit.findings.find(Filter()) if f.outflow is not None and f.tx != THEFT]
        resolved = unit.findings.resolutions([f.id for f in late_ones])
        alert = next(a for a in unit.alerts.find(Filter()) if late_ones[0].id in a.findings)
    assert [(f.rule, f.id in resolved) for f in late_ones] == [("quorum_not_met", True)]
    assert alert.state is AlertState.CLOSED


def _is_act(line: bytes, request_id: str, actor: str) -> bool:
    payload = json.loads(urlsafe_b64decode(json.loads(line)["payload"].encode()))
    return (payload["request_id"], payload["actor"]) == (request_id, actor)
