"""docs/rules.md, out of the catalogue and the tested examples; python tests/unit/rules_document.py writes it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "rules.md"
sys.path.insert(0, str(ROOT / "tests"))

from unit.rules_examples import Example, all_examples  # noqa: E402 - found by the line above when run as a command
from walletwatch.domain.findings import VerdictKind  # noqa: E402 - likewise
from walletwatch.rules.registry import catalogue  # noqa: E402 - likewise
from walletwatch.rules.rule_types import (  # noqa: E402 - likewise
    RuleType,
    meaning_of,
    parameters_of,
)

INTRODUCTION = """# Rules

Every rule type, what it looks for, and where it comes from. `python tests/unit/rules_document.py` writes this file out
of the catalogue and the examples of the tests; a test fails when it differs from them.

A rule is switched on by a `[[rule]]` table that names its type. Authorisation rules are on once an approval feed is
configured, operation rules always; a table that names such a type takes the place of the default. Every table may carry
`id`, `severity`, `mode` (`enforce` or `shadow`) and the selectors `wallets`, `roles`, `chains`, `assets`, all of which
must fit. Selectors choose which outflows are judged; what a window adds up is chosen by `per`.

An answer has three values. *Violation* and *undetermined* become findings; a *pass* does not. Undetermined is what a
rule says when it cannot know: no price, no balance, no receiver, a silent approval feed, or a rule that failed.

A maximum is violated by more than it, never by what equals it. A window is (t - window, t], where t is the time of
broadcast. Orphaned and replaced outflows do not count. Amounts are compared in base units, or in units of 1e-8 USD at
the price in force at broadcast, which the evidence names.
"""

FAMILIES = {
    "authorisation": "Authorisation: is it explained by an approval?",
    "limits": "Limits: how much may leave?",
    "destination": "Destinations: where did it go?",
    "pattern": "Patterns: does it look like a theft?",
    "control": "Control: who can move the funds?",
    "expression": "Expressions: a rule of your own",
    "operation": "Operation: can the monitor see?",
}


def write_document() -> str:
    """The whole file."""
    examples = all_examples()
    parts = [INTRODUCTION]
    for family, entries in groupby(catalogue(), key=lambda entry: entry.family):
        parts.append(f"## {FAMILIES[family]}\n")
        parts += [part for entry in entries for part in _section(entry, examples)]
    return "\n".join(parts)


def _section(entry: RuleType, examples: Iterable[Example]) -> Iterable[str]:
    yield f"### `{entry.name}`\n"
    on = "on by default" if entry.default_on else "off until named"
    yield f"{entry.description}\n"
    yield f"Severity {entry.severity}, {on}. Source: {entry.source}.\n"
    if entry.params.model_fields:
        keys = ", ".join(
            f"`{p.name}`" + (" (required)" if p.required else f" (default `{p.default}`)" if p.default else "")
            for p in parameters_of(entry)
        )
        yield f"Parameters: {keys}. {meaning_of(entry)}\n"
    own = [example for example in examples if example.rule == entry.name]
    if own:
        yield "| | example | configured |\n|---|---|---|"
        yield "\n".join(_row(example) for example in own) + "\n"
    elif entry.judge is None:
        yield "Judged where the trouble shows, not on an outflow.\n"


def _row(example: Example) -> str:
    words = {
        VerdictKind.VIOLATION: "fires",
        VerdictKind.PASS: "does not fire",
        VerdictKind.UNDETERMINED: "undetermined",
    }
    keys = ", ".join(f"`{key} = {_toml(value)}`" for key, value in example.table.items())
    return f"| {words[example.outcome]} | {example.says} | {keys.replace('|', '&#124;')} |"


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    quote = "'" if isinstance(value, str) and '"' in value else '"'
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)


if __name__ == "__main__":
    TARGET.write_text(write_document(), encoding="utf-8")
