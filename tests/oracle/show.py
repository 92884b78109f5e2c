"""One world for people: what happens in it, what the oracle expects, what the program found, where they differ.

PYTHONPATH=tests .venv/bin/python -m oracle.show 55
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from oracle.comparing import differences
from oracle.generating import make_world
from oracle.judging import Outcome, judge
from oracle.lives import lives_of
from oracle.playing import play


def lines(seed: int) -> Iterator[str]:
    """The world of this seed."""
    world = make_world(seed)
    yield f"policies {world.policies}"
    yield f"the daemon runs from {world.start}, is away {world.downs}; max_late {world.max_late}"
    for title, some in (("", world.stories), ("acts", world.acts), ("transactions", world.txs), ("steps", world.steps)):
        yield from [title, *(f"  {one}" for one in some)]
    yield "lives"
    for life in lives_of(world).values():
        yield f"  {life.tx.name} {life.state}: seen {life.seen}, block {life.block_time}, before {life.former}"
    yield "expected"
    yield from (f"  {key}: {_said(outcome)}" for key, outcome in judge(world).items())
    report = play(world)
    yield "found"
    yield from sorted(f"  {f}" for f in report.found)
    yield from (f"  alert of {tx}: {told}" for tx, told in report.told.items())
    yield "differences"
    yield from (f"  {difference}" for difference in differences(world, report))


def _said(outcome: Outcome) -> str:
    must = [" | ".join(sorted(types)) for types in outcome.must]
    return f"{must or 'nothing'}, noted {[sorted(types) for types in outcome.low]}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(int(sys.argv[1])))
