"""What `measure_structure.py` counts may fall and must not rise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from measure_structure import (
    PROJECT,
    import_circles,
    import_graph,
    like_places,
    measure_calls,
    measure_functions,
    measure_source,
)

FIGURES = measure_source(PROJECT)
BOUNDS = {
    "modules": 290,
    "their share, percent": 70,
    "modules with one importer": 85,
    "import circles": 0,
    "pairs of like places": 140,
}


@pytest.mark.parametrize(("figure", "bound"), BOUNDS.items())
def test_figure_does_not_rise(figure: str, bound: int) -> None:
    assert FIGURES[figure] <= bound


def test_calls_of_the_demonstration_are_recorded() -> None:
    calls = measure_calls(PROJECT)
    tick, read = calls["tick"], calls["read"]
    assert {"walletwatch.watch.worker", "walletwatch.rules.engine"} <= tick["entered"].keys()
    assert "walletwatch.watch.feed_reader" in read["entered"]
    assert len(tick["entered"]) <= 84
    assert len(read["entered"]) <= 38


def test_a_circle_through_three_modules_is_found() -> None:
    modules = {
        "walletwatch.a": "from walletwatch.b import f",
        "walletwatch.b": "def f():\n    from walletwatch import c",
        "walletwatch.c": "import walletwatch.a",
        "walletwatch.d": "from walletwatch.a import g",
        "walletwatch": "",
    }
    assert import_circles(import_graph(modules)) == [["walletwatch.a", "walletwatch.b", "walletwatch.c"]]


def test_a_copied_function_is_a_pair_and_a_renamed_copy_with_other_lines_is_none() -> None:
    body = "".join(f"    value{n} = first(second, {n})\n" for n in range(7))
    other = "".join(f"    other{n} = third(fourth, {n})\n" for n in range(7))
    copied = {"walletwatch.a": f"def f():\n{body}", "walletwatch.b": f"\n\ndef g():\n{body}"}
    assert like_places(copied) == [("walletwatch.a:1", "walletwatch.b:3", 8)]
    assert like_places({"walletwatch.a": f"def f():\n{body}", "walletwatch.b": f"def g():\n{other}"}) == []


def test_only_private_functions_used_once_are_counted() -> None:
    text = "def _once():\n    pass\n\ndef _twice():\n    pass\n\ndef both():\n    _once()\n    _twice()\n    _twice()\n"
    functions = measure_functions({"walletwatch.a": text})
    assert (functions.private, functions.with_one_caller) == (2, 1)
