"""Backtests of a small deployment: what is said, what is not judged, what is wrong with a file; nothing moves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cli_samples import Run, runner, seed, write_deployment

from walletwatch.store import open_store

EARLIER = timedelta(minutes=28)
LOUD = '[[rule]]\nid = "small"\ntype = "transaction_limit"\nmax = "0.00000001 BTC"\n'
SHADOW = LOUD + 'mode = "shadow"\n'
QUIET = '[[rule]]\nid = "small"\ntype = "transaction_limit"\nmax = "21000000 BTC"\n'
OTHERS = '[[rule]]\ntype = "unapproved"\n[[rule]]\ntype = "node_stale"\n[[rule]]\ntype = "allowance_granted"\n'
RANGE = ("--chain", "bitcoin", "--from", "0", "--to", "10000000", "--format", "json")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backtests")
    write_deployment(made)
    seed(made)
    return made


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, folder / "walletwatch.toml")


def written(folder: Path, text: str, name: str = "new.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_it_says_what_the_rule_would_have_found_and_moves_nothing(run: Run, folder: Path) -> None:
    before = run("status", "--format", "json").json(), run("findings", "list", "--format", "json").json()
    said = run("backtest", "--rules", written(folder, LOUD), *RANGE).json()
    assert [f["rule_id"] for f in said["findings"]] == ["small"] * said["outflows"]
    assert said["alerts"] == 1
    assert said["alerts_per_day"] == 1.0
    assert said["quiet_days"] == []
    assert said["lead_time_secs"] is None
    assert (run("status", "--format", "json").json(), run("findings", "list", "--format", "json").json()) == before


def test_lead_time_is_counted_to_the_largest_loss(run: Run, folder: Path) -> None:
    """A test payment of 0.84 of a coin, and the drain 28 minutes later, as at Bitget."""
    store = open_store(f"sqlite:///{folder}/w.db")
    with store.transaction() as unit:
        drain = unit.outflows.get("out_dmm")
        assert drain is not None
        tried = replace(drain, id="out_test", tx=bytes(32), amount=84_000_000, first_seen=drain.first_seen - EARLIER)
        unit.outflows.save(replace(tried, block_time=tried.first_seen))
        loud = unit.findings.get("fnd_dmm")
        assert loud is not None
        for outflow in (drain, tried):
            about = {"id": f"fnd_{outflow.id}", "rule": "unapproved", "tx": outflow.tx, "outflow": outflow.id}
            unit.findings.add(replace(loud, **about))
    store.close()
    assert run("backtest", "--rules", written(folder, LOUD), *RANGE).json()["lead_time_secs"] == 28 * 60


def test_a_limit_that_is_not_reached_leaves_the_day_quiet(run: Run, folder: Path) -> None:
    said = run("backtest", "--rules", written(folder, QUIET), *RANGE).json()
    assert (said["findings"], said["alerts_per_day"], said["lead_time_secs"]) == ([], 0.0, None)
    assert len(said["quiet_days"]) == 1


def test_a_rule_in_shadow_tells_nobody(run: Run, folder: Path) -> None:
    said = run("backtest", "--rules", written(folder, SHADOW), *RANGE).json()
    assert (len(said["findings"]), said["alerts"]) == (said["outflows"], 0)


def test_what_history_alone_cannot_judge_is_named(run: Run, folder: Path) -> None:
    said = run("backtest", "--rules", written(folder, OTHERS), *RANGE).json()
    assert said["skipped"] == ["unapproved", "node_stale", "allowance_granted"]
    assert said["findings"] == []


def test_two_files_are_compared_rule_by_rule_and_by_what_they_say(run: Run, folder: Path) -> None:
    new = QUIET + '[[rule]]\ntype = "new_destination"\nmode = "shadow"\n'
    old = LOUD + '[[rule]]\ntype = "off_hours"\nmode = "shadow"\n'
    paths = ("--rules", written(folder, new), "--against", written(folder, old, "old.toml"))
    difference = run("backtest", *paths, *RANGE).json()["difference"]
    assert (difference["added"], difference["removed"]) == (["new_destination"], ["off_hours"])
    assert list(difference["changed"]) == ["small"]
    [(before, after)] = difference["changed"]["small"].values()
    assert before["max"] != after["max"]
    assert difference["alerts"] == {"before": 1, "after": 0}


def test_everything_wrong_with_a_file_is_said_at_once(run: Run, folder: Path) -> None:
    text = 'colour = 1\n[[rule]]\ntype = "transaction_limit"\n[[rule]]\ntype = "sweeep"\n' + LOUD + LOUD
    answer = run("backtest", "--rules", written(folder, text), *RANGE)
    assert answer.code == 2
    for part in ("colour", "rule 1.max", "did you mean 'sweep'", "rule small: this id is given twice"):
        assert part in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("text", ["[[rule", "rule = 3", "a = " + "[" * 5_000])
def test_a_file_that_is_no_list_of_rules_is_refused(run: Run, folder: Path, text: str) -> None:
    answer = run("backtest", "--rules", written(folder, text), *RANGE)
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_a_file_that_is_not_there_is_named(run: Run, folder: Path) -> None:
    answer = run("backtest", "--rules", str(folder / "none.toml"), *RANGE)
    assert answer.code == 2
    assert "none.toml" in answer.err
