"""Names and ids that may stand only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from walletwatch.settings.drafts import Draft
from walletwatch.settings.entries import Entry
from walletwatch.settings.problems import KeyPath, Problem

Use = tuple[Entry[Any], KeyPath, str]
"""An entry, the key within it, and the text that may not be used twice."""

_KEYS: tuple[tuple[str, str, str, Callable[[Any], object]], ...] = (
    ("chain", "name", "the chain name", lambda v: v.name),
    ("chain", "id", "the chain", lambda v: v.id),
    ("asset", "id", "the asset", lambda v: v.id),
    ("price", "asset", "a price for", lambda v: v.asset),
    ("wallet", "name", "the wallet name", lambda v: v.name),
    ("person", "id", "the person", lambda v: v.id),
    ("approval_policy", "name", "the policy name", lambda v: v.name),
    ("rule", "id", "the rule id", lambda v: v.rule_id),
)


def check_uniqueness(draft: Draft) -> Iterator[Problem]:
    """Everything that is used twice."""
    for table, key, what, read in _KEYS:
        uses = [(e, (key,), str(read(e.value))) for e in draft.lists[table] if e.has(key)]
        yield from _repeated(uses, what)
    kids = [
        (e, ("keys", n, "kid"), k.kid)
        for e in draft.lists["person"]
        if e.has("keys")
        for n, k in enumerate(e.value.keys)
    ]
    yield from _repeated(kids, "the key id")
    yield from _repeated([(e, ("name",), e.value.name) for e in draft.lists["sink"] if e.value.name], "the sink name")
    feeds = [e for e in draft.lists["approval_feed"] if e.has("type", "path", "name")]
    yield from _repeated([(e, ("path",), str(e.value.path)) for e in feeds if e.value.path], "the feed")
    yield from _repeated([(e, (), e.value.label) for e in feeds], "the feed name")
    yield from _repeated(list(_symbols(draft)), "on its chain the symbol")


def _symbols(draft: Draft) -> Iterator[Use]:
    """A second token of one symbol on one chain can only be a mistake, or a counterfeit."""
    for entry in draft.lists["asset"]:
        if entry.has("id", "symbol"):
            yield entry, ("symbol",), f"{entry.value.symbol} ({entry.value.id.chain})"


def _repeated(uses: Iterable[Use], what: str) -> Iterator[Problem]:
    first: dict[str, Entry[Any]] = {}
    for entry, key, text in uses:
        if text in first:
            other = first[text]
            place = f"{other.document.path}:{other.document.line(other.path)}"
            yield entry.problem(key, f'{what} "{text}" stands already at {place}', "keep one of the two, or rename it")
        first.setdefault(text, entry)
