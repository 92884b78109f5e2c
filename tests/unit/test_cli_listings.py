"""Listings ask the database a few times for hundreds of rows, not a few times a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_samples import BITCOIN, BTC, Run, runner, seed, write_deployment
from sqlalchemy import Engine, event

from chains.model import Address
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Payment
from walletwatch.store import open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_deployment(tmp_path)
    seed(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, folder / "walletwatch.toml")


def save(folder: Path, count: int) -> None:
    store = open_store(f"sqlite:///{folder}/w.db")
    with store.transaction() as unit:
        for n in range(count):
            tx, to = n.to_bytes(32, "big"), Address(bytes([n]), f"1Payee{n}")
            paid = (Payment(0, to, 5),)
            state = OutflowState.SEEN
            unit.outflows.save(Outflow(f"out_{n}", BITCOIN, tx, state, "btc-hot", BTC, 5, paid, 1, unit.now, family=tx))
    store.close()


def statements(run: Run, *args: str) -> tuple[int, int]:
    """(statements sent, rows shown)."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        sent.append(text)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        answer = run(*args, "--format", "json")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert answer.code == 0
    return len(sent), len(answer.json())


def test_outflows_are_listed_with_as_many_queries_whatever_their_number(folder: Path, run: Run) -> None:
    few = statements(run, "outflows", "list")
    save(folder, 40)
    many = statements(run, "outflows", "list")
    assert (few[1], many[1]) == (1, 41)
    assert many[0] == few[0]


def test_what_is_known_of_each_stands_in_its_row(folder: Path, run: Run) -> None:
    save(folder, 3)
    rows = {row["id"]: row for row in run("outflows", "list", "--format", "json").json()}
    assert rows["out_dmm"]["findings"] == ["fnd_dmm"]
    assert rows["out_dmm"]["destinations"][0]["label"] == "DMM thief"
    assert rows["out_1"]["findings"] == []
    assert "label" not in rows["out_1"]["destinations"][0]


def test_verifying_a_log_shows_how_far_it_is_on_the_error_stream_alone(run: Run) -> None:
    answer = run("audit", "verify", "--format", "json")
    assert answer.json()["ok"] is True
