"""One word has one meaning: the list of modules is that of the code, and words that were given up do not come back."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from list_modules import DOCUMENT, PROJECT, document, modules, purpose

GIVEN_UP = {
    "desk": "approval service, feed reader, case follower, opening balances, mempool tracker",
    "teller": "alert writer",
    "recall": "history cache",
    "tails": "recent transactions",
    "hand": "signing features",
    "hands": "signing features",
    "pasts": "wallet profile",
    "draft": "unsigned transaction",
    "drafts": "unsigned transaction",
    "doorbell": "block notifier",
    "doorbells": "block notifier",
    "metronome": "scheduler",
    "haul": "block requests",
    "stretch": "block batch",
    "utils": "the thing it is about",
    "helpers": "the thing it is about",
    "manager": "the thing it is about",
    "common": "the thing it is about",
}
"""Private words, with what they are called now."""


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _names() -> Iterator[tuple[str, str]]:
    for module in modules():
        yield module, module.rpartition(".")[2]
        for node in ast.walk(ast.parse((PROJECT / (module.replace(".", "/") + ".py")).read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield f"{module}.{node.name}", node.name


def test_the_list_of_modules_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text() == document(), "run python tests/architecture/list_modules.py"


@pytest.mark.parametrize("module", modules())
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert 10 <= len(purpose(module)) <= 300


def test_no_module_class_or_function_bears_a_word_that_was_given_up() -> None:
    assert {where: GIVEN_UP[word] for where, name in _names() for word in _words(name) & GIVEN_UP.keys()} == {}


def test_places_are_those_of_tracing() -> None:
    """The word meant four things: a cursor, a feed's address, an order of judging, and where stolen funds are."""
    placed = {where for where, name in _names() if _words(name) & {"place", "places"}}
    assert {where for where in placed if not where.startswith("walletwatch.tracing.")} == set()


def test_a_word_stands_in_the_glossary_once() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", text.partition("## Glossary")[2], re.MULTILINE)[1:]
    assert len(rows) > 60
    assert [word for word, times in Counter(rows).items() if times > 1] == []
    assert rows == sorted(rows, key=str.lower)


def test_a_word_given_up_is_found_in_any_spelling() -> None:
    assert _words("OpeningDesk") & GIVEN_UP.keys()
    assert _words("_raw_draft") & GIVEN_UP.keys()
    assert not _words("replaced_requests") & GIVEN_UP.keys()
