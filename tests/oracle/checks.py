"""What must hold of every world, each as a function of its seed that says in lines what does not."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import lru_cache

from oracle.comparing import Difference, Key, Report, differences, unsaid
from oracle.generating import make_world
from oracle.judging import judge
from oracle.playing import PLAINLY, Manner, play
from oracle.variants import shuffled, without_mempool, without_wallet
from oracle.worlds import PRICES, World


@lru_cache(maxsize=4_096)
def plain(seed: int) -> Report:
    """The world of this seed played as it is."""
    return play(make_world(seed))


def end(seed: int) -> list[str]:
    """The end is the oracle's."""
    world = make_world(seed)
    return _lines(world, differences(world, plain(seed)), "as it is")


def said(seed: int) -> list[str]:
    """No act written after a transaction was mined makes it pass without saying so."""
    world = make_world(seed)
    return _lines(world, unsaid(world, plain(seed)), "as it is")


def order(seed: int) -> list[str]:
    """Lines arrive in another order, and the chains are asked in another: the end is the oracle's."""
    world = shuffled(make_world(seed), _chance(seed))
    return _lines(world, differences(world, play(world, Manner(reversed_chains=True))), "in another order")


def kills(seed: int) -> list[str]:
    """A process that dies ends where one ends that lives."""
    world = make_world(seed)
    lived, died = plain(seed), play(world, Manner(kills=seed))
    if lived == died:
        return []
    found = [f"    only where it lived: {f}" for f in lived.found - died.found]
    found += [f"    only where it died: {f}" for f in died.found - lived.found]
    return [_about(world, "with kills"), *found, f"    {lived.told} {died.told}"]


def mempool(seed: int) -> list[str]:
    """A verdict on what is in the chain does not depend on whether the mempool was seen, where the acts do not: none is
    dated between first sight and what the block alone would let through.
    """
    world = make_world(seed)
    blind = without_mempool(world)
    unseen = play(blind)
    found = _lines(blind, differences(blind, unseen), "without a mempool")
    expected = judge(world)
    for key, outcome in judge(blind).items():
        seen_types, unseen_types = _loud(plain(seed), key), _loud(unseen, key)
        if not outcome.free and expected.get(key) == outcome and bool(seen_types) != bool(unseen_types):
            found.append(f"seed {seed}: {key}: {sorted(seen_types)} with a mempool, {sorted(unseen_types)} without")
    return found


def loss(seed: int) -> list[str]:
    """Taking a price, the feed, or a wallet that did not pay away never turns a violation into silence."""
    world, chance = make_world(seed), _chance(seed)
    named = {name for policy in world.policies for name in policy.wallets}
    gone = chance.choice([w.name for w in world.wallets if w.name not in named])
    at = chance.randrange(max(world.start, 0), world.end)
    price = chance.choice(sorted(PRICES))
    poorer = [
        (world, Manner(no_price=price), f"the price of {price}"),
        (world, Manner(feed_gone_at=at), f"the feed at {at}"),
        (without_wallet(world, gone), PLAINLY, f"the wallet {gone}"),
    ]
    paid = {tx for tx, wallet, _ in judge(world) if wallet == gone}
    found = []
    for less, manner, what in poorer:
        left = play(less, manner)
        silent = [key for key in _violated(plain(seed)) if key[0] not in paid and not _loud(left, key)]
        found += [_about(world, f"without {what}"), f"    nothing is found of {silent}"] if silent else []
    return found


CHECKS = (end, said, order, kills, mempool, loss)


def _chance(seed: int) -> random.Random:
    return random.Random(f"variant {seed}")  # noqa: S311 - chance, not secrets


def _about(world: World, what: str) -> str:
    names = [p.name for p in world.policies]
    return f"seed {world.seed}, {what}: policies {names}; {'; '.join(world.stories)}"


def _lines(world: World, found: Iterable[Difference], what: str) -> list[str]:
    words = [f"    {difference}" for difference in found]
    return [_about(world, what), *words] if words else []


def _loud(report: Report, key: Key) -> frozenset[str]:
    """What is open about an outflow, undetermined verdicts too."""
    return frozenset(f.rule for f in report.of(key) if f.open and f.severity != "low")


def _violated(report: Report) -> list[Key]:
    return sorted({(f.tx, f.wallet, f.asset) for f in report.found if f.open and f.severity != "low"})
