"""The verdicts on a final history, by CONTRACT §4 "Matching" and "Spent": brute force over every assignment.

Where the contract leaves a choice (which of two equal requests is spent, which of two payments was first where both
wait), a `Reading` decides it; a program is right if it agrees with one reading as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations

from oracle.acts import ANY, request_acts
from oracle.hearings import Hearing, Reading, Spent, earliest, is_later, moment_of
from oracle.lives import Life, lives_of
from oracle.matching import NO_REQUEST, Pairs, near_types, pairings
from oracle.netting import Loss, Payment, losses_of
from oracle.standings import Circumstances, Standing, standing
from oracle.worlds import Policy, World


@dataclass(frozen=True)
class Outcome:
    """What is to be found of one wallet's outflow: see `Standing`. `doubt`: it may be undetermined. `free`: the
    contract does not say.
    """

    must: tuple[frozenset[str], ...] = ()
    may: frozenset[str] = frozenset()
    low: tuple[frozenset[str], ...] = ()
    may_low: frozenset[str] = frozenset()
    doubt: bool = False
    free: bool = False

    @property
    def passes(self) -> bool:
        return not self.must and not self.free


Verdicts = dict[tuple[str, str, str], Outcome]
"""By (tx, wallet, asset)."""


def readings(world: World, lives: dict[str, Life]) -> Iterator[Reading]:
    """The plainest first: in the order of broadcast, all evidence, the oldest request first."""
    living = sorted((life for life in lives.values() if life.lives), key=lambda life: (earliest(life), life.tx.name))
    names = tuple(life.tx.name for life in living)
    # "Orphaned until included again", and waiting in the mempool again: whether it spends meanwhile is not said.
    settled = tuple(life.tx.name for life in living if life.state == "included" or not life.former)
    orders = [order for some in dict.fromkeys((names, settled)) for order in _orders(some)]
    for order in orders:
        for strict in (True, False):
            for oldest in (True, False):
                yield Reading(order, strict, oldest)


def _orders(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(permutations(names)) if len(names) <= 4 else _swaps(names)


def _swaps(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The order itself, and each with one of them earlier."""
    moved = [(*names[:to], names[n], *names[to:n], *names[n + 1 :]) for n in range(len(names)) for to in range(n)]
    return [names, *moved]


def judge(
    world: World, reading: Reading | None = None, until: int | None = None, lives: dict[str, Life] | None = None
) -> Verdicts:
    """The verdict on every outflow of every transaction that was met; of `until`, as far as was known then. `lives`
    are those of the world, if the caller has them.
    """
    lives = lives_of(world, until) if lives is None else lives
    if until is not None:
        world = replace(world, acts=tuple(a for a in world.acts if a.written <= until))
    chosen = next(readings(world, lives)) if reading is None else reading
    hearing = Hearing(world, lives, chosen, request_acts(world))
    found: Verdicts = {}
    for name in chosen.order:
        found |= _judge_tx(hearing, lives[name])
    for name, life in lives.items():
        if name not in chosen.order:
            found |= _judge_tx(hearing, life)
    return found


def _judge_tx(hearing: Hearing, life: Life) -> Verdicts:
    found: Verdicts = {}
    for loss in losses_of(hearing.world, life):
        if life.tx.name in hearing.reading.order:
            outcome, taken = _judge_loss(hearing, life, loss)
            for request_id, amount in taken:
                hearing.spent.setdefault(request_id, Spent()).by.append((life.tx.name, amount))
        else:
            outcome = _judge_dead(hearing, life, loss)
        outcome = replace(outcome, free=life.did_otherwise)
        for wallet in loss.wallets:
            found[life.tx.name, wallet, loss.asset] = outcome
    return found


def _judge_dead(hearing: Hearing, life: Life, loss: Loss) -> Outcome:
    """What was dropped, replaced or orphaned spends nothing, and whether what others spent since is spent to it is not
    said: it may be judged with and without that.
    """
    spent, _ = _judge_loss(hearing, life, loss)
    alone, _ = _judge_loss(replace(hearing, spent={}), life, loss)
    every = frozenset().union(*spent.must, *alone.must)
    must = (every,) if spent.must and alone.must else ()
    may = spent.may | alone.may | every
    return replace(alone, must=must, may=may, low=(), doubt=spent.doubt or alone.doubt)


