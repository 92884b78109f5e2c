"""Who counts, who does not and why, under which policy."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chains.model import Address, AssetId, ChainId
from walletwatch.approvals.policies import PolicyHistory, PolicyVersion
from walletwatch.approvals.quorums import JudgementTime, authorise
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.people import People, Person
from walletwatch.domain.policies import Group, Policy, PolicyFit, Threshold
from walletwatch.domain.prices import USD_SCALE, Price, Unknown
from walletwatch.domain.withdrawals import Act, ActKind, Authorisation, Intent, Payment, Request, Spending

BTC = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
ASSET = AssetId.parse("bip122:000000000019d6689c085ae165831e93/slip44:0")
PLACE = Address(b"\x00\x14" + bytes(20), "bc1q")
START = datetime(2026, 11, 22, tzinfo=UTC)
TX = b"\x01" * 32
PEOPLE = People(
    (
        Person("req", "treasury", ("requester", "approver")),
        Person("tre", "treasury", ("approver",)),
        Person("tre-2", "treasury", ("approver",)),
        Person("com", "compliance", ("approver",)),
        Person("sign", "operations", ("signer",)),
        Person("desk", "compliance", ("requester",)),
    )
)
LARGE = Policy(
    "large", quorum=2, groups=(Group(1, role="approver", department="treasury"), Group(1, department="compliance"))
)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def intent(**more: Any) -> Intent:
    return Intent(BTC, ASSET, more.pop("amount", 100), PLACE, "sha256:" + "1" * 64, **more)


def act(kind: str, actor: str, minute: float, **more: Any) -> Act:
    digest = hashlib.sha256(repr((kind, actor, minute, more)).encode()).digest()
    return Act(ActKind(kind), "W-1", actor, at(minute), digest, "feed", 1, kid=actor, **more)


def approve(actor: str, minute: float = 10, **more: Any) -> Act:
    return act("approve", actor, minute, **{"intent_hash": intent().hash, **more})


def request(*acts: Act, asked: Intent | None = None, **more: Any) -> Request:
    wanted = asked or intent()
    first = act("request", "req", 0, intent=wanted, intent_hash=wanted.hash, **more)
    found = RequestBook(PEOPLE, [first, *acts]).get("W-1")
    assert found is not None
    return found


def dear(asset: AssetId) -> Price:
    return Price(asset, 95_000 * USD_SCALE, 8, "fixed")


def missing(asset: AssetId) -> Price:
    raise Unknown(f"no price for {asset}")


def ask(
    wanted: Request, *policies: Policy, broadcast: float = 60, price_of: Any = missing, wallets: Any = ()
) -> Authorisation:
    moment = JudgementTime(at(broadcast), at(broadcast), wallets)
    return authorise(wanted, moment, policies=PolicyHistory.of(policies), people=PEOPLE, price_of=price_of)


def refusals(answer: Authorisation) -> list[tuple[str, str]]:
    return [(refused.act.actor, refused.rule) for refused in answer.refused]


def test_without_a_policy_one_approver_is_asked_for() -> None:
    assert not ask(request()).met
    answer = ask(request(approve("tre")))
    assert (answer.met, answer.policy, answer.quorum, answer.missing) == (True, "", 1, ())
    assert answer.explanation[1] == "no policy fits: one approver is asked for"
    assert answer.explanation[-1] == "approved"
    assert answer.signed


def test_a_quorum_counts_persons_and_fills_groups() -> None:
    assert not ask(request(approve("tre"), approve("tre", 11)), LARGE).met
    short = ask(request(approve("tre"), approve("tre-2")), LARGE)
    assert (short.met, short.missing) == (False, ("1 of department compliance (0 so far)",))
    full = ask(request(approve("tre"), approve("com")), LARGE)
    assert (full.met, full.policy, full.policy_digest, full.quorum) == (True, "large", LARGE.digest, 2)
    assert "policy 'large' asks for 2 persons; 1 of role approver in department treasury" in full.explanation[1]


def test_one_person_in_two_groups_counts_for_both_but_is_one_person() -> None:
    groups = (Group(1, role="approver"), Group(1, department="compliance"))
    assert ask(request(approve("com")), Policy("p", quorum=1, groups=groups)).met
    assert ask(request(approve("com")), Policy("p", quorum=2, groups=groups)).missing == ("1 more of 2 persons",)


def test_roles_that_may_approve() -> None:
    assert refusals(ask(request(approve("desk")))) == [("desk", "approver_not_authorised")]
    assert refusals(ask(request(approve("sign")))) == [("sign", "approver_not_authorised")]
    assert refusals(ask(request(approve("gone")))) == [("gone", "approver_not_authorised")]
    assert ask(request(approve("sign")), Policy("p", groups=(Group(1, role="signer"),))).met
    assert not ask(request(approve("desk")), Policy("p", groups=(Group(1, department="compliance"),))).met


def test_the_requester_may_approve_only_where_the_policy_says_so() -> None:
    wanted = request(approve("req"))
    assert refusals(ask(wanted)) == [("req", "self_approval")]
    assert ask(wanted, Policy("p", requester_may_approve=True)).met


def test_other_content_and_another_screen_do_not_count() -> None:
    other = "sha256:" + "2" * 64
    answer = ask(request(approve("tre", intent_hash=other), approve("com", 11, shown_hash=other)))
    assert refusals(answer) == [("tre", "content_mismatch"), ("com", "content_mismatch")]
    assert "other content" in answer.refused[0].reason
    assert "the screen showed" in answer.refused[1].reason
    assert ask(request(approve("com", shown_hash=intent().hash))).met


def test_an_act_refused_when_read_stays_refused() -> None:
    answer = ask(request(approve("tre", refused="invalid_signature", reason="forged")))
    assert refusals(answer) == [("tre", "invalid_signature")]
    assert answer.refused[0].reason == "forged"


@pytest.mark.parametrize(
    ("minute", "policy", "rule"),
    [
        (60, Policy("p"), ""),
        (60.001, Policy("p"), "approved_after_broadcast"),
        (30, Policy("p", max_age=timedelta(minutes=30)), ""),
        (29.999, Policy("p", max_age=timedelta(minutes=30)), "approval_expired"),
        (5, Policy("p", min_delay=timedelta(minutes=5)), ""),
        (4.999, Policy("p", min_delay=timedelta(minutes=5)), "approval_too_fast"),
        (-1, Policy("p", min_delay=timedelta(minutes=5)), "approval_too_fast"),
        (-1, Policy("p"), "approval_too_fast"),
        (0, Policy("p"), ""),
    ],
)
def test_times_at_their_edges(minute: float, policy: Policy, rule: str) -> None:
    answer = ask(request(approve("tre", minute)), policy)
    assert refusals(answer) == ([("tre", rule)] if rule else [])
    assert answer.met == (not rule)


def test_an_expired_request_has_no_valid_approval() -> None:
    for minute, met in ((60, True), (59.999, False)):
        wanted = intent(expires_at=at(minute))
        answer = ask(request(approve("tre"), asked=wanted))
        assert answer.met == met
        assert refusals(answer) == ([] if met else [("tre", "approval_expired")])


@pytest.mark.parametrize("kind", ["reject", "cancel"])
def test_a_withdrawal_before_the_broadcast_ends_the_request(kind: str) -> None:
    end = act(kind, "com", 59, intent_hash=intent().hash)
    answer = ask(request(approve("tre"), end))
    assert (answer.met, answer.withdrawn) == (False, end)
    assert f"{kind} by com" in answer.explanation[-2]
    late = act(kind, "com", 61, intent_hash=intent().hash)
    assert ask(request(approve("tre"), late)).met


def test_a_withdrawal_that_does_not_count_is_shown() -> None:
    forged = act("cancel", "com", 5, intent_hash=intent().hash, refused="invalid_signature")
    stray = act("reject", "com", 6, intent_hash="sha256:" + "2" * 64)
    answer = ask(request(approve("tre"), forged, stray))
    assert answer.met
    assert refusals(answer) == [("com", "invalid_signature"), ("com", "content_mismatch")]


def test_a_request_with_a_wrong_hash_is_never_approved() -> None:
    answer = ask(request(approve("tre"), refused="content_mismatch", reason="hash"))
    assert not answer.met
    assert refusals(answer) == [("req", "content_mismatch")]


def test_the_first_policy_that_fits_applies() -> None:
    large = Policy("large", quorum=2, min_value=Threshold(100_000 * USD_SCALE))
    whole = Policy("coin", quorum=3, min_value=Threshold(200_000_000, ASSET))
    other = Policy("other", quorum=4, min_value=Threshold(1, AssetId.parse("eip155:1/slip44:60")))
    rest = Policy("rest")
    order = (other, whole, large, rest)
    limit = 100_000 * 10**8 // 95_000 + 1
    for amount, name in ((limit - 1, "rest"), (limit, "large"), (200_000_000, "coin")):
        assert ask(request(asked=intent(amount=amount)), *order, price_of=dear).policy == name


def test_selectors_of_a_policy_must_all_fit() -> None:
    wanted = intent(wallet="hot")
    assert Policy("p", chains=(BTC,), assets=(ASSET,), wallets=("hot",)).fits(wanted, (), None) is PolicyFit.YES
    assert Policy("p", chains=(ChainId.parse("eip155:1"),)).fits(wanted, (), None) is PolicyFit.NO
    assert Policy("p", assets=(AssetId.parse("eip155:1/slip44:60"),)).fits(wanted, (), None) is PolicyFit.NO
    assert Policy("p", wallets=("cold",)).fits(wanted, ("cold",), None) is PolicyFit.NO
    assert Policy("p", wallets=("cold",)).fits(intent(), ("cold",), None) is PolicyFit.YES
    assert Policy("p", wallets=("cold",)).fits(intent(), ("cold", "hot"), None) is PolicyFit.UNKNOWN
    assert Policy("p", wallets=("cold",)).fits(intent(), ("hot",), None) is PolicyFit.NO
    assert Policy("p", wallets=("cold",)).fits(intent(), (), None) is PolicyFit.UNKNOWN


def test_a_missing_price_matters_only_where_the_tiers_differ() -> None:
    large = Policy("large", quorum=2, min_value=Threshold(USD_SCALE))
    one = ask(request(approve("tre")), large)
    assert (one.met, one.policy) == (False, "large")
    assert "which of the policies 'large', ''" in one.undetermined
    assert f"no price for {ASSET}" in one.undetermined
    assert one.undetermined in one.explanation
    assert ask(request(approve("tre"), approve("com")), large).met
    none = ask(request(), large)
    assert (none.met, none.undetermined) == (False, "")


def test_an_approval_counts_under_the_policies_in_force_when_it_was_given() -> None:
    strict, lax = Policy("strict", quorum=2), Policy("lax", quorum=1)

    def asked(versions: tuple[PolicyVersion, ...], *acts: Act) -> Authorisation:
        moment = JudgementTime(at(60), at(60))
        history = PolicyHistory(versions)
        return authorise(request(*acts), moment, policies=history, people=PEOPLE, price_of=missing)

    tightened = (PolicyVersion((lax,)), PolicyVersion((strict,), at(30)))
    assert asked(tightened, approve("tre", 10)).policy == "lax"
    assert asked(tightened, approve("tre", 10)).met
    assert not asked(tightened, approve("tre", 40)).met
    assert asked(tightened, approve("tre", 10), approve("com", 40, refused="invalid_signature")).met
    loosened = (PolicyVersion((lax,), at(30)), PolicyVersion((strict,)))
    assert not asked(loosened, approve("tre", 10)).met
    assert asked(loosened, approve("tre", 10), approve("tre", 40)).met
    forged = asked(loosened, approve("tre", 10), approve("com", 40, refused="invalid_signature"))
    assert not forged.met
    assert "under the policies in force when it was given" in forged.missing[0]


def test_unsigned_acts_are_weaker_evidence() -> None:
    assert not ask(request(approve("tre", signed=False))).signed
    assert not ask(request(approve("tre"), signed=False)).signed


def spending(chain: ChainId = BTC, **more: Any) -> Spending:
    return Spending(chain, TX, ASSET, ("hot",), (Payment(0, PLACE, 100),), at(60), **more)


def test_block_time_alone_leaves_two_hours_on_bitcoin() -> None:
    assert JudgementTime.of(spending(), request()) == JudgementTime(at(60), at(180), ("hot",))
    assert JudgementTime.of(spending(ChainId.parse("eip155:1")), request()).approve_by == at(60) + timedelta(seconds=12)
    assert JudgementTime.of(spending(from_block_time_only=False), request()).approve_by == at(60)


def test_better_evidence_than_block_time_ends_the_slack() -> None:
    seen = spending(from_block_time_only=False, seen_at=at(70))
    assert JudgementTime.of(seen, request()) == JudgementTime(at(60), at(70), ("hot",))
    told = act("broadcast", "req", 65, txid=TX)
    assert JudgementTime.of(spending(), request(told)) == JudgementTime(at(60), at(65), ("hot",))
    early = act("broadcast", "req", 50, txid=b"\x02" * 32)
    assert JudgementTime.of(spending(family=(TX, b"\x02" * 32)), request(early)) == JudgementTime(
        at(60), at(50), ("hot",)
    )
    for useless in (
        act("broadcast", "req", 50, txid=b"\x02" * 32),
        act("broadcast", "req", 50, txid=TX, refused="invalid_signature"),
    ):
        assert JudgementTime.of(spending(), request(useless)).broadcast_at == at(60)


@pytest.mark.parametrize(("chain", "secs"), [("eip155:1", 12), ("eip155:56", 3), ("eip155:10", 2)])
def test_the_slot_of_its_block_is_slack(chain: str, secs: int) -> None:
    """On EVM networks an approval 1.5 s into the slot of its block was called later than the broadcast."""
    paid = replace(spending(), chain=ChainId.parse(chain))
    assert JudgementTime.of(paid, request()).approve_by == at(60) + timedelta(seconds=secs)


def test_a_broadcast_act_makes_no_expired_approval_young() -> None:
    """A backdated broadcast act brought an expired approval, a cancelled request and an ended key to pass."""
    old = Policy("p", max_age=timedelta(minutes=30))
    told = act("broadcast", "req", 20, txid=TX)
    wanted = request(approve("tre", 1), told)
    answer = authorise(
        wanted,
        JudgementTime.of(spending(), wanted),
        policies=PolicyHistory.of([old]),
        people=PEOPLE,
        price_of=missing,
    )
    assert (answer.met, refusals(answer)) == (False, [("tre", "approval_expired")])


@pytest.mark.parametrize("kind", ["reject", "cancel"])
def test_nobody_without_a_role_stops_a_payment(kind: str) -> None:
    """A viewer's backdated reject made a good payment critical; a person without any role could cancel."""
    answer = ask(request(approve("tre"), act(kind, "gone", 12, intent_hash=intent().hash)))
    assert (answer.met, answer.withdrawn) == (True, None)
    assert refusals(answer) == [("gone", "approver_not_authorised")]


def test_policies_that_approve_by_silence_are_refused() -> None:
    with pytest.raises(ValueError, match="quorum must be at least 1"):
        Policy("p", quorum=0)
    with pytest.raises(ValueError, match="min must be at least 1"):
        Policy("p", groups=(Group(0),))
    with pytest.raises(ValueError, match="at least one version"):
        PolicyHistory(())


def test_the_digest_tells_policies_apart() -> None:
    assert LARGE.digest == Policy("large", quorum=2, groups=LARGE.groups).digest
    assert len({Policy("p").digest, Policy("p", quorum=2).digest, Policy("p", max_age=timedelta(1)).digest}) == 3
