"""A rule of one's own, written in CEL (Common Expression Language, github.com/google/cel-spec).

An expression is bounded before it ever runs: 1,000 characters, a closed list of functions, macros over the destinations
only and none inside another, and at most 1,000 destinations; CEL itself has neither loops nor side effects. Its
integers have 64 bits, so that amounts in wei do not fit: `whole` is the amount in whole coins rounded down, `amount`
its base units as text, and `exceeds("12.5")` compares exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cel
from pydantic import field_validator

from chains.model import parse_units
from walletwatch.domain.findings import PASS, Severity, Verdict, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import USD_SCALE, Unknown
from walletwatch.rules.evidence import SHOWN, say_amount
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import USD_DECIMALS, Params
from walletwatch.rules.rule_types import rule

MAX_LENGTH = 1_000
MAX_ITEMS = 1_000
MAX_NAMED = 3
_INT64 = 2**63 - 1
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")
_OVER_DESTINATIONS = re.compile(r"(?<![\w.])destinations\s*$")
_TEXT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_FUNCTIONS = frozenset({"exceeds", "exceeds_usd", "size", "contains", "startsWith", "endsWith", "matches"}) | {
    "getHours",
    "getMinutes",
    "getDayOfWeek",
    "getDate",
    "int",
    "string",
}


def _whole(outflow: Outflow, facts: Facts) -> int:
    return _fit(outflow.amount // 10 ** facts.symbol(outflow.asset)[1], "the amount in whole coins")


def _usd(outflow: Outflow, facts: Facts) -> int:
    return _fit(facts.price(outflow.asset).value_e8(outflow.amount) // USD_SCALE, "the value in USD")


def _fit(number: int, what: str) -> int:
    if number > _INT64:
        raise Unknown(f"{what} is too large for an expression")
    return number


def _destinations(outflow: Outflow, facts: Facts) -> list[dict[str, Any]]:
    if len(outflow.payments) > MAX_ITEMS:
        raise Unknown(f"{len(outflow.payments)} destinations are more than an expression may look at ({MAX_ITEMS})")
    scale = 10 ** facts.symbol(outflow.asset)[1]
    return [
        {"address": str(p.address), "amount": str(p.amount), "whole": _fit(p.amount // scale, "an amount")}
        for p in outflow.payments
    ]


_VARIABLES: dict[str, Callable[[Outflow, Facts], Any]] = {
    "amount": lambda outflow, _: str(outflow.amount),
    "whole": _whole,
    "usd": _usd,
    "symbol": lambda outflow, facts: facts.symbol(outflow.asset)[0],
    "asset": lambda outflow, _: str(outflow.asset),
    "chain": lambda outflow, _: str(outflow.chain),
    "wallet": lambda outflow, _: outflow.wallet,
    "role": lambda outflow, facts: facts.role(outflow.wallet),
    "destinations": _destinations,
    "new": lambda outflow, facts: any(facts.first_paid(p.address) for p in outflow.payments),
    "at": lambda outflow, _: outflow.broadcast_at,
}
"""What an expression may name. `usd` is whole dollars rounded down; `at` the broadcast time (UTC); `new`: a destination
was never paid before. Only the facts an expression names are read.
"""


class ExpressionParams(Params):
    """`when`: a CEL expression over the outflow; where it is true, the rule is violated."""

    when: str

    @field_validator("when")
    @classmethod
    def _bounded(cls, text: str) -> str:
        check(text)
        return text


def check(text: str) -> None:
    """Raise ValueError unless `text` is a CEL expression that is cheap to run and names only what exists."""
    if not text.strip() or len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has 1 to {MAX_LENGTH} characters")
    compiled = program(text)
    bound = _bound_names(text)
    unknown = sorted(set(compiled.variables()) - set(_VARIABLES) - bound)
    if unknown:
        raise ValueError(f"no variable is called {unknown[0]!r}; there are {', '.join(_VARIABLES)}")
    # Operators are functions too, named `_+_`, `@in` and the like.
    strange = sorted(f for f in compiled.functions() if f[:1].isalpha() and f not in _FUNCTIONS)
    if strange:
        raise ValueError(f"the function {strange[0]!r} may not be used; there are {', '.join(sorted(_FUNCTIONS))}")


def _bound_names(text: str) -> set[str]:
    """The names that macros bind. Raises ValueError where their cost could multiply.

    Measured with 1,000 destinations: added to themselves inside a macro over them, more than five minutes; `map` to
    lists, which copies what it has so far at every step, more than a minute; all that is let through, below a second.
    """
    plain = _TEXT.sub('""', text)
    if "//" in plain:
        raise ValueError("an expression has no comments")
    if len(re.findall(r"\bdestinations\b", plain)) > MAX_NAMED:
        raise ValueError(f"an expression may name destinations {MAX_NAMED} times")
    names = set()
    for macro in _MACRO.finditer(plain):
        if not _OVER_DESTINATIONS.search(plain, 0, macro.start()):
            raise ValueError("a macro (all, exists, exists_one, filter) may only be applied to destinations themselves")
        if macro[1] == "map":
            raise ValueError("the macro map may not be used")
        if "destinations" in plain[macro.end() : _closing(plain, macro.end())]:
            raise ValueError("inside a macro (all, exists, exists_one, filter) destinations may not be named again")
        names.add(macro[2])
    return names


def _closing(plain: str, start: int) -> int:
    """Where the parenthesis that is open at `start` closes."""
    depth = 1
    for place in range(start, len(plain)):
        depth += {"(": 1, ")": -1}.get(plain[place], 0)
        if depth == 0:
            return place
    return len(plain)


@lru_cache(maxsize=1_000)
def program(text: str) -> cel.Program:
    """`text` compiled, and kept: compiling costs more than running. Raises ValueError that says where it is wrong."""
    try:
        return cel.compile(text)
    except ValueError as error:
        said = str(error).partition("ERROR: <input>:")[2].partition("\n")[0][:200]
        raise ValueError(f"not a CEL expression: {said or 'it cannot be read'}") from None


@lru_cache(maxsize=1_000)
def _taken_apart(text: str) -> tuple[cel.Program, tuple[str, ...], frozenset[str]]:
    """The program, the variables it names (in its order), and the functions."""
    compiled = program(text)
    named = tuple(name for name in compiled.variables() if name in _VARIABLES)
    return compiled, named, frozenset(compiled.functions())


@rule(
    type="expression",
    family="expression",
    severity=Severity.MEDIUM,
    description="A condition of your own, written as a CEL expression over the outflow, is true.",
    source="Common Expression Language, github.com/google/cel-spec",
)
def expression(outflow: Outflow, facts: Facts, params: ExpressionParams) -> Verdict:
    """Violated where `when` is true. Unknown where it is neither true nor false, or names what is not known."""
    compiled, variables, functions = _taken_apart(params.when)
    seen = {name: _VARIABLES[name](outflow, facts) for name in variables}
    try:
        answer = compiled.execute({**seen, **_comparisons(outflow, facts, functions)})
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise Unknown(f"the expression cannot be evaluated: {str(error)[:200]}") from error
    if not isinstance(answer, bool):
        raise Unknown(f"the expression gives {type(answer).__name__}, where true or false is expected")
    if not answer:
        return PASS
    said = say_amount(facts, outflow.asset, outflow.amount)
    values = {name: _as_json(value) for name, value in seen.items()}
    return violation(f"{said} left {outflow.wallet}, and {params.when}", when=params.when, values=values)


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [{name: str(part) for name, part in item.items()} for item in value[:SHOWN]]
    return value if isinstance(value, bool) else str(value)


def _comparisons(outflow: Outflow, facts: Facts, named: frozenset[str]) -> dict[str, Callable[[str], bool]]:
    """The exact comparisons. Prices are read before CEL runs: it would hide why one is missing."""
    decimals = facts.symbol(outflow.asset)[1]
    given: dict[str, Callable[[str], bool]] = {"exceeds": lambda text: outflow.amount > parse_units(text, decimals)}
    if "exceeds_usd" in named:
        price = facts.price(outflow.asset)
        value = outflow.amount * price.usd_e8
        given["exceeds_usd"] = lambda text: value > parse_units(text, USD_DECIMALS) * 10**price.decimals
    return given
