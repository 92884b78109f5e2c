"""What a rule type is, and how one is written.

A rule is a pure function `judge(subject, facts, params) -> Verdict` under `@rule(…)`; what it judges and which
parameters it takes is read off its annotations. The decorated name is a `RuleType`, which `registry.py` lists. A type
whose judging happens elsewhere (a node that lags, a balance that does not add up) is made by `declare`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from walletwatch.domain.findings import Severity, Verdict
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.facts import AwaitedRequest, ControlEvent, InternalTransfer, SentTransaction
from walletwatch.rules.parameters import NoParams, Params

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
