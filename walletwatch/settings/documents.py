"""Reading TOML files with the line of every key, and the files they include."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from walletwatch.settings.problems import KeyPath, Problem, show_key

_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")
_STRINGS = (
    re.compile(r'"""(?:\\.|(?!""")[^\\])*"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''(?:(?!''').)*'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line, from 1, of every table header, key and array element, by key path. Raises ValueError for invalid
    TOML that the scanner cannot follow.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._starts = [0] + [m.end() for m in re.finditer("\n", text)]
        self._arrays: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_BETWEEN)
        while self.at < len(self.text):
            table = self._header() if self.text[self.at] == "[" else self._pair(table)
            self._skip(_BETWEEN)

    def _header(self) -> KeyPath:
        """Scan `[a.b]` or `[[a.b]]`; returns the path of the table."""
        line = self._line()
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        *parents, last = self._key()
        self._skip(_SPACE)
        self.at += brackets
        path = (*self._resolve((), parents), last)
        if brackets == 2:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self.lines.setdefault(path, line)
            path = (*path, self._arrays[path])
        for size in range(1, len(path) + 1):
            self.lines.setdefault(path[:size], line)
        return path

    def _pair(self, table: KeyPath) -> KeyPath:
        """Scan `key = value` within `table`; returns `table`."""
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._skip(_SPACE)
        if not self.text.startswith("=", self.at):
            raise ValueError(f"line {line}: expected '=' after a key")
        self.at += 1
        self._value(path)
        return table

    def _resolve(self, base: KeyPath, parts: list[str]) -> KeyPath:
        """The path of a table named in a header, through the newest element of each array of tables on the way."""
        for part in parts:
            base = (*base, part)
            if base in self._arrays:
                base = (*base, self._arrays[base])
        return base

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self.text, self.at)
            if bare:
                self.at = bare.end()
                parts.append(bare[0])
            else:
                parts.append(tomllib.loads(f"k = {self._string()}")["k"])
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in ('"', "'"):
            self._string()
        else:
            self._skip(_BARE_VALUE)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BETWEEN)
        index = 0
        while self._until("]"):
            self.lines[*path, index] = self._line()
            self._value((*path, index))
            self._skip(_BETWEEN)
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BETWEEN)
        while self._until("}"):
            self._pair(path)
            self._skip(_BETWEEN)

    def _until(self, end: str) -> bool:
        """Whether more comes before `end`; if not, skips `end`."""
        if self.at >= len(self.text):
            raise ValueError(f"missing {end!r} at the end")
        if self.text[self.at] != end:
            return True
        self.at += 1
        return False

    def _string(self) -> str:
        for kind in _STRINGS:
            match = kind.match(self.text, self.at)
            if match:
                self.at = match.end()
                return match[0]
        raise ValueError(f"line {self._line()}: expected a key or a string")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _line(self) -> int:
        return bisect_right(self._starts, self.at)


MAX_BYTES = 4 * 1024 * 1024
"""Size limit of one file. Long address lists belong in `addresses_file`."""

_LINE_IN_MESSAGE = re.compile(r"\s*\(at line ([0-9]+), column [0-9]+\)")


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file as read. `data` is left out of repr: it may contain a literal secret by mistake."""

    path: Path
    data: Mapping[str, Any] = field(repr=False)
    lines: Mapping[KeyPath, int] = field(repr=False)

    def line(self, key: KeyPath) -> int:
        """The line of `key`, or of the nearest enclosing table."""
        for size in range(len(key), 0, -1):
            if key[:size] in self.lines:
                return self.lines[key[:size]]
        return 1

    def problem(self, key: KeyPath, message: str, hint: str = "") -> Problem:
        """A problem at `key`."""
        return Problem(self.path, self.line(key), show_key(key), message, hint)


@dataclass(slots=True)
class ReadDocuments:
    """The documents read so far, in order, and the problems found."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)


def read_documents(path: Path) -> ReadDocuments:
    """Read `path` and everything it includes. Problems are collected, not raised."""
    reading = ReadDocuments()
    _read(path, reading, lambda message, hint: Problem(path, 0, "", message, hint))
    return reading


ProblemMaker = Callable[[str, str], Problem]


def _read(path: Path, reading: ReadDocuments, make_problem: ProblemMaker) -> None:
    """Read one file and its includes; `make_problem(message, hint)` reports a file that cannot be opened."""
    reading.seen.add(path.resolve())
    try:
        if path.stat().st_size > MAX_BYTES:
            reading.problems.append(make_problem(f"{path} is larger than {MAX_BYTES} bytes", "use addresses_file"))
            return
        raw = path.read_bytes()
    except OSError as error:
        reading.problems.append(make_problem(f"cannot read {path}: {error.strerror}", "check path and permissions"))
        return
    document = _parse(path, raw, reading)
    if document is not None:
        reading.documents.append(document)
        _follow_includes(document, reading)


def _parse(path: Path, raw: bytes, reading: ReadDocuments) -> Document | None:
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        return Document(path, tomllib.loads(text), key_lines(text))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        reading.problems.append(Problem(path, line, "", "the file is not UTF-8 text", "save it as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(_syntax_problem(path, str(error)))
    except RecursionError:
        reading.problems.append(Problem(path, 0, "", "tables or lists are nested too deeply", "use fewer levels"))
    return None


def _syntax_problem(path: Path, message: str) -> Problem:
    found = _LINE_IN_MESSAGE.search(message)
    reason = _LINE_IN_MESSAGE.sub("", message)
    hint = "write text in double quotes, lists in [ ], and [name] before a table"
    return Problem(path, int(found[1]) if found else 0, "", f"invalid TOML: {reason}", hint)


def _follow_includes(document: Document, reading: ReadDocuments) -> None:
    names = document.data.get("include", [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        hint = 'include = ["wallets.toml", "rules.toml"]'
        reading.problems.append(document.problem(("include",), "must be a list of file names", hint))
        return
    for n, name in enumerate(names):
        key: KeyPath = ("include", n)
        target = document.path.parent / name
        if target.resolve() in reading.seen:
            reading.problems.append(document.problem(key, f"{target} is included twice", "include each file once"))
        else:
            _read(target, reading, partial(document.problem, key))
