"""Cases on the command line: listed, shown, exported, stopped; and the story of the theft."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_samples import BITCOIN, BTC, THEFT, THIEF, Run, runner, seed, write_deployment

from chains.model import BlockRef, Outpoint, TxInput, TxOutput, UtxoTransaction
from chains.registry import parse_address
from walletwatch.domain.cases import Case, CaseState, Seed, TaintModel, TraceOptions, case_id
from walletwatch.store import open_store
from walletwatch.store.cases import CaseTransaction, StoredCase

VICTIM = parse_address(BITCOIN, "3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD")
NEXT = parse_address(BITCOIN, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
STOLEN = 450_290_000_000
BLOCK = BlockRef(845_828, b"\xaa" * 32)
LATER = BlockRef(845_830, b"\xbb" * 32)
AT = datetime(2024, 5, 31, 4, 26, tzinfo=UTC)


def transactions() -> list[CaseTransaction]:
    """The theft, and a move of all but the fee two blocks later."""
    thief = parse_address(BITCOIN, THIEF)
    theft = UtxoTransaction(
        THEFT,
        1,
        (TxInput(Outpoint(b"\xc0" * 32, 21), STOLEN + 10_000_000, VICTIM),),
        (TxOutput(0, STOLEN, thief),),
        10_000_000,
        1298,
    )
    move = UtxoTransaction(
        b"\x02" * 32,
        5,
        (TxInput(Outpoint(THEFT, 0), STOLEN, thief),),
        (TxOutput(0, STOLEN - 1_000_000, NEXT),),
        1_000_000,
        200,
    )
    return [CaseTransaction(BLOCK, AT, theft), CaseTransaction(LATER, AT, move)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("case")
    write_deployment(made)
    seed(made)
    seeds = (Seed(THEFT, 0, parse_address(BITCOIN, THIEF), BTC, STOLEN, BLOCK.height),)
    case = Case(
        id=case_id(BITCOIN, seeds),
        name="dmm",
        chain=BITCOIN,
        seeds=seeds,
        state=CaseState.OPEN,
        opened_at=AT,
        opened_by="system",
        start_height=BLOCK.height,
        options=TraceOptions(TaintModel.FIFO),
    )
    store = open_store(f"sqlite:///{made}/w.db")
    with store.transaction() as unit:
        unit.cases.save(StoredCase(case, replace(LATER), live=True))
        unit.cases.extend(case.id, transactions(), ())
        unit.audit.append("system", "case.opened", case.id, {"name": case.name})
    store.close()
    return made


@pytest.fixture
def run(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return runner(monkeypatch, capsys, tmp_path / "walletwatch.toml")


def test_cases_are_listed(run: Run) -> None:
    (row,) = run("trace", "list", "--format", "json").json()
    assert (row["name"], row["chain"], row["stolen"], row["cursor"], row["live"]) == (
        "dmm",
        "bitcoin",
        str(STOLEN),
        845_830,
        True,
    )
    assert run("trace", "list", "--state", "stopped", "--format", "json").json() == []
    assert run("trace", "list", "--chain", "ethereum", "--format", "json").json() == []
    assert "4,502.9 BTC" in run("trace", "list").out


def test_a_case_is_shown_as_the_trace_object(run: Run) -> None:
    found = run("trace", "show", "dmm", "--format", "json").json()
    assert {"case", "state", "seeds", "asset", "stolen", "nodes", "edges", "stops", "totals"} <= found.keys()
    assert (found["chain"], found["stolen"]) == ("bitcoin", str(STOLEN))
    assert {node["address"]: node["holding"] for node in found["nodes"] if node["hop"] == 2} == {
        NEXT.text: str(STOLEN - 1_000_000)
    }
    for model in ("haircut", "fifo", "lifo", "tiho"):
        total = found["totals"][model]
        parts = ("at_services", "holding", "fees", "below_threshold")
        assert sum(int(total[part]) for part in parts) == int(total["stolen"]) == STOLEN


@pytest.mark.parametrize("model", list(TaintModel))
def test_every_model_is_shown(run: Run, model: TaintModel) -> None:
    assert run("trace", "show", "dmm", "--model", str(model), "--format", "json").json()["model"] == model


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_a_case_reads_well(run: Run, form: str) -> None:
    answer = run("trace", "show", "dmm", "--format", form)
    assert answer.code == 0
    assert ("4,502.89 BTC" if form != "csv" else str(STOLEN - 1_000_000)) in answer.out


def test_a_case_is_exported(run: Run, tmp_path: Path) -> None:
    answer = run("trace", "export", "dmm", "--as", "html,svg,csv,graphml,stix,json", "-o", str(tmp_path / "out"))
    assert answer.code == 0
    written = sorted(path.suffix for path in (tmp_path / "out").iterdir())
    assert {".html", ".svg", ".csv", ".graphml", ".json"} <= set(written)
    assert all(str(path) in answer.out for path in (tmp_path / "out").iterdir())
    assert run("trace", "export", "dmm", "--as", "docx", "-o", str(tmp_path / "x")).code == 2
    assert not (tmp_path / "x").exists()


def test_a_case_is_stopped_on_record_and_once(run: Run) -> None:
    who = ("--by", "compliance-1", "--reason", "recovered")
    assert run("trace", "stop", "dmm", *who).code == 0
    assert run("trace", "list", "--state", "open", "--format", "json").json() == []
    (entry,) = run("audit", "query", "--action", "case.stopped", "--format", "json").json()
    assert (entry["actor"], entry["payload"]["reason"]) == ("compliance-1", "recovered")
    assert run("trace", "stop", "dmm", *who).code == 2


def test_the_story_of_a_transaction_has_everything_about_it(run: Run) -> None:
    story = run("audit", "why", f"0x{THEFT.hex()}", "--format", "json").json()
    assert [row["id"] for row in story["outflows"]] == ["out_dmm"]
    assert [row["id"] for row in story["findings"]] == ["fnd_dmm"]
    assert [row["id"] for row in story["alerts"]] == ["alr_dmm"]
    assert len(story["cases"]) == 1
    assert [entry["action"] for entry in story["entries"]] == ["finding.made", "case.opened"]
    text = run("audit", "why", THEFT.hex()).out
    for part in (
        "4,502.9 BTC left btc-hot",
        "No request explains it.",
        "more than 50 BTC",
        "alr_dmm",
        story["cases"][0],
    ):
        assert part in text
    assert run("audit", "why", "00" * 32).code == 2


def test_the_story_is_json_for_programs(run: Run) -> None:
    assert json.loads(run("audit", "why", THEFT.hex(), "--format", "json").out)["tx"] == THEFT.hex()
