"""Holds what a program found to what the oracle expects, and says in words where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oracle.acts import ANY
from oracle.judging import Outcome, Verdicts, judge, readings
from oracle.lives import Life, lives_of
from oracle.matching import NO_REQUEST
from oracle.worlds import World

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Found:
    """One finding of the program. `open`: nothing has resolved it."""

    tx: str
    wallet: str
    asset: str
    rule: str
    verdict: str
    severity: str
    open: bool


@dataclass(frozen=True)
class Told:
    """The alert of a transaction: its state, and who closed it."""

    state: str
    closed_by: str = ""


@dataclass(frozen=True)
class Report:
    """The end of one play."""

    found: frozenset[Found]
    told: Mapping[str, Told]

    def of(self, key: Key) -> list[Found]:
        return [f for f in self.found if (f.tx, f.wallet, f.asset) == key]


@dataclass(frozen=True, order=True)
class Difference:
    """`kind` names it for counting; `words` say what was expected and what was found."""

    kind: str
    tx: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.tx}: {self.words}"


def differences(world: World, report: Report) -> list[Difference]:
    """Nothing if the report agrees with one reading as a whole; else how it differs from the nearest."""
    best: list[Difference] | None = None
    lives = lives_of(world)
    for reading in readings(world, lives):
        found = _against(world, lives, judge(world, reading, lives=lives), report)
        if best is None or len(found) < len(best):
            best = found
        if not best:
            return []
    return sorted(best or [])


def _against(world: World, lives: Mapping[str, Life], expected: Verdicts, report: Report) -> list[Difference]:
    found: list[Difference] = []
    for key, outcome in expected.items():
        state = lives[key[0]].state
        found += [Difference(kind, key[0], f"{words} [{state}]") for kind, words in _one(world, key, outcome, report)]
    for f in report.found:
        key = (f.tx, f.wallet, f.asset)
        state = lives[f.tx].state if f.tx in lives else "never met"
        otherwise = f.tx in lives and lives[f.tx].did_otherwise
        if key not in expected and f.open and f.severity != "low" and state != "failed" and not otherwise:
            found.append(Difference("finding about nothing", f.tx, f"{f.rule} of {f.wallet} {f.asset} [{state}]"))
    found += _alerts(expected, report)
    return found


def _one(world: World, key: Key, outcome: Outcome, report: Report) -> Iterable[tuple[str, str]]:
    if outcome.free:
        return
    still = [f for f in report.of(key) if f.open]
    loud = {f.rule for f in still if f.verdict == "violation" and f.severity != "low"}
    low = {f.rule for f in still if f.severity == "low"}
    unsure = {f.rule for f in still if f.verdict == "undetermined"}
    where, wrong = f"{key[1]} {key[2]}", False
    for types in outcome.must:
        if not types & (loud | (unsure if outcome.doubt else set())):
            kind = "wrong type" if loud else "undetermined, not a violation" if unsure else "missed"
            wrong = True
            yield kind, f"{where}: expected {_said(types)}, found {_said(loud | unsure)}"
    extra = loud - outcome.may - frozenset().union(*outcome.must)
    if outcome.passes and loud - outcome.may:
        yield "false alarm", f"{where}: expected nothing, found {_said(loud)}"
    elif not outcome.passes and extra and not wrong and extra - _ever(world, key):
        yield "extra type", f"{where}: expected {_said(frozenset().union(*outcome.must))}, found also {_said(extra)}"
    if unsure and not outcome.doubt:
        yield "undetermined without cause", f"{where}: {_said(unsure)}"
    if outcome.passes:
        yield from _notes(where, outcome, low)
    for f in still:
        if f.verdict == "violation" and f.severity not in ("critical", "low"):
            yield "severity", f"{where}: {f.rule} is {f.severity}"


def _notes(where: str, outcome: Outcome, low: set[str]) -> Iterable[tuple[str, str]]:
    for types in outcome.low:
        if not types & low:
            yield "refused act not noted", f"{where}: expected {_said(types)} (low), found {_said(low)}"
    if low - outcome.may_low:
        yield "noted without cause", f"{where}: {_said(low)}"


def _ever(world: World, key: Key) -> frozenset[str]:
    """What a judgement at any earlier moment would have found: "not resolved by turning into another violation".

    A reorg is undone block by block, with judgements in between: where there was one, it may have been anything.
    """
    found: frozenset[str] = ANY | NO_REQUEST if any(step.kind == "reorg" for step in world.steps) else frozenset()
    moments = {step.at for step in world.steps} | {a.written for a in world.acts} | {back for _, back in world.downs}
    for at in sorted(m for m in moments if world.is_up(m)):
        outcome = judge(world, until=at).get(key)
        if outcome is not None:
            found |= outcome.may.union(*outcome.must)
    return found


def _alerts(expected: Verdicts, report: Report) -> Iterable[Difference]:
    """ "An alert closes by `system` only when no violation is left on any of its outflows"."""
    for tx, told in report.told.items():
        outcomes = [o for key, o in expected.items() if key[0] == tx]
        left = any(o.must for o in outcomes)
        if left and told.closed_by == "system" and not any(o.free for o in outcomes):
            yield Difference("alert closed, violation left", tx, f"{told.state} by {told.closed_by}")
        noted = any(f.open and f.tx == tx for f in report.found)
        if outcomes and not left and not noted and told.state == "open":
            yield Difference("alert open, nothing left", tx, told.state)


def unsaid(world: World, report: Report) -> list[Difference]:
    """Payments that pass by acts written after they were mined, and of which nothing says so.

    Of a block the daemon read while it ran: what was not explained then was found, and is resolved now.
    """
    found = []
    passing = {key for key, outcome in judge(world).items() if outcome.passes}
    for name, life in lives_of(world).items():
        mined = life.block_time
        if life.state != "included" or mined is None or life.met is None or life.met > mined or not world.is_up(mined):
            continue
        for key, outcome in judge(world, until=mined).items():
            silent = key in passing and outcome.must and not report.of(key)
            if key[0] == name and silent:
                found.append(Difference("passes by later acts, unsaid", name, f"{key[1]} {key[2]}"))
    return found


def _said(types: Iterable[str]) -> str:
    listed = sorted(types)
    return "nothing" if not listed else "any violation" if len(listed) > 6 else " | ".join(listed)


def count_kinds(found: Iterable[Difference]) -> Counter[str]:
    return Counter(d.kind for d in found)
