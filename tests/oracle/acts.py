"""Which acts count, by CONTRACT §4 "Times of acts", and why the others do not, by §3 "Keys and edges"."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.worlds import Act, World

ANY = frozenset(
    {
        "approval_expired",
        "approval_too_fast",
        "approved_after_broadcast",
        "approver_not_authorised",
        "content_mismatch",
        "invalid_signature",
        "quorum_not_met",
        "self_approval",
        "unapproved",
    }
)
"""Where the contract says that an act does not count and not by which type."""


@dataclass(frozen=True)
class Moment:
    """What acts are held against.

    `deadline`: the broadcast time with its evidence, approvals after it came too late. `held_at`: "expiry, age, key
    validity and cancellation are held against mempool and chain times", not against a `broadcast` act.
    """

    deadline: int
    held_at: int


def read_at(world: World, act: Act) -> int:
    """When the line counts as read.

    "An interval in which the feed was not read (first contact, an outage of feed or daemon) is recorded; acts dated in
    it count as if read at their `at`."
    """
    gaps = [(-(10**9), world.start), *world.downs]
    read = next((end for begin, end in gaps if begin <= act.written < end), act.written)
    return act.at if any(begin <= act.at < end <= read for begin, end in gaps) else read


def is_late(world: World, act: Act) -> bool:
    """ "It counts only if it was read within `max_late` of it"."""
    return read_at(world, act) - act.at > world.max_late


def flaws_of(world: World, act: Act) -> tuple[frozenset[str], ...]:
    """Why the act does not count whatever it is about: for each reason the types by which it may be told.

    "`invalid_signature` (known kid, and signature … does not fit), `approver_not_authorised` (unknown kid, or not the
    actor's)"; "(unknown, wrong role, key not valid at that time)"; "and while the key was valid when it was *read*;
    older than that it is kept and shown, and closes nothing by itself".
    """
    person = world.person(act.actor)
    owner = next((p for p in world.people for key in p.keys if key.kid == act.kid), None)
    found = []
    if owner is None or person is None or owner.id != person.id:
        found.append(frozenset({"approver_not_authorised"}))
    else:
        key = next(key for key in owner.keys if key.kid == act.kid)
        if not key.is_valid(act.at):
            found.append(frozenset({"approver_not_authorised"}))
        elif not key.is_valid(read_at(world, act)):
            found.append(ANY)
    if owner is not None and act.forged:
        found.append(frozenset({"invalid_signature"}))
    if is_late(world, act):
        found.append(ANY)
    return tuple(found)


def has_role(world: World, actor: str, *roles: str) -> bool:
    """Whether the person has one of these roles."""
    person = world.person(actor)
    return person is not None and any(role in person.roles for role in roles)


def request_acts(world: World) -> dict[str, Act]:
    """The act that makes each request.

    "A request must be signed by a person with role `requester`, else it is none." "A second request with the same id
    and other content: the first stands."
    """
    found: dict[str, Act] = {}
    for act in world.acts:
        counts = act.kind == "request" and not flaws_of(world, act) and has_role(world, act.actor, "requester")
        if counts and act.request not in found:
            found[act.request] = act
    return found


def ending_acts(world: World, request: Act, held_at: int) -> list[Act]:
    """What ended the request before the payment was out.

    "A cancelled or rejected request that was sent is `unapproved`." "`reject` and `cancel` count from requesters and
    approvers only"; they are held against mempool and chain times.
    """
    return [
        act
        for act in world.acts
        if act.request == request.request
        and act.kind in ("reject", "cancel")
        and not flaws_of(world, act)
        and not act.other
        and has_role(world, act.actor, "requester", "approver")
        and act.at <= held_at
    ]


def broadcast_acts(world: World, request: Act, txs: frozenset[str]) -> list[Act]:
    """ "A `broadcast` act is signed by a requester or operator, and can only make the deadline earlier"."""
    return [
        act
        for act in world.acts
        if act.request == request.request
        and act.kind == "broadcast"
        and act.tx in txs
        and not flaws_of(world, act)
        and has_role(world, act.actor, "requester", "operator")
    ]
