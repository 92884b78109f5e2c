import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walletwatch.settings.documents import key_lines
from walletwatch.settings.problems import KeyPath

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.example.toml"))

TEXT = '''\
# a comment with key = "value" and [table]
title = "x" # [not.a.table]
a.b.c = 1
"quoted key" = 2
'lit.eral' = 3
"esc\\u0041ped" = 4

[table]
many = [
    1, # first
    [2, "]", '}'],
    { x = 1, y.z = "a,b" },

    """
three
lines = 1 ""quoted"" \\""" """,
    1979-05-27 07:32:00,
]
after = \'\'\'
[no.table]
\'\'\'
last = true

[[wallet]]
name = "one"
[wallet.inner]
deep = 1
[[wallet.keys]]
kid = "a"
[[wallet.keys]]
kid = "b"

[[wallet]]
name = "two"
[[wallet.keys]]
kid = "c"
[x . "y z"]
k = 1
'''


def test_every_kind_of_key_is_found_on_its_line() -> None:
    lines = key_lines(TEXT)
    expected: dict[KeyPath, int] = {
        ("title",): 2,
        ("a", "b", "c"): 3,
        ("a", "b"): 3,
        ("quoted key",): 4,
        ("lit.eral",): 5,
        ("escAped",): 6,
        ("table",): 8,
        ("table", "many"): 9,
        ("table", "many", 0): 10,
        ("table", "many", 1): 11,
        ("table", "many", 1, 1): 11,
        ("table", "many", 2, "y", "z"): 12,
        ("table", "many", 3): 14,
        ("table", "many", 4): 17,
        ("table", "after"): 19,
        ("table", "last"): 22,
        ("wallet", 0, "name"): 25,
        ("wallet", 0, "inner", "deep"): 27,
        ("wallet", 0, "keys", 0, "kid"): 29,
        ("wallet", 0, "keys", 1, "kid"): 31,
        ("wallet", 1): 33,
        ("wallet", 1, "keys", 0): 35,
        ("x", "y z", "k"): 38,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert ("no", "table") not in lines


def _paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Every key path of a parsed document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path} | {found for key, inner in items for found in _paths(inner, (*path, key))}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_every_key_of_the_examples_has_a_line_that_shows_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = key_lines(text)
    for key in _paths(tomllib.loads(text)) - {()}:
        assert key in lines
        if isinstance(key[-1], str):
            assert key[-1] in text.splitlines()[lines[key] - 1]


KEYS = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
STRINGS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_literal(v)}, # ]\n" for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_literal(v)}" for k, v in value.items()) + " }"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower()


FLAT = st.integers(0, 9**9) | st.booleans() | STRINGS
INLINE = FLAT | st.dictionaries(KEYS, FLAT, max_size=3)
VALUES = INLINE | st.lists(INLINE, max_size=4)


@given(st.dictionaries(KEYS, st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=3), max_size=3))
def test_any_array_of_tables_keeps_all_its_paths(tables: dict[str, list[dict[str, Any]]]) -> None:
    text = "".join(
        f"[[{name}]] # {name}\n" + "".join(f"{k} = {_literal(v)}\n" for k, v in row.items())
        for name, rows in tables.items()
        for row in rows
    )
    assert set(key_lines(text)) == _paths(tomllib.loads(text)) - {()}
