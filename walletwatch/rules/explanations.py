"""What a rule takes, in words: for `rules explain` and for the catalogue in the docs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic.fields import FieldInfo

from chains.model import format_units
from walletwatch.rules.evidence import say_duration
from walletwatch.rules.parameters import parse_duration, parse_milli
from walletwatch.rules.rule_types import RuleType


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of a `[[rule]]`. `default` is text as the configuration writes it, empty if there is none."""

    name: str
    default: str
    required: bool


def parameters_of(entry: RuleType) -> tuple[Parameter, ...]:
    """The parameters of a rule type, required ones first."""
    fields = entry.params.model_fields.items()
    found = [Parameter(name, _default(field), field.is_required()) for name, field in fields]
    return tuple(sorted(found, key=lambda p: not p.required))


def meaning_of(entry: RuleType) -> str:
    """What the parameters mean, in one paragraph; empty if there are none."""
    return " ".join(inspect.cleandoc(entry.params.__doc__ or "").split()) if entry.params.model_fields else ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required() or value is None:
        return ""
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    readers = set(_readers(field.metadata)) | set(_readers(get_args(field.annotation)))
    if parse_duration in readers:
        return '"' + say_duration(value).replace(" min", "m").replace(" ", "") + '"'
    if parse_milli in readers:
        return format_units(value, 3).replace(",", "")
    return f'"{value}"' if isinstance(value, str) else str(value)


def _readers(metadata: Any) -> Iterator[Any]:
    return (getattr(mark, "func", None) for mark in metadata)
