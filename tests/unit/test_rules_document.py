from __future__ import annotations

import tomllib
from typing import Any

import pytest

from unit.rules_document import TARGET, write_document
from unit.rules_examples import NAMES
from walletwatch.rules.registry import catalogue, configure
from walletwatch.rules.rule_types import RuleType, parameters_of


def test_the_catalogue_in_the_docs_is_the_one_that_runs() -> None:
    assert TARGET.read_text(encoding="utf-8") == write_document(), "run: python tests/unit/rules_document.py"


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_defaults_are_told_as_the_configuration_writes_them(entry: RuleType) -> None:
    told = [p for p in parameters_of(entry) if p.default]
    written = tomllib.loads("\n".join(f"{p.name} = {p.default}" for p in told))
    needed = {p.name: required(entry.name, p.name) for p in parameters_of(entry) if p.required}
    explicit = configure({"type": entry.name, **needed, **written}, amounts=NAMES)
    assert explicit.digest == configure({"type": entry.name, **needed}, amounts=NAMES).digest


REQUIRED: dict[str, Any] = {
    "min": "1 BTC",
    "limit": "1 BTC",
    "window": "24h",
    "max_percent": 5,
    "factor": 3,
    "idle": "90d",
    "when": "whole > 1",
    "allowlist": [],
}


def required(rule: str, name: str) -> Any:
    """Something that fits; `max` is a number of outflows or an amount."""
    return (1 if rule == "count_limit" else "1 BTC") if name == "max" else REQUIRED[name]
