"""Examples of approvals: payments held against a log of acts by the matching and the policies that judge real ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chains.model import Address, AssetId
from unit.rules_examples import (
    BITCOIN,
    BTC,
    CUSTOMER,
    DMM_PAYEE,
    DMM_THIEF,
    NOON,
    Example,
    ago,
    fires,
    out,
    passes,
    txid,
    unknown,
    world,
)
from unit.rules_facts import World
from walletwatch.approvals.matching import match
from walletwatch.approvals.policies import PolicyHistory
from walletwatch.approvals.quorums import JudgementTime, authorise, authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.people import People, Person
from walletwatch.domain.policies import Policy, Threshold
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Payment, Request, Spending
from walletwatch.rules.facts import AwaitedRequest, InternalTransfer

PEOPLE = People(
    (
        Person("req", "treasury", ("requester", "approver")),
        Person("app-1", "treasury", ("approver",)),
        Person("app-2", "compliance", ("approver",)),
        Person("desk", "support", ()),
    )
)
TWO = Policy("two", quorum=2, max_age=timedelta(hours=24), min_delay=timedelta(seconds=30))
LARGE = Policy("large", quorum=2, min_value=Threshold(100_000 * 10**8, None))
SMALL = Policy("small", quorum=1)
FRESH = (replace(LARGE, max_age=TWO.max_age), replace(SMALL, max_age=TWO.max_age))
SLOW = (replace(LARGE, min_delay=TWO.min_delay), replace(SMALL, min_delay=TWO.min_delay))
ONE_BTC = 10**8
DEAD = "treasury: the file cannot be read"


def act(kind: ActKind, actor: str, secs_ago: int, **more: Any) -> Act:
    digest = hashlib.sha256(repr((kind, actor, secs_ago, more)).encode()).digest()
    return Act(kind, "W-1", actor, ago(secs_ago), digest, "approvals.jsonl", 1, kid=f"{actor}-key", **more)


def ask(amount: int = ONE_BTC, to: Address = CUSTOMER, secs_ago: int = 7200, **more: Any) -> Act:
    intent = Intent(BITCOIN, BTC.id, amount, to, "sha256:" + "1" * 64, **more)
    return act(ActKind.REQUEST, "req", secs_ago, intent=intent, intent_hash=intent.hash)


def yes(actor: str, secs_ago: int = 3600, **more: Any) -> Act:
    return act(ActKind.APPROVE, actor, secs_ago, **{"intent_hash": "sha256:" + "1" * 64, **more})


def refused(rule: str, reason: str, actor: str = "app-2") -> Act:
    return yes(actor, refused=rule, reason=reason)


def no_price(asset: AssetId) -> Price:
    raise Unknown(f"no price of {asset} is known")


def judged(
    *acts: Act,
    paid: Outflow | None = None,
    policies: tuple[Policy, ...] = (TWO,),
    spent: bool = False,
    blind: str = "",
    seen: bool = True,
) -> tuple[Outflow, World]:
    """The payment, and a world in which it was matched to these acts."""
    outflow = paid or out()
    seen_at = outflow.first_seen if seen else None
    spending = Spending(
        BITCOIN, outflow.tx, BTC.id, ("hot",), outflow.payments, outflow.broadcast_at, not seen, seen_at=seen_at
    )
    answer = authoriser(spending, policies=PolicyHistory.of(policies), people=PEOPLE, price_of=no_price)
    earlier = {"W-1": txid("earlier")} if spent else {}
    found = match(spending, RequestBook(PEOPLE, acts), earlier, answer, blind)
    return outflow, world(matches={outflow.tx: found})


FULL = (ask(), yes("app-1"), yes("app-2", 3000))


def three(rule: str, fire: tuple[str, Any], silent: tuple[str, Any], doubt: tuple[str, Any]) -> list[Example]:
    return [
        fires(rule, fire[0], {}, *fire[1]),
        passes(rule, silent[0], {}, *silent[1]),
        unknown(rule, doubt[0], {}, *doubt[1]),
    ]


def in_doubt(bad: Act) -> tuple[Outflow, World]:
    """One good approval and `bad`: enough for a small payment and not for a large one, and no price tells which."""
    return judged(ask(), yes("app-1"), bad, policies=(LARGE, SMALL))


FEW_SATS = out("1.00000001 BTC")
ELSEWHERE = out(to=DMM_THIEF)
FORGED = refused("invalid_signature", "the signature does not fit")
STRANGER = refused("approver_not_authorised", "no key of anybody's", "nobody")
OTHER_HASH = yes("app-2", 3000, intent_hash="sha256:" + "2" * 64)
STALE = yes("app-2", 86_401)
EARLY = ask(secs_ago=90_000)
AFTER = yes("app-2", -1)
HASTY = yes("app-2", 7171)

PAYMENTS = [
    *three(
        "unapproved",
        ("1 BTC left, and no request asks for it", judged()),
        ("a request asks for exactly this, approved by two", judged(*FULL)),
        ("no request is known, and the approval feed cannot be read", judged(blind=DEAD)),
    ),
    *three(
        "destination_mismatch",
        ("the request names 1B6rJ6ZK…QdNM7P; 1B6rJRfj…kdZw7P was paid", judged(ask(to=DMM_PAYEE), paid=ELSEWHERE)),
        ("the address it names was paid", judged(ask(to=DMM_THIEF), paid=ELSEWHERE)),
        ("the same, and the approval feed cannot be read", judged(ask(to=DMM_PAYEE), paid=ELSEWHERE, blind=DEAD)),
    ),
    *three(
        "amount_mismatch",
        ("the request asks for 1 BTC; 1.00000001 were sent", judged(*FULL, paid=FEW_SATS)),
        ("1 BTC was sent", judged(*FULL)),
        ("1.00000001 BTC, and the approval feed cannot be read", judged(*FULL, paid=FEW_SATS, blind=DEAD)),
    ),
    *three(
        "approval_reused",
        ("the only request that fits paid an earlier transaction", judged(*FULL, spent=True)),
        ("the first payment on the request", judged(*FULL)),
        ("a second payment, and the approval feed cannot be read", judged(*FULL, spent=True, blind=DEAD)),
    ),
    *three(
        "quorum_not_met",
        ("one approval of the two that the policy asks for", judged(ask(), yes("app-1"))),
        ("two approvals", judged(*FULL)),
        ("one approval: two are needed above 100,000 USD, and no price", judged(*FULL[:2], policies=(LARGE, SMALL))),
    ),
]

REFUSALS = [
    *three(
        "self_approval",
        ("the requester's own approval is the second", judged(ask(), yes("app-1"), yes("req"))),
        ("two others approved", judged(*FULL)),
        ("the requester's own is the second; whether two are needed hangs on a price", in_doubt(yes("req"))),
    ),
    *three(
        "approver_not_authorised",
        ("the second approval is by a key nobody has", judged(ask(), yes("app-1"), STRANGER)),
        ("the second is by an approver", judged(*FULL)),
        ("a stranger's is the second; whether two are needed hangs on a price", in_doubt(STRANGER)),
    ),
    *three(
        "invalid_signature",
        ("the second approval's signature does not fit", judged(ask(), yes("app-1"), FORGED)),
        ("both signatures fit", judged(*FULL)),
        ("a forged one is the second; whether two are needed hangs on a price", in_doubt(FORGED)),
    ),
    *three(
        "content_mismatch",
        ("the second approval is over other content", judged(ask(), yes("app-1"), OTHER_HASH)),
        ("both are over the request's content", judged(*FULL)),
        ("the second is over other content; whether two are needed hangs on a price", in_doubt(OTHER_HASH)),
    ),
    *three(
        "approval_expired",
        ("the second approval is 24 h 0 min 1 s old; 24 h allowed", judged(EARLY, yes("app-1"), STALE)),
        ("it is exactly 24 h old", judged(EARLY, yes("app-1"), yes("app-2", 86_400))),
        (
            "it is 24 h 0 min 1 s old; whether two are needed hangs on a price",
            judged(EARLY, yes("app-1"), STALE, policies=FRESH),
        ),
    ),
    *three(
        "approved_after_broadcast",
        ("the second approval came a second after the first sight in the mempool", judged(ask(), yes("app-1"), AFTER)),
        ("by Bitcoin's block time alone the same second proves nothing", judged(*FULL[:2], AFTER, seen=False)),
        ("it came after; whether two are needed hangs on a price", in_doubt(AFTER)),
    ),
    *three(
        "approval_too_fast",
        ("the second approval came 29 s after the request; 30 s are needed to read", judged(*FULL[:2], HASTY)),
        ("it came after 30 s", judged(*FULL[:2], yes("app-2", 7170))),
        (
            "it came after 29 s; whether two are needed hangs on a price",
            judged(*FULL[:2], HASTY, policies=SLOW),
        ),
    ),
]

TO_WARM = {"from_roles": ["cold"], "to_roles": ["hot", "warm"]}
VAULT = {"vault": "cold", "warm": "warm", "hot": "hot"}


def moved(*acts: Act, known: bool = True) -> tuple[InternalTransfer, World]:
    """1 BTC from the vault to an address of the warm wallet."""
    payments = (Payment(0, CUSTOMER, ONE_BTC),)
    move = InternalTransfer(BITCOIN, txid("move"), "vault", NOON, BTC.id, ONE_BTC, ("warm",), payments)
    spending = Spending(BITCOIN, move.tx, BTC.id, ("vault",), payments, NOON, from_block_time_only=False)
    answer = authoriser(spending, policies=PolicyHistory.of([TWO]), people=PEOPLE, price_of=no_price)
    found = {move.tx: match(spending, RequestBook(PEOPLE, acts), {}, answer)} if known else {}
    return move, world(matches=found, roles=VAULT)


def awaited(*acts: Act, at: datetime = NOON, watched: bool = True) -> tuple[AwaitedRequest, World]:
    """The request, looked at at `at`."""
    request = RequestBook(PEOPLE, acts).get("W-1")
    assert isinstance(request, Request)
    last = max(a.at for a in acts)
    answer = authorise(
        request, JudgementTime.now(last), policies=PolicyHistory.of([TWO]), people=PEOPLE, price_of=no_price
    )
    approved_at = max((a.at for a in answer.counted), default=None) if answer.met else None
    return AwaitedRequest(BITCOIN, "", at, answer, approved_at, watched), world()


HOUR = {"after": "50m"}
OTHERS = [
    fires("unapproved_move", "1 BTC from cold to warm, and no request for it", TO_WARM, *moved()),
    passes("unapproved_move", "the same, asked for and approved by two", TO_WARM, *moved(*FULL)),
    unknown("unapproved_move", "no approval feed is configured", TO_WARM, *moved(known=False)),
    fires(
        "request_unpaid",
        "approved 50 min 1 s before the latest block, and not paid",
        HOUR,
        *awaited(*FULL, at=NOON + timedelta(seconds=1)),
    ),
    passes("request_unpaid", "approved exactly 50 min before it", HOUR, *awaited(*FULL)),
    unknown("request_unpaid", "of a chain on which nothing is watched", HOUR, *awaited(*FULL, watched=False)),
]

EXAMPLES = PAYMENTS + REFUSALS + OTHERS
