"""One validated table of the configuration. Valid keys are kept even if others are invalid, so that the checks across
tables can still run and all errors are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError, create_model

from walletwatch.settings.documents import Document
from walletwatch.settings.fields import Table
from walletwatch.settings.problems import Fault, KeyPath, Problem, did_you_mean
from walletwatch.settings.secrets import Resolver

T = TypeVar("T", bound=Table)

_WORDS = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number without quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list in [ ]",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A table, its position in the file, and its invalid keys (`bad`)."""

    document: Document
    path: KeyPath
    value: T
    bad: frozenset[str] = frozenset()

    def has(self, *keys: str) -> bool:
        """Whether all these keys are valid."""
        return self.bad.isdisjoint(keys)

    @property
    def location(self) -> str:
        """`FILE:LINE` of the table."""
        return f"{self.document.path}:{self.document.line(self.path)}"

    def problem(self, key: str | KeyPath, message: str, hint: str = "") -> Problem:
        """A problem at `key` within this table."""
        within: KeyPath = (key,) if isinstance(key, str) else key
        return self.document.problem((*self.path, *within) if key else self.path, message, hint)


def read_entry(
    document: Document, path: KeyPath, raw: Any, model: type[T], resolver: Resolver
) -> Iterator[Entry[T] | Problem]:
    """Validate one table: yields its problems, and the entry as far as it could be read."""
    if not isinstance(raw, Mapping):
        yield document.problem(path, "must be a table")
        return
    bad: set[str] = set()
    try:
        value = model.model_validate(raw, context=resolver)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        bad = {str(detail["loc"][0]) for detail in details if detail["loc"]}
        value = _salvage(model, raw, resolver, bad)
        for detail in details:
            yield _problem_of(document, path, model, detail)
    entry = Entry(document, path, value, frozenset(bad))
    for fault in value.faults():
        if entry.has(*(str(k) for k in fault.key[:1]), *fault.involves):
            yield entry.problem(fault.key, str(fault), fault.hint)
    yield entry


def _salvage(model: type[T], raw: Mapping[str, Any], resolver: Resolver, bad: set[str]) -> T:
    """The table without its invalid keys: these are None if required, else their default."""
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in raw and name not in bad:
            alone: dict[str, Any] = {name: (info.annotation, info)}
            part = create_model("Part", __base__=Table, **alone)
            values[name] = getattr(part.model_validate({name: raw[name]}, context=resolver), name)
        elif info.is_required():
            values[name] = None
            bad.add(name)
    return model.model_construct(**values)


def _problem_of(document: Document, path: KeyPath, model: type[BaseModel], detail: Any) -> Problem:
    """One of pydantic's errors in our words. The input is not quoted: it may be a secret."""
    loc: KeyPath = tuple(detail["loc"])
    kind, context = detail["type"], detail.get("ctx", {})
    fault = context.get("error")
    if isinstance(fault, Fault):
        where = (*path, *loc, *(k for k in fault.key if k != ""))
        return document.problem(where, str(fault), fault.hint)
    if kind == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        return document.problem((*path, *loc), f'unknown key "{loc[-1]}"', did_you_mean(str(loc[-1]), known))
    if kind in ("literal_error", "enum"):
        return document.problem((*path, *loc), f"must be one of {context['expected'].replace(' or ', ', ')}")
    return document.problem((*path, *loc), _WORDS.get(kind, detail["msg"]))


def _fields_at(model: type[BaseModel], loc: KeyPath) -> tuple[str, ...]:
    """The valid keys of the table at `loc` below `model`."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_within(model.model_fields[part].annotation) or model
    return tuple(model.model_fields)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_within(part))), None)
