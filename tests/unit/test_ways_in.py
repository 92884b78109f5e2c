"""The files beside the code that tools of others read: the hooks of pre-commit, the image."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKE_TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
HOOKS = [
    (repository["repo"], hook)
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
]
STEPS = [
    line.split(maxsplit=1)
    for line in (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(("repository", "hook"), HOOKS, ids=[hook["id"] for _, hook in HOOKS])
def test_a_hook_fetches_nothing_and_calls_what_the_environment_has(repository: str, hook: dict[str, Any]) -> None:
    assert (repository, hook["language"]) == ("local", "system")
    assert "additional_dependencies" not in hook
    program, *arguments = shlex.split(hook["entry"])
    if program == "make":
        assert set(arguments) <= set(MAKE_TARGETS)
    else:
        assert program.startswith(".venv/bin/")
        assert Path(sys.executable).with_name(Path(program).name).is_file()


def test_the_image_copies_what_is_there_and_what_is_let_in() -> None:
    copied = {
        source
        for name, rest in STEPS
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_a_user_without_rights() -> None:
    last_stage = STEPS[max(at for at, (name, _) in enumerate(STEPS) if name == "FROM") :]
    users = [rest for name, rest in last_stage if name == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_image_installs_only_what_is_locked() -> None:
    installs = [
        command for name, rest in STEPS if name == "RUN" for command in re.findall(r"pip (?:install|wheel) [^&]*", rest)
    ]
    assert len(installs) == 4
    assert all("--require-hashes -r requirements" in command or "--no-index" in command for command in installs)
