"""Writes docs/modules.md: every module with the first sentence of its docstring. Run after adding or renaming one."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs" / "modules.md"
_HEAD = """# Modules

Every module with what it is for, as its own first sentence says. Made by `python tests/architecture/list_modules.py`; a
test holds it to the code. The words are those of [the glossary](architecture.md#glossary).
"""


def modules() -> list[str]:
    """Dotted names of every module that is no mere package marker, in order."""
    paths = (p for package in ("chains", "walletwatch") for p in (PROJECT / package).rglob("*.py"))
    kept = [p.relative_to(PROJECT) for p in paths if "versions" not in p.parts]
    names = (".".join(p.with_suffix("").parts) for p in kept if p.name != "__init__.py")
    return sorted(names, key=lambda name: name.rpartition(".")[::2])


def purpose(module: str) -> str:
    """The first sentence of the module's docstring, on one line."""
    text = ast.get_docstring(ast.parse((PROJECT / (module.replace(".", "/") + ".py")).read_text())) or ""
    first = re.split(r"(?<=[.?])\s+(?=[A-Z`])", " ".join(text.split("\n\n")[0].split()))[0]
    return first.removesuffix(".").replace("|", "\\|")


def document() -> str:
    """The whole page."""
    parts = [_HEAD]
    for package, inside in groupby(modules(), key=lambda m: m.rpartition(".")[0]):
        rows = "\n".join(f"| `{module.rpartition('.')[2]}` | {purpose(module)} |" for module in inside)
        parts.append(f"## {package}\n\n| module | for |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
