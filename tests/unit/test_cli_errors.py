"""How commands end: one block on stderr, a status that means something, never a traceback, never a secret."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from cli_samples import Run, runner, write_deployment

from chains.errors import Unreachable
from walletwatch.cli import main as command
from walletwatch.cli import status
from walletwatch.cli.errors import Exit, explain
from walletwatch.settings import SecretMissing
from walletwatch.settings.loading import DEFAULT_ORIGIN
from walletwatch.store import StoreError

DATA = Path(__file__).parents[1] / "data" / "settings"
CANARY = "CANARY-c0ffee"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_ten_faults_are_ten_readable_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = runner(monkeypatch, capsys, DATA / "broken.toml")("check")
    assert (answer.code, answer.out) == (2, "")
    assert "10 faults" in answer.err
    assert len(re.findall(r"^\S+\.toml:\d+  \S+$", answer.err, re.MULTILINE)) == 10
    assert answer.err.count("\n  -> ") == 10
    assert "CANARY" not in answer.err


def test_init_writes_a_start_that_check_accepts_and_explains(run: Run, tmp_path: Path) -> None:
    assert run("init").code == 0
    key, vkey = tmp_path / "config/keys/audit.key", tmp_path / "config/keys/audit.vkey"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text(encoding="utf-8").startswith("-----BEGIN PRIVATE KEY-----")
    assert re.fullmatch(rf"{re.escape(DEFAULT_ORIGIN)}\+[0-9a-f]{{8}}\+[A-Za-z0-9+/=]+\n", vkey.read_text("utf-8"))
    assert (tmp_path / "config/walletwatch.db").is_file()
    checked = run("check")
    assert (checked.code, "nothing is watched" in checked.out) == (0, True)
    assert run("db", "current").code == 0
    assert run("run", "--until-synced").code == 2


@pytest.mark.parametrize("name", ["walletwatch.toml", "walletwatch.db", "keys/audit.key", "keys/audit.vkey"])
def test_init_never_overwrites(run: Run, tmp_path: Path, name: str) -> None:
    there = tmp_path / "config" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine", encoding="utf-8")
    answer = run("init")
    assert (answer.code, there.read_text(encoding="utf-8")) == (2, "mine")
    assert [path for path in (tmp_path / "config").rglob("*") if path.is_file()] == [there]


def test_the_configuration_is_found_by_option_variable_or_habit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "config/walletwatch.toml" in run("check").err
    monkeypatch.setenv("WALLETWATCH_CONFIG", "elsewhere.toml")
    assert "elsewhere.toml" in run("check").err
    assert "third.toml" in run("--config", "third.toml", "check").err


def test_a_secret_shows_nowhere_in_check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    more = '[[sink]]\ntype = "slack"\ntoken = { env = "SLACK" }\nchannel = "#c"\n'
    config = write_deployment(tmp_path, more)
    text = config.read_text(encoding="utf-8").replace('["https://node.example"]', '[{ env = "NODE" }]')
    config.write_text(text, encoding="utf-8")
    monkeypatch.setenv("SLACK", CANARY)
    monkeypatch.setenv("NODE", f"https://u:{CANARY}@node.example")
    run = runner(monkeypatch, capsys, config)
    with caplog.at_level(logging.DEBUG):
        answers = [run("check"), run("status"), run("status", "--format", "json"), run("rules", "list")]
    assert [answer.code for answer in answers] == [0, 0, 0, 0]
    assert "env NODE" in answers[0].out
    assert CANARY not in caplog.text + "".join(a.out + a.err for a in answers)


def test_a_broken_signing_key_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_deployment(tmp_path)
    (tmp_path / "audit.key").write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n", encoding="utf-8")
    answer = runner(monkeypatch, capsys, config)("check")
    assert (answer.code, "signing_key" in answer.err, CANARY in answer.err) == (2, True, False)


def test_an_unexpected_error_is_a_block_without_message_or_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"connecting to https://u:{CANARY}@node.example failed")

    monkeypatch.setattr(status, "status_object", fail)
    answer = runner(monkeypatch, capsys, write_deployment(tmp_path))("status")
    assert answer.code == Exit.BROKEN
    assert "unexpected RuntimeError" in answer.err
    assert "status.py" in answer.err
    assert CANARY not in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SecretMissing("the environment variable X is not set"), Exit.USAGE, "X is not set"),
        (StoreError("the database sqlite:///x is empty: run `walletwatch db upgrade`"), Exit.USAGE, "db upgrade"),
        (StoreError("the database postgresql://h/x cannot be used: refused"), Exit.UNREACHABLE, "refused"),
        (Unreachable("connection refused", endpoint="127.0.0.1:8332"), Exit.UNREACHABLE, "127.0.0.1:8332"),
        (PermissionError(13, "Permission denied", "/x"), Exit.UNREACHABLE, "/x"),
    ],
)
def test_known_errors_have_their_status(error: Exception, code: Exit, words: str) -> None:
    block, status_code = explain(error)
    assert status_code is code
    assert block.startswith("error: ")
    assert words in block


def test_a_database_that_is_none_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_deployment(tmp_path)
    (tmp_path / "w.db").write_bytes(b"this is no database, and long enough to be read as one" * 20)
    answer = runner(monkeypatch, capsys, config)("outflows", "list")
    assert answer.code == 3
    assert "Traceback" not in answer.err


def test_whoever_stops_reading_ends_the_command_quietly(tmp_path: Path) -> None:
    config = write_deployment(tmp_path)
    script = f"{sys.executable} -m walletwatch.cli.main --config {config} rules list --format json | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[", "")


def every_command() -> Iterator[tuple[str, ...]]:
    root = typer.main.get_command(command.app)
    for name, found in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(found, "commands", None)
        yield from ((name, sub) for sub in inner) if inner else [(name,)]


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(run: Run, path: tuple[str, ...]) -> None:
    answer = run(*path, "--help")
    assert answer.code == 0
    assert f"Example: walletwatch {' '.join(path)}" in " ".join(answer.out.split())


def test_help_is_quick_because_it_loads_no_library_it_does_not_need() -> None:
    heavy = "pydantic sqlalchemy web3 cryptography joserfc rich.console slack_sdk apscheduler"
    script = (
        "import sys; from walletwatch.cli import main; "
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
