"""Completion of the command line, asked as the shells ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("walletwatch")


def answer(**asked: str) -> list[str]:
    """What the command writes when these variables ask it, in words."""
    environment = os.environ | asked
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "word", "offered"),
    [
        ("walletwatch out", 1, ["outflows"]),
        ("walletwatch rules ", 2, ["list", "explain"]),
        ("walletwatch rules list --format ", 4, ["table", "json", "csv", "md"]),
    ],
)
def test_commands_and_values_are_offered(line: str, word: int, offered: list[str]) -> None:
    asked = {"_WALLETWATCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    assert answer(**asked) == offered


def test_bash_completes_by_the_script_that_is_shown() -> None:
    script = """
        source <("$1/walletwatch" --show-completion) && PATH="$1:$PATH"
        complete -p walletwatch >/dev/null && COMP_WORDS=(walletwatch audit ver) COMP_CWORD=2
        _walletwatch_completion walletwatch && echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", PROGRAM.parent], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["verify", "verify-pack"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    script = " ".join(answer(_WALLETWATCH_COMPLETE=f"source_{shell}"))
    assert f"_WALLETWATCH_COMPLETE=complete_{shell}" in script
