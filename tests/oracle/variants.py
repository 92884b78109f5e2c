"""The same world lived through in other ways: other arrivals, no mempool, something taken away."""

from __future__ import annotations

import random
from dataclasses import replace

from oracle.worlds import Act, Step, World


def shuffled(world: World, chance: random.Random) -> World:
    """Lines that arrive within `max_late` arrive at other times and in another order. Those of two requests under one
    id keep theirs, because the first stands; so do those dated into an outage or before the first contact.
    """
    ids = [a.request for a in world.acts if a.kind == "request"]
    fixed = {request for request in ids if ids.count(request) > 1}
    acts = [a if a.request in fixed else _moved(world, a, chance) for a in world.acts]
    return replace(world, acts=tuple(sorted(acts, key=lambda a: a.written)))


def _moved(world: World, act: Act, chance: random.Random) -> Act:
    if act.written - act.at > world.max_late or not world.is_up(act.at):
        return act
    latest = min(act.at + world.max_late * 9 // 10, world.end - 60)
    written = chance.randrange(act.at, max(act.at + 1, latest), 10)
    before_end = [begin for begin, _ in world.downs if act.at < begin]
    written = min([written, *(begin - 10 for begin in before_end)])
    return replace(act, written=max(written, act.at))


def without_mempool(world: World) -> World:
    """As nodes tell it that show blocks alone."""
    steps = [_mined_alone(step) for step in world.steps if step.kind in ("mine", "reorg")]
    return replace(world, steps=tuple(steps))


def _mined_alone(step: Step) -> Step:
    return replace(step, txs=()) if step.kind == "reorg" else step


def without_wallet(world: World, name: str) -> World:
    """As if the wallet were a stranger's."""
    return replace(world, wallets=tuple(w for w in world.wallets if w.name != name))


def assets_of(world: World) -> set[str]:
    """What requests name."""
    return {a.intent.asset for a in world.acts if a.intent is not None}
