"""Worlds from a seed, biased to what goes wrong: each withdrawal is told rightly or with a twist, paid rightly or not,
and lives through replacement, reorgs and outages.

Acts are dated on half minutes and steps on whole ones, so that no verdict hangs on the length of a slot or a second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from oracle.asking import ask, decoys
from oracle.paying import pay
from oracle.worlds import (
    ACCOUNT,
    BARE,
    BTC,
    COIN,
    ETH,
    HOUR,
    USDT,
    Act,
    Group,
    Intent,
    Key,
    Person,
    Policy,
    Step,
    Tx,
    Wallet,
    World,
    conflicts,
)

MINUTE = 60
WALLETS = (
    Wallet("btc-hot", "hot", COIN, ("btc-hot-1", "btc-hot-2")),
    Wallet("btc-cold", "cold", COIN, ("btc-cold-1",)),
    Wallet("eth-hot", "hot", ACCOUNT, ("eth-hot-1",)),
    Wallet("eth-cold", "cold", ACCOUNT, ("eth-cold-1",)),
)
_COMPLIANCE = (Group(1, department="compliance"),)
_LARGE = Policy("large", quorum=2, groups=(Group(1, "approver", "treasury"), *_COMPLIANCE), min_usd=100_000)
_DAY = Policy("ordinary", max_age=24 * HOUR)
POLICIES: tuple[tuple[Policy, ...], ...] = (
    (),
    (_LARGE, _DAY),
    (_LARGE, _DAY),
    (Policy("cold", quorum=2, groups=_COMPLIANCE, wallets=("btc-cold", "eth-cold")), _DAY),
    (Policy("timed", max_age=40 * MINUTE, min_delay=2 * MINUTE),),
    (Policy("one-hand", requester_may_approve=True),),
    (_LARGE, Policy("net", fee_deducted=True)),
    (Policy("slices", parts=2),),
    (Policy("either", quorum=1, any_of=(Group(2, department="treasury"), *_COMPLIANCE)),),
    (_LARGE, Policy("engine", automatic=True)),
    (_LARGE, Policy("known", automatic=True, destinations="known"), _DAY),
    (_LARGE, Policy("robot", automatic=True, requesters=("robot",)), Policy("two", quorum=2)),
    (Policy("capped", automatic=True, assets=(BTC,), max_total=4 * 10**8, window=4 * HOUR), Policy("two", quorum=2)),
)


@dataclass
class Plan:
    """A world under way. `stories` say what was put in."""

    chance: random.Random
    policies: tuple[Policy, ...]
    acts: list[Act] = field(default_factory=list)
    txs: list[Tx] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)
    times: set[int] = field(default_factory=set)

    def step(self, at: int, chain: str, kind: str, *txs: str, depth: int = 0) -> int:
        """Plan a step at the next free minute; the minute."""
        while at in self.times:
            at += MINUTE
        self.times.add(at)
        self.steps.append(Step(at, chain, kind, txs, depth))
        return at

    def tell(self, words: str) -> None:
        self.stories.append(words)


@dataclass(frozen=True)
class Withdrawal:
    """What somebody wants paid: asked at `asked`, to be broadcast at `out`, by `wallet`."""

    number: int
    intent: Intent
    wallet: str
    asked: int
    out: int

    @property
    def request(self) -> str:
        return f"W-{self.number}"


def make_world(seed: int) -> World:
    """The world of this seed."""
    chance = random.Random(seed)  # noqa: S311 - chance, not secrets
    plan = Plan(chance, chance.choice(POLICIES))
    count = chance.choice((1, 1, 2, 2, 3, 4))
    withdrawals = [_withdrawal(plan, n) for n in range(count)]
    if count > 1 and chance.random() < 0.3:
        withdrawals = _alike(plan, withdrawals)
    for withdrawal in withdrawals:
        ask(plan, withdrawal)
    if chance.random() < 0.15:
        plan.acts += decoys(plan, withdrawals[0])
    pay(plan, withdrawals)
    steps = _legal(plan)
    start = _start(plan, steps)
    downs = _downs(plan, steps, start)
    last = max([6 * HOUR, *(s.at for s in steps), *(a.written for a in plan.acts), *(end for _, end in downs)])
    return World(
        seed=seed,
        wallets=WALLETS,
        people=_people(chance),
        policies=plan.policies,
        acts=tuple(sorted(plan.acts, key=lambda a: a.written)),
        txs=tuple(plan.txs),
        steps=steps,
        downs=downs,
        start=start,
        max_late=chance.choice((HOUR, HOUR, HOUR, HOUR, 20 * MINUTE)),
        end=(last // MINUTE + 20) * MINUTE,
        stories=tuple(plan.stories),
    )


def _people(chance: random.Random) -> tuple[Person, ...]:
    until = chance.choice((None, HOUR, 2 * HOUR, 3 * HOUR))

    def person(name: str, department: str, *roles: str, key: Key | None = None) -> Person:
        return Person(name, department, roles, (key or Key(f"{name}-key"),))

    return (
        person("desk", "operations", "requester"),
        person("robot", "operations", "requester"),
        person("lead", "treasury", "requester", "approver"),
        person("tre", "treasury", "approver"),
        person("tre-2", "treasury", "approver"),
        person("com", "compliance", "approver"),
        person("leaver", "compliance", "approver", key=Key("leaver-key", None, until)),
        person("runner", "operations", "operator"),
        person("viewer", "audit", "viewer"),
    )


def _withdrawal(plan: Plan, number: int) -> Withdrawal:
    chance = plan.chance
    asset = chance.choice((BTC, BTC, BTC, ETH, ETH, USDT, USDT, BARE))
    tokens = (5 * 10**9, 2 * 10**11)
    small, large = {BTC: (3 * 10**7, 3 * 10**8), ETH: (10**18, 60 * 10**18)}.get(asset, tokens)
    amount = (small if chance.random() < 0.5 else large) * chance.randint(10, 19) // 10
    chain = "btc" if asset == BTC else "eth"
    wallet = f"{chain}-{chance.choice(('hot', 'hot', 'hot', 'cold'))}"
    asked = chance.randrange(0, 3 * HOUR, MINUTE) + 30
    out = (asked // MINUTE + chance.randint(20, 90)) * MINUTE
    intent = Intent(asset, amount, f"{chain}-payee-{chance.randint(1, 3)}", chance.choice(("", wallet)))
    return Withdrawal(number, intent, wallet, asked, out)


def _alike(plan: Plan, withdrawals: list[Withdrawal]) -> list[Withdrawal]:
    """The second has the amount, the payee, or both, of the first."""
    first, second, *rest = withdrawals
    one, kind = first.intent, plan.chance.choice(("amount", "payee", "both", "both"))
    amount = second.intent.amount if kind == "payee" and second.intent.asset == one.asset else one.amount
    payee = f"{first.wallet[:3]}-payee-9" if kind == "amount" else one.destination
    plan.tell(f"W-1 is like W-0: {kind}")
    if kind == "payee" and amount == one.amount:
        amount += 10**6
    intent = Intent(one.asset, amount, payee, one.wallet)
    return [first, Withdrawal(1, intent, first.wallet, second.asked, second.out), *rest]


def _start(plan: Plan, steps: tuple[Step, ...]) -> int:
    """When the daemon first runs: long before anything, or just before the first step, when much is in the log."""
    if not steps or plan.chance.random() > 0.15:
        return -HOUR
    start = steps[0].at - 7
    if any(a.at < start <= a.written for a in plan.acts):
        return -HOUR  # dated before the first contact and written after it: the contract does not tell them apart
    plan.tell(f"the daemon first runs at {start}")
    return start


def _downs(plan: Plan, steps: tuple[Step, ...], start: int) -> tuple[tuple[int, int], ...]:
    """One outage in a third of worlds; it never begins or ends at a step or act."""
    chance = plan.chance
    if chance.random() > 0.33 or not steps:
        return ()
    begin = chance.choice(steps).at - chance.randint(1, 20) * MINUTE - 7
    end = begin + chance.randint(5, 150) * MINUTE + 20
    if begin <= max(start, 0) or any(a.written > end and begin <= a.at < end for a in plan.acts):
        return ()  # what is dated into an outage and written long after it is not told apart by the contract
    plan.tell(f"the daemon is away {begin}..{end}")
    return ((begin, end),)


def _legal(plan: Plan) -> tuple[Step, ...]:
    """The steps as nodes could take them: nothing is mined twice or beside what it conflicts with."""
    txs = {tx.name: tx for tx in plan.txs}
    blocks: dict[str, list[tuple[str, ...]]] = {COIN: [], ACCOUNT: []}
    found = []
    for step in sorted(plan.steps, key=lambda s: s.at):
        branch = blocks[step.chain]
        mined = {name for names in branch for name in names}
        free = tuple(n for n in step.txs if n not in mined and not any(conflicts(txs[n], txs[m]) for m in mined))
        if step.kind == "reorg":
            legal = _reorg(plan, step, branch)
        elif step.kind in ("relay", "drop") and not free:
            legal = None
        else:
            legal = Step(step.at, step.chain, step.kind, free)
            if step.kind == "mine":
                branch.append(free)
        if legal is not None:
            found.append(legal)
    return tuple(found)


def _reorg(plan: Plan, step: Step, branch: list[tuple[str, ...]]) -> Step | None:
    depth = min(step.depth, len(branch))
    if not depth:
        return None
    lost = [name for names in branch[len(branch) - depth :] for name in names]
    del branch[len(branch) - depth :]
    again, back = [], []
    for name in lost:
        fate = plan.chance.choice(("mined", "waits", "gone"))
        plan.tell(f"{name} is orphaned: {fate}")
        again += [name] if fate == "mined" else []
        back += [name] if fate == "waits" else []
    new = (tuple(again), *(() for _ in range(depth)))
    branch += new
    return Step(step.at, step.chain, "reorg", tuple(back), depth, new)
