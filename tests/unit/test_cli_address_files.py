"""Work on alerts and listings while an address file is missing or broken."""

from pathlib import Path

import pytest
from cli_samples import THEFT, runner, seed, write_deployment

WALLET = "[[wallet]]\nname = 'deposits'\nrole = 'deposit'\nchain = 'bitcoin'\naddresses_file = 'deposits.txt'\n"
COMMANDS = (
    ("outflows", "list"),
    ("outflows", "show", "out_dmm"),
    ("requests", "list"),
    ("findings", "list"),
    ("rules", "list"),
    ("alerts", "list"),
    ("alerts", "show", "alr_dmm"),
    ("alerts", "silences"),
    ("labels", "list"),
    ("trace", "list"),
    ("audit", "query"),
    ("audit", "why", THEFT.hex()),
    ("alerts", "ack", "alr_dmm", "--by", "treasury-1", "--reason", "looking"),
    ("alerts", "close", "alr_dmm", "--by", "treasury-1", "--reason", "seen"),
)


@pytest.mark.parametrize("text", [None, "no address\n", ""], ids=["missing", "broken", "empty"])
def test_triage_needs_no_address_file(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """During a theft an export job had removed an address file, and `alerts list` ended with a fault of the
    configuration: nobody could acknowledge, list or query.
    """
    run = runner(monkeypatch, capsys, write_deployment(tmp_path, WALLET))
    seed(tmp_path)
    if text is not None:
        (tmp_path / "deposits.txt").write_text(text)
    for command in COMMANDS:
        answer = run(*command)
        assert (answer.code, answer.err) == (0, ""), command
    refused = run("check")
    assert (refused.code, "1 fault\n" in refused.err, "deposits" in refused.err) == (2, True, True)
