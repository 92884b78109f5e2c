"""What a rule type is, how one is written, and its parameters in words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from pydantic.fields import FieldInfo

from chains.model import format_units
from walletwatch.domain.findings import Severity, Verdict
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.evidence import say_duration
from walletwatch.rules.facts import AwaitedRequest, ControlEvent, InternalTransfer, SentTransaction
from walletwatch.rules.parameters import NoParams, Params, parse_duration, parse_milli

Judge = Callable[[Any, Any, Any], Verdict]

FAMILIES = ("authorisation", "limits", "destination", "pattern", "control", "expression", "operation")
ROLES = ("hot", "warm", "cold", "deposit")
SUBJECTS = (Outflow, ControlEvent, SentTransaction, InternalTransfer, AwaitedRequest)


@dataclass(frozen=True, slots=True)
class RuleType:
    """One entry of the catalogue. `judge` is None for what is judged elsewhere; `default_on` rules need no naming."""

    name: str
    family: str
    severity: Severity
    description: str
    source: str
    params: type[Params]
    judge: Judge | None
    subject: type | None
    default_on: bool

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"rule type {self.name} is of an unknown family: {self.family}")


def rule(
    *,
    type: str,  # noqa: A002 - the word of the configuration
    family: str,
    severity: Severity,
    description: str,
    source: str,
    default_on: bool | None = None,
) -> Callable[[Judge], RuleType]:
    """Make the decorated function a rule type. `default_on` is by default that of its family."""

    def describe(judge: Judge) -> RuleType:
        hints = get_type_hints(judge)
        subject, _, params = list(hints.values())[:3]
        if subject not in SUBJECTS or not issubclass(params, Params):
            raise TypeError(f"{type}: a rule is judge(subject, facts, params), with annotations that say which")
        on = family == "authorisation" if default_on is None else default_on
        return RuleType(type, family, severity, description, source, params, judge, subject, on)

    return describe


def declare(
    type: str,  # noqa: A002 - the word of the configuration
    family: str,
    severity: Severity,
    description: str,
    source: str,
    *,
    params: type[Params] = NoParams,
    default_on: bool | None = None,
) -> RuleType:
    """A rule type that is judged elsewhere. Operation rules are on unless said otherwise."""
    on = family in ("authorisation", "operation") if default_on is None else default_on
    return RuleType(type, family, severity, description, source, params, None, None, on)


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
