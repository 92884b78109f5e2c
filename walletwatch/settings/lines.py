"""The line on which each key of a TOML file stands; the standard parser does not tell.

The text has been accepted by `tomllib` before it comes here, so this scanner only follows its structure.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

from walletwatch.settings.problems import KeyPath

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
    """Line, from 1, of every table header, key and array element, by key path. Raises ValueError for text that is
    no TOML in a way that the scanner cannot follow.
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
        """`[a.b]` or `[[a.b]]`: the path of the table that begins."""
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
        """`key = value` within `table`; gives back `table`."""
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
        """False, and past it, when `end` comes next."""
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
