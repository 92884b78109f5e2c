"""What the documents tell people to type can be typed: commands, options, targets of make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
import typer.main

from unit.docs_pages import PAGES, ROOT, code_spans, fences
from walletwatch.cli.main import app

SHELL = ("sh", "bash")
COMMANDS = typer.main.get_command(app)
PROGRAM = "walletwatch"


def simple_commands(text: str) -> Iterator[list[str]]:
    """The commands of a piece of shell, without comments, redirections and what stands behind a pipe."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("();<>|&"):
                words.append(word)
                continue
            yield words
            words = []


def told_commands() -> Iterator[tuple[str, list[str], bool]]:
    """(place, arguments, whole) of every `walletwatch …`; a span of code in a sentence may only name a command."""
    for page in PAGES:
        pieces = [(f.line, f.text, True) for f in fences(page, *SHELL)]
        pieces += [(f.line, start, True) for f in fences(page, "ini") for start in _STARTS.findall(f.text)]
        pieces += [(line, span, False) for line, span in code_spans(page) if _SPAN.match(span)]
        for line, text, whole in pieces:
            for words in simple_commands(text):
                if words and words[0].rpartition("/")[2] == PROGRAM:
                    yield f"{page.relative_to(ROOT)}:{line}", words[1:], whole


_SPAN = re.compile(rf"(?:\.venv/bin/)?{PROGRAM} ")
_STARTS = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
TOLD = sorted({(shlex.join(words), place, whole) for place, words, whole in told_commands()})


def parse(arguments: list[str], *, whole: bool = True) -> list[str]:
    """Have the real parser read a command line, down to the last option; the names of the commands it went through.
    Raises typer's usage errors; for what is missing only if the line is to be `whole`.
    """
    command, rest, parent, names = COMMANDS, list(arguments), None, []
    while True:
        group = isinstance(command, typer.core.TyperGroup)
        name = names[-1] if names else PROGRAM
        context = command.make_context(name, rest, parent=parent, resilient_parsing=not group and not whole)
        if not isinstance(command, typer.core.TyperGroup):
            assert not context.args
            return names
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, parent = found, context
        names.append(str(name))


@pytest.mark.parametrize(("line", "place", "whole"), TOLD, ids=[f"{place} {line}" for line, place, _ in TOLD])
def test_a_command_in_the_documents_is_one_the_program_takes(line: str, place: str, *, whole: bool) -> None:
    assert parse(shlex.split(line), whole=whole), place


@pytest.mark.parametrize("wrong", ["bogus", "status --bogus", "alerts ack alr_1 --by me", "audit prove many", "trace"])
def test_a_wrong_command_would_be_noticed(wrong: str) -> None:
    with pytest.raises((typer.Exit, Exception)) as refused:
        parse(shlex.split(wrong))
    assert not isinstance(refused.value, AssertionError)


def test_the_documents_tell_every_command() -> None:
    told = {" ".join(parse(shlex.split(line), whole=whole)) for line, _, whole in TOLD}
    listings = {"list", "show", "query"}
    missing = {name for name in every_command() if name not in told and name.rpartition(" ")[2] not in listings}
    assert missing <= {"alerts unsilence", "alerts silences"}


def every_command(group: typer.core.TyperGroup | None = None, before: str = "") -> Iterator[str]:
    """The full name of every command there is."""
    group = group or COMMANDS
    assert isinstance(group, typer.core.TyperGroup)
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from every_command(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = {
        words[1]
        for page in PAGES
        for text in [*(f.text for f in fences(page, *SHELL)), *(span for _, span in code_spans(page))]
        for words in simple_commands(text)
        if len(words) > 1 and words[0] == "make"
    }
    assert {"demo", "test", "setup", "check", "bench"} <= told
    assert told <= targets


def test_variables_of_the_environment_are_those_the_program_reads() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "walletwatch").rglob("*.py"))
    told = {name for page in PAGES for name in re.findall(r"WALLETWATCH_[A-Z]+", page.read_text(encoding="utf-8"))}
    assert told
    assert all(f'"{name}"' in source for name in told)


def test_python_files_that_the_documents_name_are_there() -> None:
    named = {
        span.removeprefix("python ").split()[0]
        for page in PAGES
        for _, span in code_spans(page)
        if re.fullmatch(r"(?:python )?(?:tests|docs|walletwatch|chains)/[\w./*-]+\.\w+", span)
    }
    assert named
    assert [name for name in named if not list(ROOT.glob(name))] == []
