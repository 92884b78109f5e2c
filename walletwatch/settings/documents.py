"""The configuration's files: the named one and what it includes, each with the lines of its keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from walletwatch.settings.lines import key_lines
from walletwatch.settings.problems import KeyPath, Problem, show_key

MAX_BYTES = 4 * 1024 * 1024
"""Of one file. Long address lists belong into `addresses_file`."""

_LINE_IN_MESSAGE = re.compile(r"\s*\(at line ([0-9]+), column [0-9]+\)")


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file as read. `data` never shows in repr: a literal secret may stand in it by mistake."""

    path: Path
    data: Mapping[str, Any] = field(repr=False)
    lines: Mapping[KeyPath, int] = field(repr=False)

    def line(self, key: KeyPath) -> int:
        """The line of `key`, or of the nearest table around it."""
        for size in range(len(key), 0, -1):
            if key[:size] in self.lines:
                return self.lines[key[:size]]
        return 1

    def problem(self, key: KeyPath, message: str, hint: str = "") -> Problem:
        """A problem at `key`."""
        return Problem(self.path, self.line(key), show_key(key), message, hint)


@dataclass(slots=True)
class Reading:
    """The documents read so far, in order, and what went wrong on the way."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)


def read_documents(path: Path) -> Reading:
    """Read `path` and everything it includes. Problems are gathered, not raised."""
    reading = Reading()
    _read(path, reading, lambda message, hint: Problem(path, 0, "", message, hint))
    return reading


Blame = Callable[[str, str], Problem]


def _read(path: Path, reading: Reading, blame: Blame) -> None:
    """Read one file and its includes; `blame(message, hint)` makes the problem of a file that cannot be opened."""
    reading.seen.add(path.resolve())
    try:
        if path.stat().st_size > MAX_BYTES:
            reading.problems.append(blame(f"{path} is larger than {MAX_BYTES} bytes", "put addresses into a file"))
            return
        raw = path.read_bytes()
    except OSError as error:
        reading.problems.append(blame(f"cannot read {path}: {error.strerror}", "check the name and who may read it"))
        return
    document = _parse(path, raw, reading)
    if document is not None:
        reading.documents.append(document)
        _follow_includes(document, reading)


def _parse(path: Path, raw: bytes, reading: Reading) -> Document | None:
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        return Document(path, tomllib.loads(text), key_lines(text))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        reading.problems.append(Problem(path, line, "", "the file is not UTF-8 text", "save it as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(_syntax_problem(path, str(error)))
    except RecursionError:
        reading.problems.append(Problem(path, 0, "", "tables or lists are nested too deeply", "write it flatter"))
    return None


def _syntax_problem(path: Path, message: str) -> Problem:
    found = _LINE_IN_MESSAGE.search(message)
    words = _LINE_IN_MESSAGE.sub("", message)
    hint = "text stands in double quotes, lists in [ ], a table begins with [name]"
    return Problem(path, int(found[1]) if found else 0, "", f"not TOML: {words}", hint)


def _follow_includes(document: Document, reading: Reading) -> None:
    names = document.data.get("include", [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        hint = 'include = ["wallets.toml", "rules.toml"]'
        reading.problems.append(document.problem(("include",), "must be a list of file names", hint))
        return
    for n, name in enumerate(names):
        key: KeyPath = ("include", n)
        target = document.path.parent / name
        if target.resolve() in reading.seen:
            reading.problems.append(document.problem(key, f"{target} is read already", "include each file once"))
        else:
            _read(target, reading, partial(document.problem, key))
