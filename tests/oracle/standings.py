"""Whether a request was approved as its policy asks, by CONTRACT §4 "Policies" and §3 "Keys and edges"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oracle.acts import ANY, Moment, ending_acts, flaws_of
from oracle.worlds import Act, Person, Policy, World, worth_usd

UNNAMED = Policy("")
"""Where no policy fits: one approver, not the requester."""


@dataclass(frozen=True)
class Circumstances:
    """What selects a policy: who paid, whether the payee was paid before, and what a tier passed in its window."""

    wallets: tuple[str, ...]
    known: bool
    passed: Callable[[Policy], int]


@dataclass(frozen=True)
class Standing:
    """`state` is `met`, `doubt`, `short` or `ended`. `must`: at least one type of each set is to be found loud; `may`
    may be; `low`: at least one of each is to be noted; `may_low` may be.
    """

    state: str
    must: tuple[frozenset[str], ...] = ()
    may: frozenset[str] = frozenset()
    low: tuple[frozenset[str], ...] = ()
    may_low: frozenset[str] = frozenset()
    policies: tuple[Policy, ...] = ()

    @property
    def rank(self) -> int:
        """0 is the best."""
        return ("met", "doubt", "short", "ended").index(self.state)


def policies_for(world: World, request: Act, wallet: str, around: Circumstances) -> tuple[Policy, ...]:
    """ "The first policy that fits applies"; several where a missing price leaves it open, and then all are asked."""
    chosen = []
    for policy in world.policies:
        fit = _fits(policy, request, wallet, around)
        if fit is not False:
            chosen.append(policy)
        if fit is True:
            return tuple(chosen)
    return (*chosen, UNNAMED)


def _fits(policy: Policy, request: Act, wallet: str, around: Circumstances) -> bool | None:
    """Selectors: all that are given must fit. "`requesters`, `destinations` (`known`, `new`, `allowlisted`) select;
    `max_total` with `window` caps what a tier may pass in all".
    """
    intent = request.intent
    assert intent is not None
    if policy.assets and intent.asset not in policy.assets:
        return False
    if policy.wallets and wallet not in policy.wallets:
        return False
    if policy.requesters and request.actor not in policy.requesters:
        return False
    if policy.destinations and around.known is not (policy.destinations == "known"):
        return False
    if policy.max_total is not None and around.passed(policy) + intent.amount > policy.max_total:
        return False
    return True if policy.min_usd is None else worth_usd(intent.asset, intent.amount, policy.min_usd)


def standing(world: World, request: Act, moment: Moment, around: Circumstances) -> Standing:
    """Whether the request is approved for a payment at `moment`.

    "Its request must fit *every* wallet that paid: the strictest policy among them counts."
    """
    low = _noted(world, request)
    if ending_acts(world, request, moment.held_at):
        return Standing("ended", (frozenset({"unapproved"}),), frozenset().union(*low[0]), (), low[1] | ANY)
    answers: list[list[Standing]] = []
    used: list[Policy] = []
    for wallet in around.wallets:
        policies = policies_for(world, request, wallet, around)
        used += policies
        answers.append([_ask(world, policy, request, moment) for policy in policies])
    short = [a for some in answers if not any(a.state == "met" for a in some) for a in some]
    every = tuple(dict.fromkeys(used))
    if short:
        must = frozenset().union(*(types for a in short for types in a.must))
        may = frozenset().union(*(a.may for some in answers for a in some), must)
        return Standing("short", (must,), may, (), ANY, every)
    doubtful = [a for some in answers for a in some if a.state != "met"]
    if doubtful:
        must = frozenset().union(*(types for a in doubtful for types in a.must))
        return Standing("doubt", (must,), must | ANY, (), ANY, every)
    refused = [a for some in answers for a in some]
    return Standing("met", (), frozenset(), refused[0].low if len(refused) == 1 else (), ANY, every)


def _noted(world: World, request: Act) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    acts = [a for a in world.acts if a.request == request.request]
    return tuple(types for a in acts for types in flaws_of(world, a)), ANY


def _ask(world: World, policy: Policy, request: Act, moment: Moment) -> Standing:
    """One policy's answer.

    "If for lack of it the quorum is short, *that type* is the finding; `quorum_not_met` is for too few acts with none
    refused; beside a met quorum a refused act is a `low` finding of its type." "`automatic = true` is a policy without
    approvers (a requester's signed request suffices)".
    """
    after = request.at > moment.deadline
    if policy.automatic and not policy.groups:
        return Standing("short", (ANY,), ANY) if after else _expiry(request, moment) or Standing("met")
    counted: dict[str, Person] = {}
    refused: list[tuple[Act, frozenset[str]]] = []
    for act in world.acts:
        if act.request != request.request or act.kind != "approve":
            continue
        types = _reasons(world, policy, request, act, moment)
        person = world.person(act.actor)
        if types:
            refused.append((act, types))
        elif person is not None:
            counted[act.actor] = person
    low = tuple(types for _, types in refused if not types >= ANY)
    if _is_met(policy, list(counted.values())):
        return Standing("met", low=low)
    return _short(world, policy, counted, refused)


def _expiry(request: Act, moment: Moment) -> Standing | None:
    expires = request.intent.expires_at if request.intent else None
    if expires is None or moment.held_at <= expires:
        return None
    return Standing("short", (frozenset({"approval_expired"}),), ANY)


def _short(
    world: World, policy: Policy, counted: dict[str, Person], refused: Sequence[tuple[Act, frozenset[str]]]
) -> Standing:
    every = frozenset().union(*(types for _, types in refused))
    lacking = [(act, types) for act, types in refused if act.actor not in counted]
    told = frozenset().union(*(types for _, types in lacking))
    with_them = [p for act, _ in lacking if (p := world.person(act.actor)) is not None]
    if not told:
        return Standing("short", (frozenset({"quorum_not_met"}) | every,), every)
    if not _is_met(policy, list({p.id: p for p in [*counted.values(), *with_them]}.values())):
        told |= {"quorum_not_met"}
    return Standing("short", (told,), every)


def _is_met(policy: Policy, persons: list[Person]) -> bool:
    """ "Quorum counts persons; one person in two groups counts for both." "`any_of` are alternative groups"."""
    groups = all(sum(g.fits(p) for p in persons) >= g.min for g in policy.groups)
    one_of = not policy.any_of or any(sum(g.fits(p) for p in persons) >= g.min for g in policy.any_of)
    return len(persons) >= policy.quorum and groups and one_of


def _reasons(world: World, policy: Policy, request: Act, act: Act, moment: Moment) -> frozenset[str]:
    """The types by which an approval does not count; empty if it does."""
    intent, found = request.intent, list(flaws_of(world, act))
    assert intent is not None
    person = world.person(act.actor)
    if person is None or not may_approve(policy, person):
        found.append(frozenset({"approver_not_authorised"}))
    if act.actor == request.actor and not policy.requester_may_approve:
        found.append(frozenset({"self_approval"}))
    if act.other or act.shown_other:
        found.append(frozenset({"content_mismatch"}))
    if act.at > moment.deadline:
        found.append(frozenset({"approved_after_broadcast"}))
    if intent.expires_at is not None and moment.held_at > intent.expires_at:
        found.append(frozenset({"approval_expired"}))
    if policy.max_age is not None and moment.held_at - act.at > policy.max_age:
        found.append(frozenset({"approval_expired"}))
    if act.at < request.at:
        # "An approval older than its request … does not count."
        found.append(ANY)
    elif policy.min_delay is not None and act.at - request.at < policy.min_delay:
        found.append(frozenset({"approval_too_fast"}))
    return frozenset().union(*found)


def may_approve(policy: Policy, person: Person) -> bool:
    """Whether a role lets the person approve: `approver`, or what a group of the policy names."""
    groups = (*policy.groups, *policy.any_of)
    return "approver" in person.roles or any(g.role and g.fits(person) for g in groups)
