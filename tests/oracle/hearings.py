"""One reading of a history under way: what is spent so far, and what the acts on a payment are held against."""

from __future__ import annotations

from dataclasses import dataclass, field

from oracle.acts import Moment, broadcast_acts
from oracle.lives import Life
from oracle.netting import Loss
from oracle.worlds import COIN, HOUR, Act, Policy, World, conflicts

_SLACK = {COIN: 2 * HOUR}
"""How far a block's time is no evidence: "an approval up to 2 h after block time, without other evidence, is not
`approved_after_broadcast`"; on account chains the time of a slot.
"""
_SLOT = 12


@dataclass(frozen=True)
class Reading:
    """`order`: who is asked first. `strict`: everything that dates a payment earlier is evidence. `oldest`: of equal
    requests the oldest goes first.
    """

    order: tuple[str, ...]
    strict: bool = True
    oldest: bool = True


@dataclass
class Spent:
    """What living transactions took of a request."""

    by: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Hearing:
    """One reading under way: what was spent so far, and what tiers passed."""

    world: World
    lives: dict[str, Life]
    reading: Reading
    requests: dict[str, Act]
    spent: dict[str, Spent] = field(default_factory=dict)
    tiers: list[tuple[Policy, int, int]] = field(default_factory=list)
    """(policy, when, base units)"""


def earliest(life: Life) -> int:
    """ "The earliest of … first sight in a mempool, and block time"."""
    return min(t for t in (life.seen, life.block_time, *life.former) if t is not None)


def moment_of(hearing: Hearing, life: Life, request: Act) -> Moment:
    """ "t is the *broadcast time*: the earliest of a `broadcast` act, first sight in a mempool, and block time"."""
    strict, world = hearing.reading.strict, hearing.world
    family = {name for name, other in hearing.lives.items() if conflicts(life.tx, other.tx)} if strict else set()
    told = [a.at for a in broadcast_acts(world, request, frozenset({life.tx.name, *family}))]
    former = life.former if strict or life.block_time is None else ()
    blocks = [t for t in (life.block_time, *former) if t is not None]
    seen = [] if life.seen is None else [life.seen]
    # That we read a block at a time of our own clock is evidence too, in a strict reading.
    own = [life.met] if strict and life.met is not None else []
    slack = _SLACK.get(life.tx.chain, _SLOT)
    deadline = min([*(t + slack for t in blocks), *seen, *told, *own])
    return Moment(deadline, min([*blocks, *seen]))


def is_later(hearing: Hearing, life: Life, request_id: str) -> bool:
    """Whether it was asked for when the payment was out already: then nothing of it can be approved."""
    request = hearing.requests[request_id]
    return request.at > moment_of(hearing, life, request).deadline


def names_all(wallet: str, loss: Loss) -> bool:
    """ "Its request must fit *every* wallet that paid"."""
    return wallet == "" or set(loss.wallets) == {wallet}


def paid_by_others(hearing: Hearing, life: Life, request: Act) -> list[tuple[str, int]]:
    """ "A request is spent by a payment that is waiting or in the chain"; "a replaced (RBF) family shares it";
    "transactions are one family only if they conflict, each with each".
    """
    spent = hearing.spent.get(request.request, Spent()).by
    return [(n, amount) for n, amount in spent if not conflicts(life.tx, hearing.lives[n].tx) and n != life.tx.name]
