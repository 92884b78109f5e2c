"""The documents as tests read them: their files, fenced blocks, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = (*(ROOT / name for name in _TOP), *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A fenced block: what its fence says it holds, the text, and where it begins."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """`docs/operators.md:42`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_page(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


def fences(page: Path, *languages: str) -> Iterator[Fence]:
    """The fenced blocks of a page, of these languages if any are named."""
    text = read_page(page)
    for match in _FENCE.finditer(text):
        if not languages or match["language"] in languages:
            line = text.count("\n", 0, match.start()) + 1
            yield Fence(page, line, match["language"], match["text"])


def prose(page: Path) -> str:
    """A page without its fenced blocks, line numbers kept."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), read_page(page))


def code_spans(page: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each `span` outside fenced blocks."""
    for number, line in enumerate(prose(page).splitlines(), start=1):
        yield from ((number, span) for span in _CODE.findall(line))


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of each link outside fenced blocks."""
    for number, line in enumerate(prose(page).splitlines(), start=1):
        yield from ((number, target) for target in _LINK.findall(line))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings answer to, as code hosts make them."""
    titles = (title.lower() for title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}
