"""Approval policies that nobody could ever fulfil."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from walletwatch.settings.approvals import GroupSettings, PolicySettings
from walletwatch.settings.drafts import Draft
from walletwatch.settings.entries import Entry
from walletwatch.settings.people import PersonSettings
from walletwatch.settings.problems import Problem, did_you_mean

APPROVER = "approver"
"""Whose approval counts where a policy names no group."""


def check_quorums(draft: Draft) -> Iterator[Problem]:
    """Departments and roles nobody belongs to, and quorums larger than the people there are."""
    entries = draft.lists["person"]
    if any(not e.has("department", "roles") for e in entries):
        return  # who belongs where is not known until those tables are right
    people = [e.value for e in entries]
    for entry in draft.lists["approval_policy"]:
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
