"""What is wrong with a configuration, where, and what to do: gathered, so that all of it is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Where in a TOML file: ("wallet", 0, "addresses", 2)."""


class Fault(ValueError):
    """Something in a table is not acceptable. `hint` says what to write instead; a value is never quoted if it may be
    a secret. `key` is the key it is about within the table, `involves` are others that were looked at.
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
    """One error: `line` counts from 1, 0 where there is none; `key` is the path in the file."""

    file: Path
    line: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        head = f"{place}  {self.key}" if self.key else place
        return f"{head}\n  {self.message}" + (f"\n  -> {self.hint}" if self.hint else "")


class SettingsError(Exception):
    """The configuration cannot be used. `problems` are sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (str(p.file), p.line, p.key, p.message)))
        super().__init__("\n".join(str(p) for p in self.problems))


def show_key(path: KeyPath) -> str:
    """("wallet", 0, "addresses", 2) -> `wallet[1].addresses[3]`: people count from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or the known words if none is near and they are few, or nothing."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(words)}" if 0 < len(words) <= 30 else ""
