"""Small worlds of people, requests and payments, drawn so that contents collide often."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.approvals.policies import PolicyHistory, PolicyVersion
from walletwatch.domain.calendars import BusinessHours
from walletwatch.domain.people import People, Person
from walletwatch.domain.policies import Group, Policy
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Payment, Spending

CHAIN = ChainId.parse("eip155:1")
ASSET = AssetId.parse("eip155:1/slip44:60")
START = datetime(2026, 11, 22, tzinfo=UTC)
BROADCAST = START + timedelta(minutes=60)
TX, OLD_TX, OTHER_TX = (bytes([n]) * 32 for n in (1, 2, 3))
PLACES = tuple(Address(bytes([n]) * 20, "0x" + f"{n:02x}" * 20) for n in (1, 2, 3))
PEOPLE = People(
    (
        Person("req", "treasury", ("requester",)),
        Person("both", "treasury", ("requester", "approver")),
        Person("app-1", "treasury", ("approver",)),
        Person("app-2", "compliance", ("approver",)),
        Person("none", "treasury", ()),
    )
)
POLICIES = (
    PolicyHistory.of([]),
    PolicyHistory.of([Policy("two", quorum=2, groups=(Group(1, department="compliance"),))]),
    PolicyHistory.of([Policy("timed", max_age=timedelta(minutes=40), min_delay=timedelta(minutes=2))]),
    PolicyHistory.of([Policy("hours", hours=BusinessHours("Asia/Tokyo", "09:05-09:40"))]),
    PolicyHistory(
        (PolicyVersion((Policy("lax"),)), PolicyVersion((Policy("strict", quorum=2),), START + timedelta(minutes=25)))
    ),
    PolicyHistory(
        (PolicyVersion((Policy("strict", quorum=2),)), PolicyVersion((Policy("lax"),), START + timedelta(minutes=25)))
    ),
)
WALLETS = ("hot-1", "hot-2")


def no_price(asset: AssetId) -> Price:
    raise AssertionError(f"no policy here asks for a price of {asset}")


def content_hash(*parts: object) -> str:
    return "sha256:" + hashlib.sha256(repr(parts).encode()).hexdigest()


def make_act(kind: ActKind, request_id: str, actor: str, minute: int, line: int, **more: object) -> Act:
    digest = hashlib.sha256(repr((kind, request_id, actor, minute, sorted(more.items(), key=repr))).encode()).digest()
    at = START + timedelta(minutes=minute)
    return Act(kind, request_id, actor, at, digest, "feed", line, kid=actor, **more)  # type: ignore[arg-type]


def make_intent(place: int, amount: int, wallet: str = "") -> Intent:
    return Intent(CHAIN, ASSET, amount, PLACES[place], content_hash(place, amount, wallet), wallet=wallet)


@dataclass(frozen=True)
class World:
    acts: tuple[Act, ...]
    spending: Spending
    spent: dict[str, TxId]
    policies: PolicyHistory
    retired: frozenset[str]


_actors = st.sampled_from(["req", "both", "app-1", "app-2", "none"])
_kinds = st.sampled_from([ActKind.APPROVE, ActKind.APPROVE, ActKind.APPROVE, ActKind.CANCEL, ActKind.BROADCAST])


@st.composite
def acts_on(draw: st.DrawFn, number: int) -> list[Act]:
    """One request and up to four further acts on it; some by people who may not, over other content, or forged."""
    request_id = f"W-{number}"
    wallet = draw(st.sampled_from(["", "", "hot-1", "hot-2", "cold"]))
    intent = make_intent(draw(st.integers(0, 2)), draw(st.integers(1, 3)), wallet)
    asker = draw(st.sampled_from(["req", "req", "both", "none"]))
    minute = draw(st.integers(0, 20))
    acts = [make_act(ActKind.REQUEST, request_id, asker, minute, 10 * number, intent=intent, intent_hash=intent.hash)]
    for n in range(draw(st.integers(0, 4))):
        kind, actor, at = draw(_kinds), draw(_actors), draw(st.integers(0, 70))
        line = 10 * number + n + 1
        if kind is ActKind.BROADCAST:
            acts.append(make_act(kind, request_id, actor, at, line, txid=draw(st.sampled_from([TX, OLD_TX, OTHER_TX]))))
            continue
        digest = draw(st.sampled_from([intent.hash] * 4 + [content_hash("other")]))
        refused = draw(st.sampled_from(["", "", "", "", "invalid_signature"]))
        acts.append(make_act(kind, request_id, actor, at, line, intent_hash=digest, refused=refused))
    return acts


@st.composite
def worlds(draw: st.DrawFn, max_requests: int = 6, max_payments: int = 4) -> World:
    count = draw(st.integers(0, max_requests))
    acts = tuple(act for n in range(count) for act in draw(acts_on(n)))
    payments = tuple(
        Payment(n, PLACES[draw(st.integers(0, 2))], draw(st.integers(1, 3)))
        for n in range(draw(st.integers(1, max_payments)))
    )
    family = draw(st.sampled_from([(), (TX,), (TX, OLD_TX)]))
    wallets = draw(st.sampled_from([("hot-1",), ("hot-1", "hot-2")]))
    spent = draw(st.dictionaries(st.integers(0, max_requests), st.sampled_from([TX, OLD_TX, OTHER_TX]), max_size=2))
    retired = frozenset(f"W-{n}" for n, tx in spent.items() if tx == OTHER_TX and draw(st.booleans()))
    return World(
        acts,
        Spending(CHAIN, TX, ASSET, wallets, payments, BROADCAST, from_block_time_only=False, family=family),
        {f"W-{n}": tx for n, tx in spent.items()},
        draw(st.sampled_from(POLICIES)),
        retired,
    )