def _judge_loss(hearing: Hearing, life: Life, loss: Loss) -> tuple[Outcome, list[tuple[str, int]]]:
    options = [_judge_view(hearing, life, loss, view) for view in loss.views]
    best = min(options, key=lambda option: option.cost)
    among = [option for option in options if option.cost == best.cost or best.cost[0] > 0]
    outcome = best.outcome
    if len(among) > 1 and outcome.must:
        # Which of several views is told, where none explains the whole, is not said.
        every = frozenset().union(*(types for option in among for types in option.outcome.must))
        outcome = replace(outcome, must=(every,), may=outcome.may | every)
    if life.tx.name in hearing.reading.order:
        hearing.tiers += best.passed
    return outcome, best.taken


@dataclass(frozen=True)
class _Option:
    """One way to read a transaction: `cost` (unexplained, how badly explained), and what it takes."""

    cost: tuple[int, int]
    outcome: Outcome
    taken: list[tuple[str, int]]
    passed: list[tuple[Policy, int, int]]


def _judge_view(hearing: Hearing, life: Life, loss: Loss, view: tuple[Payment, ...]) -> _Option:
    around = _circumstances(hearing, life, loss, view)
    known = {i: standing(hearing.world, r, moment_of(hearing, life, r), around) for i, r in hearing.requests.items()}
    best: tuple[tuple[int, ...], Pairs] | None = None
    for pairs in pairings(hearing, life, loss, view, known, 0, ()):
        ranks = [0 if p is None else 3 - known[p].rank for p in pairs]
        ages = sorted(hearing.requests[p].at for p in pairs if p is not None)
        cost = (-sum(p is not None for p in pairs), -sum(ranks), sum(ages) if hearing.reading.oldest else -sum(ages))
        if best is None or cost < best[0]:
            best = (cost, pairs)
    assert best is not None
    (explained, merit, _), pairs = best
    taken, passed = [], []
    for payment, pair in zip(view, pairs, strict=True):
        if pair is None or (hearing.reading.strict and is_later(hearing, life, pair)):
            continue
        taken.append((pair, payment.amount))
        if known[pair].state == "met":
            passed += [(policy, earliest(life), payment.amount) for policy in known[pair].policies]
    outcome = _outcome(hearing, life, loss, view, pairs, known)
    return _Option((len(view) + explained, merit), outcome, taken, passed)


def _circumstances(hearing: Hearing, life: Life, loss: Loss, view: tuple[Payment, ...]) -> Circumstances:
    at = earliest(life)

    def passed(policy: Policy) -> int:
        window = policy.window or 0
        return sum(units for tier, when, units in hearing.tiers if tier == policy and at - window < when <= at)

    before = (o for o in hearing.lives.values() if o is not life and o.lives and earliest(o) < at)
    paid = {p.to for other in before for some in losses_of(hearing.world, other) for v in some.views for p in v}
    return Circumstances(loss.wallets, all(p.to in paid for p in view), passed)


def _outcome(
    hearing: Hearing, life: Life, loss: Loss, view: tuple[Payment, ...], pairs: Pairs, known: dict[str, Standing]
) -> Outcome:
    answers = [_unless_later(known[p], later=is_later(hearing, life, p)) for p in pairs if p is not None]
    lost = [p for p, pair in zip(view, pairs, strict=True) if pair is None]
    near = [near_types(hearing, life, loss, p, pairs) for p in lost]
    must = [types for a in answers for types in a.must] + near
    if len(near) > 1:
        # A request is near to one payment; which of them has it is not said.
        must = [types for a in answers for types in a.must] + [types | {"unapproved"} for types in near]
    may = frozenset().union(*(a.may for a in answers), *must)
    low = tuple(types for a in answers if a.state == "met" for types in a.low)
    return Outcome(tuple(must), may, low, ANY, any(a.state == "doubt" for a in answers))


def _unless_later(answer: Standing, *, later: bool) -> Standing:
    return Standing("short", (ANY | NO_REQUEST,), ANY | NO_REQUEST, (), ANY) if later else answer
