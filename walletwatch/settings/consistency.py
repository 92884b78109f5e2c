"""Names used once, and quorums that can be met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from walletwatch.settings.approvals import GroupSettings, PolicySettings
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import KeyPath, Problem, did_you_mean
from walletwatch.settings.sections import PersonSettings

APPROVER = "approver"
"""Whose approval counts where a policy names no group."""


def check_quorums(partial: PartialSettings) -> Iterator[Problem]:
    """Departments and roles nobody belongs to, and quorums larger than the people there are."""
    entries = partial.lists["person"]
    if any(not e.has("department", "roles") for e in entries):
        return  # who belongs where is not known until those tables are right
    people = [e.value for e in entries]
    for entry in partial.lists["approval_policy"]:
        if entry.has("groups"):
            faults = list(_check_groups(entry, people))
            yield from faults or _check_quorum(entry, people)


def _members(group: GroupSettings, people: list[PersonSettings]) -> list[PersonSettings]:
    return [p for p in people if group.role in (None, *p.roles) and group.department in (None, p.department)]


def _check_groups(entry: Entry[Any], people: list[PersonSettings]) -> Iterator[Problem]:
    departments = {p.department for p in people}
    roles = {role for p in people for role in p.roles}
    for n, group in enumerate(entry.value.groups):
        if group.department is not None and group.department not in departments:
            message = f'nobody belongs to the department "{group.department}"'
            yield entry.problem(("groups", n, "department"), message, did_you_mean(group.department, departments))
        elif group.role is not None and group.role not in roles:
            message = f'nobody has the role "{group.role}"'
            yield entry.problem(("groups", n, "role"), message, did_you_mean(group.role, roles))
        elif len(_members(group, people)) < group.min:
            message = f"asks for {group.min} people, and {len(_members(group, people))} belong to this group"
            yield entry.problem(("groups", n), message, "lower min, or add people")


def _check_quorum(entry: Entry[Any], people: list[PersonSettings]) -> Iterator[Problem]:
    policy: PolicySettings = entry.value
    groups = policy.groups or (GroupSettings(role=APPROVER),)
    able = {p.id for group in groups for p in _members(group, people)}
    if entry.has("quorum") and policy.quorum > len(able):
        message = f"asks for {policy.quorum} people, and only {len(able)} may approve under this policy"
        yield entry.problem("quorum", message, "lower the quorum, or give more people the role or department")


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


def check_uniqueness(partial: PartialSettings) -> Iterator[Problem]:
    """Everything that is used twice."""
    for table, key, what, read in _KEYS:
        uses = [(e, (key,), str(read(e.value))) for e in partial.lists[table] if e.has(key)]
        yield from _repeated(uses, what)
    kids = [
        (e, ("keys", n, "kid"), k.kid)
        for e in partial.lists["person"]
        if e.has("keys")
        for n, k in enumerate(e.value.keys)
    ]
    yield from _repeated(kids, "the key id")
    yield from _shared_keys(partial)
    yield from _repeated([(e, ("name",), e.value.name) for e in partial.lists["sink"] if e.value.name], "the sink name")
    feeds = [e for e in partial.lists["approval_feed"] if e.has("type", "path", "name")]
    yield from _repeated([(e, ("path",), str(e.value.path)) for e in feeds if e.value.path], "the feed")
    yield from _repeated([(e, (), e.value.label) for e in feeds], "the feed name")
    yield from _repeated(list(_symbols(partial)), "on its chain the symbol")


def _shared_keys(partial: PartialSettings) -> Iterator[Problem]:
    """One public key of two people would make a quorum of two out of one signer (thumbprints of RFC 7638)."""
    first: dict[str, Entry[Any]] = {}
    for entry in (e for e in partial.lists["person"] if e.has("id", "keys")):
        for n, key in enumerate(entry.value.person().keys):
            other = first.setdefault(key.thumbprint, entry)
            if other is not entry:
                place = f"{other.document.path}:{other.document.line(other.path)}"
                message = f'the key "{key.kid}" is also a key of "{other.value.id}" ({place})'
                yield entry.problem(
                    ("keys", n, "jwk"),
                    message,
                    "give each person a key of their own",
                )


def _symbols(partial: PartialSettings) -> Iterator[Use]:
    """A second token of one symbol on one chain can only be a mistake, or a counterfeit."""
    for entry in partial.lists["asset"]:
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
