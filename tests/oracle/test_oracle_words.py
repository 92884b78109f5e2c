"""The oracle itself, sentence by sentence of the contract, on worlds small enough to judge by eye; and that it knows
nothing of the program it judges.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from oracle.comparing import Found, Report, Told, differences
from oracle.generating import make_world
from oracle.judging import judge
from oracle.worlds import BTC, COIN, HOUR, Act, CoinTx, Group, Intent, Key, Person, Policy, Step, Wallet, World

MINUTE = 60
PAYEE = Intent(BTC, 500, "payee")
HOT = Wallet("hot", "hot", COIN, ("hot-1",))
COLD = Wallet("cold", "cold", COIN, ("cold-1",))


def person(name: str, *roles: str, until: int | None = None) -> Person:
    return Person(name, "office", roles, (Key(f"{name}-key", None, until),))


PEOPLE = (person("desk", "requester"), person("tre", "approver"), person("viewer", "viewer"))


def act(kind: str, actor: str, at: int, *, late: int = 0, request: str = "W-1", intent: Intent | None = None) -> Act:
    return Act(kind, request, actor, f"{actor}-key", at * MINUTE, (at + late) * MINUTE, intent)


def pays(name: str, *outputs: tuple[str, int], coins: tuple[str, ...] = ("c1",), of: str = "hot-1") -> CoinTx:
    total = sum(amount for _, amount in outputs)
    change = total * (len(coins) - 1) + 90
    return CoinTx(name, tuple((coin, of, total + 100) for coin in coins), (*outputs, (of, change)))


def step(at: int, kind: str, *txs: str) -> Step:
    return Step(at * MINUTE, COIN, kind, txs)


ASKED = act("request", "desk", 10, intent=PAYEE)
OK = act("approve", "tre", 20)
PAID = pays("t1", ("payee", 500))
PLAIN = World(
    seed=0,
    wallets=(HOT, COLD),
    people=PEOPLE,
    policies=(),
    acts=(ASKED, OK),
    txs=(PAID,),
    steps=(step(60, "relay", "t1"), step(70, "mine", "t1")),
)


def types(world: World, tx: str = "t1", wallet: str = "hot") -> set[frozenset[str]]:
    return set(judge(world)[tx, wallet, BTC].must)


def only(*names: str) -> set[frozenset[str]]:
    return {frozenset(names)}


def with_acts(*acts: Act) -> World:
    return replace(PLAIN, acts=acts)


def test_an_approved_payment_passes() -> None:
    assert judge(PLAIN)["t1", "hot", BTC].passes


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (with_acts(), only("unapproved")),
        (with_acts(ASKED), only("quorum_not_met")),
        (with_acts(replace(OK, intent=None)), only("unapproved")),  # "of a request that nobody asked"
        (with_acts(ASKED, replace(OK, forged=True)), only("invalid_signature")),
        (with_acts(ASKED, replace(OK, kid="nobody-key")), only("approver_not_authorised")),
        (with_acts(ASKED, replace(OK, shown_other=True)), only("content_mismatch")),
        (with_acts(ASKED, act("approve", "desk", 20)), only("approver_not_authorised", "self_approval")),
        (with_acts(ASKED, act("approve", "tre", 65)), only("approved_after_broadcast")),
        (with_acts(ASKED, OK, act("cancel", "desk", 50)), only("unapproved")),
        (with_acts(replace(ASKED, intent=replace(PAYEE, destination="other")), OK), only("destination_mismatch")),
        (with_acts(replace(ASKED, intent=replace(PAYEE, amount=400)), OK), only("amount_mismatch")),
        (with_acts(replace(ASKED, intent=replace(PAYEE, expires_at=30 * MINUTE)), OK), only("approval_expired")),
        (with_acts(replace(ASKED, intent=replace(PAYEE, wallet="cold")), OK), only("unapproved")),
    ],
)
def test_what_is_wrong_has_its_type(world: World, expected: set[frozenset[str]]) -> None:
    assert types(world) == expected


@pytest.mark.parametrize(
    "extra",
    [
        act("cancel", "desk", 50, late=61),  # "it counts only if it was read within `max_late`"
        act("reject", "viewer", 50),  # "count from requesters and approvers only"
        act("cancel", "desk", 65),  # "held against mempool and chain times"
        act("request", "desk", 11, intent=replace(PAYEE, amount=7)),  # "the first stands"
    ],
)
def test_what_does_not_count_changes_nothing(extra: Act) -> None:
    assert judge(with_acts(ASKED, OK, extra))["t1", "hot", BTC].passes


def test_an_act_that_comes_late_counts_within_an_hour_or_an_outage() -> None:
    soon, too_late = (with_acts(ASKED, replace(OK, written=OK.at + late)) for late in (HOUR, HOUR + 1))
    assert not types(soon)
    assert types(too_late)
    away = replace(too_late, downs=((OK.at - 5, OK.at + HOUR + 5),), steps=(step(100, "relay", "t1"),))
    assert not types(away)


def test_a_key_counts_only_while_it_is_valid_when_read() -> None:
    leaver = replace(PLAIN, people=(PEOPLE[0], person("tre", "approver", until=40 * MINUTE)))
    assert not types(leaver)
    assert types(replace(leaver, acts=(ASKED, act("approve", "tre", 20, late=30))))


def twice(*steps: Step) -> World:
    return replace(PLAIN, txs=(PAID, pays("t2", ("payee", 500), coins=("c2",))), steps=steps)


def test_a_request_is_spent_by_what_waits_or_is_in_the_chain_and_freed_by_what_is_not() -> None:
    both = twice(step(60, "relay", "t1"), step(80, "mine", "t2"))
    assert types(both, "t2") == only("approval_reused")
    dropped = twice(*both.steps, step(90, "drop", "t1"))
    assert not types(dropped, "t2")
    orphaned = Step(90 * MINUTE, COIN, "reorg", depth=1, blocks=((), ()))
    assert not types(twice(step(60, "mine", "t1"), orphaned, step(100, "mine", "t2")), "t2")


def test_a_family_conflicts_each_with_each() -> None:
    first = pays("t1", ("payee", 500), coins=("X",))
    both = pays("t2", ("payee", 500), coins=("X", "Y"))
    last = pays("t3", ("payee", 500), coins=("Y",))
    steps = (step(60, "relay", "t1"), step(61, "relay", "t2"), step(62, "relay", "t3"), step(70, "mine", "t1", "t3"))
    world = replace(PLAIN, txs=(first, both, last), steps=steps)
    assert [types(world, tx) for tx in ("t1", "t3")] == [set(), only("approval_reused")]


def test_a_request_fits_every_wallet_that_paid_and_the_strictest_policy_counts() -> None:
    mixed = CoinTx("t1", (("c1", "hot-1", 100), ("c2", "cold-1", 500)), (("payee", 500), ("cold-1", 90)))
    world = replace(PLAIN, txs=(mixed,), policies=(Policy("cold", quorum=2, wallets=("cold",)),))
    assert types(world) == types(world, wallet="cold") == only("quorum_not_met")
    named = replace(world, acts=(replace(ASKED, intent=replace(PAYEE, wallet="hot")), OK))
    assert types(named) == types(named, wallet="cold") == only("unapproved")


def test_only_requests_dated_before_the_broadcast_are_near_misses() -> None:
    theft = replace(PLAIN, txs=(pays("t1", ("thief", 500)),))
    assert types(theft) == only("destination_mismatch")
    later = replace(theft, acts=(replace(ASKED, at=65 * MINUTE, written=65 * MINUTE), OK))
    assert types(later) == only("unapproved")


def test_policies_for_how_exchanges_work() -> None:
    engine = replace(PLAIN, acts=(ASKED,), policies=(Policy("engine", automatic=True),))
    assert not types(engine)
    others = replace(PLAIN, acts=(ASKED,), policies=(Policy("engine", automatic=True, requesters=("robot",)),))
    assert types(others) == only("quorum_not_met")
    capped = replace(PLAIN, acts=(ASKED,), policies=(Policy("c", automatic=True, max_total=499, window=HOUR),))
    assert types(capped) == only("quorum_not_met")
    assert not types(replace(capped, policies=(replace(capped.policies[0], max_total=500),)))
    either = Policy("either", any_of=(Group(2, department="office"), Group(1, department="compliance")))
    assert types(replace(PLAIN, policies=(either,))) == only("quorum_not_met")


def test_a_report_that_differs_is_told() -> None:
    theft = with_acts()
    found = Found("t1", "hot", BTC, "unapproved", "violation", "critical", open=True)
    assert not differences(theft, Report(frozenset({found}), {"t1": Told("open")}))
    assert [d.kind for d in differences(theft, Report(frozenset(), {}))] == ["missed"]
    assert [d.kind for d in differences(PLAIN, Report(frozenset({found}), {}))] == ["false alarm"]
    closed = Report(frozenset({replace(found, open=False)}), {"t1": Told("closed", "system")})
    assert [d.kind for d in differences(theft, closed)] == ["alert closed, violation left", "missed"]
    unsure = Report(frozenset({replace(found, verdict="undetermined")}), {})
    assert "undetermined without cause" in [d.kind for d in differences(theft, unsure)]


def test_the_generator_tells_every_story_and_the_same_seed_the_same_world() -> None:
    worlds = [make_world(seed) for seed in range(400)]
    assert worlds[:20] == [make_world(seed) for seed in range(20)]
    stories = " ".join(story for world in worlds for story in world.stories)
    for word in ("backdated", "chained", "orphaned: waits", "failed", "shown_otherwise", "is away", "first runs"):
        assert word in stories
    assert {policy.name for world in worlds for policy in world.policies} >= {"engine", "capped", "either", "net"}


JUDGES = ("worlds", "lives", "netting", "acts", "standings", "hearings", "matching", "judging", "comparing")
MAKERS = ("generating", "asking", "paying", "variants")


@pytest.mark.parametrize("module", JUDGES + MAKERS)
def test_the_oracle_knows_nothing_of_the_program(module: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text("utf-8"))
    froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not {name for name in froms | names if name.split(".")[0] in ("walletwatch", "chains")}
