"""Problems of a configuration: message, position and hint, collected so that all are reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Where in a TOML file: ("wallet", 0, "addresses", 2)."""


class Fault(ValueError):
    """A value in a table is not acceptable. `hint` says what to write instead; a value that may be a secret is never
    quoted. `key` is the key within the table, `involves` are other keys that the check used.
    """

    def __init__(
        self, message: str, hint: str = "", *, key: str | KeyPath = (), involves: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.key: KeyPath = (key,) if isinstance(key, str) else key
        self.involves = involves


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. `line` counts from 1 (0: the whole file); `key` is the path in the file."""

    file: Path
    line: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}" if self.line else str(self.file)
        head = f"{location}  {self.key}" if self.key else location
        return f"{head}\n  {self.message}" + (f"\n  -> {self.hint}" if self.hint else "")


class SettingsError(Exception):
    """The configuration cannot be used. `problems` are sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (str(p.file), p.line, p.key, p.message)))
        super().__init__("\n".join(str(p) for p in self.problems))


def show_key(path: KeyPath) -> str:
    """("wallet", 0, "addresses", 2) -> `wallet[1].addresses[3]`: indices are shown from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`; without a close match the known words, if there are at most 30; else empty."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(words)}" if 0 < len(words) <= 30 else ""
