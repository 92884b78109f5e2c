"""Warnings about people: who can ask, who can approve, and whether their keys let them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from walletwatch.domain.policies import APPROVER
from walletwatch.domain.times import format_utc
from walletwatch.settings.approvals import PolicySettings
from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.sections import KeySettings, PersonSettings
from walletwatch.settings.warnings.tables import is_whole, sound

REQUESTER = "requester"
_SOON = timedelta(days=30)
_SIGNED = ("jsonl", "http", "table")


def warn_of_people(partial: PartialSettings, now: datetime) -> Iterator[Problem]:
    """Nobody who may ask, keys that are missing or end soon, quorums that the people there are cannot meet."""
    if not is_whole(partial, "person", "approval_feed", "approval_policy"):
        return
    people = sound(partial, "person")
    feeds = [entry.value for entry in sound(partial, "approval_feed")]
    if not feeds:
        return
    yield from _of_requesters(partial, people)
    yield from _of_roles(partial, people)
    signed = any(feed.type in _SIGNED and feed.signatures == "required" for feed in feeds)
    if signed:
        for entry in people:
            yield from _of_keys(entry, partial, now)
    able = [e for e in people if not signed or any(_is_valid(key, now) for key in e.value.keys)]
    for policy in sound(partial, "approval_policy"):
        yield from _of_quorum(policy, [e.value for e in people], [e.value for e in able])
    yield from _of_one_person(partial, people)


def _of_requesters(partial: PartialSettings, people: list[Entry[Any]]) -> Iterator[Problem]:
    if any(REQUESTER in entry.value.roles for entry in people):
        return
    message = "nobody has the role requester: no request counts, and every payment is unapproved"
    remedy = 'add roles = ["requester"] to whoever asks for withdrawals'
    yield people[0].problem("roles", message, remedy) if people else partial.main.problem((), message, remedy)


def _roles_of(partial: PartialSettings) -> set[str]:
    """The roles that mean something here."""
    groups = (group for e in sound(partial, "approval_policy") for group in e.value.groups)
    return {REQUESTER, APPROVER, *(group.role for group in groups if group.role is not None)}


def _of_roles(partial: PartialSettings, people: list[Entry[Any]]) -> Iterator[Problem]:
    known = _roles_of(partial)
    for entry in people:
        for n, role in enumerate(entry.value.roles):
            near = difflib.get_close_matches(role, known, n=1, cutoff=0.8)
            if role not in known and near:
                message = f'no policy knows the role "{role}"'
                yield entry.problem(("roles", n), message, f'did you mean "{near[0]}"?')


def _is_valid(key: KeySettings, at: datetime) -> bool:
    return (key.valid_from is None or key.valid_from <= at) and (key.valid_until is None or at < key.valid_until)


def _of_keys(entry: Entry[Any], partial: PartialSettings, now: datetime) -> Iterator[Problem]:
    """A person with a say needs a key now, and one in thirty days."""
    person: PersonSettings = entry.value
    if not _roles_of(partial) & set(person.roles):
        return
    if not person.keys:
        message = f'"{person.id}" has no key: nothing they sign counts'
        yield entry.problem("id", message, "keys = [{ kid = …, jwk = { … } }]")
    elif not any(_is_valid(key, now) for key in person.keys):
        message = f'no key of "{person.id}" is valid now: nothing they sign counts'
        yield entry.problem("keys", message, "correct valid_from and valid_until, or add a key")
    elif not any(_is_valid(key, now + _SOON) for key in person.keys):
        ends, n = max((k.valid_until, n) for n, k in enumerate(person.keys) if k.valid_until and _is_valid(k, now))
        message = f'the last key of "{person.id}" ends within 30 days, at {format_utc(ends)}'
        yield entry.problem(("keys", n, "valid_until"), message, "add their next key now")


def _approvers(policy: PolicySettings, people: Iterable[PersonSettings]) -> list[PersonSettings]:
    roles = {APPROVER, *(group.role for group in policy.groups if group.role is not None)}
    return [person for person in people if roles & set(person.roles)]


def _is_met(policy: PolicySettings, people: Iterable[PersonSettings], requester: str) -> bool:
    """Whether all who may approve what `requester` asked meet the policy together."""
    may = [p for p in _approvers(policy, people) if policy.requester_may_approve or p.id != requester]
    groups = (
        sum(g.role in (None, *p.roles) and g.department in (None, p.department) for p in may) >= g.min
        for g in policy.groups
    )
    return len(may) >= policy.quorum and all(groups)


def _of_quorum(entry: Entry[Any], people: list[PersonSettings], able: list[PersonSettings]) -> Iterator[Problem]:
    """A quorum that requests of everybody, or of somebody, cannot reach."""
    if entry.document.data["approval_policy"][int(entry.path[1])].get("automatic"):
        return
    policy: PolicySettings = entry.value
    askers = [person.id for person in people if REQUESTER in person.roles]
    stuck = [asker for asker in askers if not _is_met(policy, able, asker)]
    if not stuck:
        return
    whose = "any request" if len(stuck) == len(askers) else f"what {', '.join(stuck)} asks for"
    why = "" if all(_is_met(policy, people, asker) for asker in stuck) else ", as nobody approves their own request"
    if not why:
        why = ", as not all who may approve have a valid key"
    elif policy.requester_may_approve:
        why = ""
    message = f'the quorum of "{policy.name}" cannot be met for {whose}{why}'
    yield entry.problem("quorum", message, "add approvers with keys, or lower the quorum")


def _of_one_person(partial: PartialSettings, people: list[Entry[Any]]) -> Iterator[Problem]:
    """One person who asks and approves alone."""
    askers = [e for e in people if REQUESTER in e.value.roles]
    approvers = [e for e in people if APPROVER in e.value.roles]
    if len(askers) == len(approvers) == 1 and askers[0] is approvers[0]:
        message = f'"{askers[0].value.id}" is the only requester and the only approver'
        yield askers[0].problem("roles", message, "give one of the roles to somebody else")
    for policy in sound(partial, "approval_policy"):
        if policy.value.requester_may_approve and policy.value.quorum == 1:
            message = f'under "{policy.value.name}" whoever asks can approve it alone'
            yield policy.problem("requester_may_approve", message, "quorum = 2, or requester_may_approve = false")
