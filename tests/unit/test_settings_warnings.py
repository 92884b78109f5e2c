"""What `check` warns of: the legal and foolish. Each file of tests/data/settings/foolish is one mistake: a line that is
warned of ends with `# warn:` and words of the warning.
"""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_samples import Run, runner, write_deployment
from docs_pages import PAGES, Fence, fences
from settings_samples import BASE

from walletwatch.audit.notes import SigningKey
from walletwatch.service.deployment import review_configuration
from walletwatch.settings import Review
from walletwatch.settings.loading import DEFAULT_ORIGIN, render_template

ROOT = Path(__file__).parents[2]
FOOLISH = ROOT / "tests" / "data" / "settings" / "foolish"
MISTAKES = sorted(FOOLISH.glob("*.toml"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECRETS = {
    "KEY": "k",
    "BITCOIN_NODE_2": "https://n.example",
    "ETHEREUM_NODE_2": "https://n.example/k",
    "SLACK_BOT_TOKEN": "xoxb",
    "APPROVALS_SECRET": "a-secret-of-some-length",
    "EXCHANGE_DATABASE_URL": "postgresql://db.example/exchange",
    "DATABASE_URL": "postgresql://db.example/walletwatch",
}
_MARK = re.compile(r"# warn: (.+)$")


def read(path: Path) -> Review:
    return review_configuration(path, SECRETS, NOW)


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_each_mistake_is_named_with_its_line_and_remedy(path: Path) -> None:
    """Of 65 plausible mistakes 47 went through `check` in silence: an approver without key, a lax policy placed first,
    `unapproved` in shadow. Each is warned of where it stands, and nothing else is.
    """
    marked = [(n, m[1]) for n, text in enumerate(path.read_text().splitlines(), 1) if (m := _MARK.search(text))]
    assert marked, "the file does not say what is foolish in it"
    review = read(path)
    assert (review.problems, review.settings is not None) == ((), True)
    told = [(warning.line, warning.message) for warning in review.warnings]
    assert len(told) == len(marked), told
    for (line, words), warning in zip(marked, review.warnings, strict=True):
        assert (warning.file.name, warning.line) == (path.name, line)
        assert words in warning.message
        assert warning.key
        assert warning.hint


def test_what_is_sound_is_not_warned_of() -> None:
    assert read(FOOLISH / "sound" / "whole.toml").warnings == ()


def test_no_shipped_example_is_warned_of(tmp_path: Path) -> None:
    for file in (ROOT / "config").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "keys").mkdir()
    SigningKey.generate(DEFAULT_ORIGIN).save(tmp_path / "keys" / "audit.key")
    (tmp_path / "template.toml").write_text(render_template())
    for now in (NOW, datetime(2030, 1, 1, tzinfo=UTC)):
        for name in ("walletwatch.example.toml", "template.toml"):
            review = review_configuration(tmp_path / name, SECRETS, now)
            assert (review.problems, review.warnings) == ((), ())


EXAMPLES = [fence for page in PAGES for fence in fences(page, "toml")]


@pytest.mark.parametrize("fence", EXAMPLES, ids=lambda f: f.place)
def test_no_example_of_the_documents_is_warned_of(fence: Fence, tmp_path: Path) -> None:
    """They show a part of a configuration: what they name elsewhere is told as an error, and is not looked at here."""
    text = fence.text if "[store]" in fence.text else BASE.partition("[[chain]]")[0] + fence.text
    if "[[person]]" not in text:
        text += (FOOLISH / "sound" / "people.toml").read_text()
    (tmp_path / "w.toml").write_text(text)
    for path in re.findall(r'^path = "([^"]+)"', text, re.MULTILINE):
        (tmp_path / path).touch()
    assert [str(warning) for warning in read(tmp_path / "w.toml").warnings] == []


ETHEREUM = f"[[wallet]]\nname = 'eth'\nrole = 'hot'\nchain = 'ethereum'\naddresses = ['0x{'5e' * 20}']\n"


def test_an_audit_key_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = write_deployment(tmp_path, ETHEREUM)
    assert read(path).warnings == ()
    (tmp_path / "audit.key").chmod(0o644)
    (warning,) = read(path).warnings
    assert (warning.line, warning.key, warning.hint) == (5, "audit.signing_key", "chmod 600")


# --- the command ------------------------------------------------------------------------------------------------------

SHADOW = "[[rule]]\ntype = 'unapproved'\nmode = 'shadow'\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, write_deployment(tmp_path, ETHEREUM + SHADOW))


def test_warnings_alone_leave_the_exit_status_at_zero(run: Run, tmp_path: Path) -> None:
    answer = run("check")
    assert (answer.code, answer.err) == (0, "")
    assert f"\nwarning: {tmp_path}/walletwatch.toml:40  rule[1].mode\n" in answer.out
    assert answer.out.index("no faults") < answer.out.index("warning:") < answer.out.index("note:")


def test_warnings_follow_the_errors(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "walletwatch.toml").open("a") as file:
        file.write("[[sink]]\ntype = 'webhook'\n")
    answer = run("check")
    assert (answer.code, answer.out) == (2, "")
    assert "1 fault\n" in answer.err
    assert answer.err.index("needs url") < answer.err.index("warning:")
    rows = json.loads(run("check", "--format", "json").out)
    assert [(row["level"], row["line"], row["key"]) for row in rows] == [
        ("error", 41, "sink[2]"),
        ("warning", 40, "rule[1].mode"),
    ]


def test_a_program_reads_the_warnings(run: Run, tmp_path: Path) -> None:
    answer = run("check", "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    warning, *notes = answer.json()
    assert warning == {
        "level": "warning",
        "file": f"{tmp_path}/walletwatch.toml",
        "line": 40,
        "key": "rule[1].mode",
        "what": '"unapproved" is in shadow: what it finds is told nobody',
        "remedy": 'mode = "enforce", or remove the rule: it is on without it',
    }
    assert {note["level"] for note in notes} == {"note"}
