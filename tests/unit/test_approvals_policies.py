"""Policies: their form, their hours, their history in the store, and the leeway they give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from settings_samples import BASE, problems_of

from chains.model import Address
from unit.test_approvals_quorums import ASSET, BTC, PEOPLE, START, TX, approve, ask, intent, missing, request
from walletwatch.approvals.policies import PolicyVersion
from walletwatch.domain.calendars import BusinessHours
from walletwatch.domain.policies import Deduction, Group, Policy, Threshold
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Act, MatchResult, Payment, Spending
from walletwatch.settings import load
from walletwatch.settings.approvals import PolicySettings
from walletwatch.store import Store, open_store
from walletwatch.store.approvals import Allocation
from walletwatch.watch.approval_service import ApprovalService

TOKYO = BusinessHours("Asia/Tokyo", "09:00-18:00", ("mon", "tue", "wed", "thu", "fri"), "JP")
FULL = Policy(
    "full",
    quorum=2,
    groups=(Group(1, "approver", "treasury"), Group(1, department="compliance")),
    min_value=Threshold(100_000 * 10**8),
    max_age=timedelta(hours=24),
    min_delay=timedelta(seconds=30),
    hours=replace(TOKYO, closed=("12-31",)),
    tolerance=(Threshold(546, ASSET),),
    fee_deducted=True,
    max_deduction=Deduction(500, (Threshold(9, ASSET),)),
    parts=3,
    chains=(BTC,),
    assets=(ASSET,),
    wallets=("hot",),
)


HALF = Deduction(50_000, ())


@pytest.mark.parametrize("policy", [Policy("plain"), FULL, replace(FULL, min_value=Threshold(5, ASSET), hours=None)])
def test_a_policy_is_read_back_as_it_was(policy: Policy) -> None:
    again = Policy.from_json(policy.as_json())
    assert (again, again.digest) == (policy, policy.digest)


def test_every_field_of_a_policy_can_be_configured_and_is_kept() -> None:
    """A field without key could not be set; one missing from the document would change policies of the past."""
    names = {one.name for one in fields(Policy) if one.init}
    assert set(PolicySettings.model_fields) - {"days", "holidays", "closed", "timezone"} == names
    full = replace(FULL, requester_may_approve=True)
    assert all(getattr(full, one.name) != one.default for one in fields(Policy) if one.init)
    assert set(full.as_json()) == names


def test_what_a_policy_does_not_use_leaves_its_digest_as_it_was() -> None:
    """Digests stand in findings and evidence packs: a new key must not change those of old policies."""
    assert Policy("plain").digest == "sha256:e44601d185bd3f1f411680ff0b923aa4bb8d71ab61b3fca351a507e6f31d6823"


def test_tolerances_are_of_coins_and_parts_are_counted() -> None:
    with pytest.raises(ValueError, match="tolerances amounts of an asset"):
        Policy("fiat", tolerance=(Threshold(100),))
    with pytest.raises(ValueError, match="parts must be at least 1"):
        Policy("none", parts=0)


# --- hours ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-20T08:59:59+09:00", "outside 09:00-18:00"),
        ("2026-11-20T09:00:00+09:00", ""),
        ("2026-11-20T17:59:59+09:00", ""),
        ("2026-11-20T18:00:00+09:00", "outside 09:00-18:00"),
        ("2026-11-22T12:00:00+09:00", "Sunday"),
        ("2026-11-23T12:00:00+09:00", "public holiday"),
        ("2026-11-20T03:00:00+00:00", ""),
    ],
)
def test_approvals_count_in_business_hours_alone(moment: str, why: str) -> None:
    """23 November is a holiday in Japan, a Monday in 2026."""
    at = datetime.fromisoformat(moment).astimezone(UTC)
    given = approve("tre", (at - START) / timedelta(minutes=1))
    wanted = replace(request(given), requested=replace(request().requested, at=at - timedelta(hours=1)))
    answer = ask(wanted, Policy("day", hours=TOKYO), broadcast=(at - START) / timedelta(minutes=1) + 5)
    assert answer.met == (not why)
    if why:
        (refused,) = answer.refused
        assert refused.rule == "approver_not_authorised"
        assert why in refused.reason


def test_a_year_the_calendar_does_not_cover_is_no_business() -> None:
    late = datetime(2199, 3, 4, 3, tzinfo=UTC)
    minute = (late - START) / timedelta(minutes=1)
    answer = ask(request(approve("tre", minute)), Policy("day", hours=TOKYO), broadcast=minute + 1)
    assert not answer.met


def test_hours_and_leeway_are_read_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    written = (
        '\n[[approval_policy]]\nname = "day"\nquorum = 1\nhours = "09:00-18:00"\n'
        'days = ["mon", "fri"]\nholidays = "JP"\n'
        'timezone = "Asia/Tokyo"\ntolerance = ["0.00000546 BTC"]\nfee_deducted = true\n'
        'max_deduction = ["0.5 %", "0.001 BTC", "20 USD"]\nparts = 2\n'
    )
    path.write_text(BASE + written, encoding="utf-8")
    (policy,) = load(path, environ={"KEY": "k"}).approval_policies()
    assert policy.hours == BusinessHours("Asia/Tokyo", "09:00-18:00", ("mon", "fri"), "JP")
    assert [(t.units, str(t.asset)) for t in policy.tolerance] == [(546, str(ASSET))]
    assert (policy.fee_deducted, policy.parts) == (True, 2)
    limits = (Threshold(100_000, ASSET), Threshold(20 * 10**8))
    assert policy.max_deduction == Deduction(500, limits)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('hours = "9-18"', "hours are written like"),
        ('hours = "09:00-09:00"', "different times"),
        ('days = ["monday"]', "must list days"),
        ('max_deduction = ["1 %"]', "without fee_deducted"),
        ("fee_deducted = true\nmax_deduction = []", "a share, amounts, or both"),
        ('fee_deducted = true\nmax_deduction = ["1 %", "2 %"]', "a share, amounts, or both"),
        ('fee_deducted = true\nmax_deduction = ["101 %"]', "at most 100 %"),
        ('fee_deducted = true\nmax_deduction = ["-1 %"]', "not an amount"),
        ('fee_deducted = true\nmax_deduction = ["1 XYZ"]', "XYZ"),
        ('holidays = "XX"', "no holiday calendar"),
        ('closed = ["2026-02-30"]', "day is out of range"),
        ('tolerance = ["1 USD"]', "must be an amount of an asset"),
        ('tolerance = ["1 DOGE"]', "no asset is called"),
        ("parts = 0", "greater than or equal to 1"),
    ],
)
def test_wrong_hours_and_leeway_are_told(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "w.toml"
    path.write_text(BASE + f'\n[[approval_policy]]\nname = "p"\nquorum = 1\n{line}\n', encoding="utf-8")
    assert any(says in told for _, _, told in problems_of(path))


# --- history ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'watch.db'}", lambda: START + timedelta(hours=2))
    opened.upgrade()
    yield opened
    opened.close()


def desk_of(*policies: Policy) -> ApprovalService:
    return ApprovalService(PEOPLE, policies, lambda asset, _at: missing(asset), configured=True)


def keep_acts(store: Store, *acts: Act) -> None:
    with store.transaction() as unit:
        for given in acts:
            unit.approvals.add_act(given, unit.now)


def standing(desk: ApprovalService, store: Store, minute: float = 180) -> bool:
    with store.reading() as unit:
        desk.refresh(unit)
    wanted = desk.book.get("W-1")
    assert wanted is not None
    return desk.standing(wanted, START + timedelta(minutes=minute)).met


def test_what_was_approved_before_a_policy_changed_stays_approved(store: Store) -> None:
    """A policy made stricter on Tuesday must not turn Monday's approved payments into violations, and one made laxer
    must not heal them: the judgement can be repeated years later from what the store keeps.
    """
    lax, strict = Policy("all", quorum=1), Policy("all", quorum=2)
    with store.transaction() as unit:
        desk_of(lax).keep_policies(unit)
    keep_acts(store, request().requested, approve("tre", 10))
    with store.transaction() as unit:
        desk_of(strict).keep_policies(unit)
    for again in (desk_of(strict), desk_of(strict)):
        assert standing(again, store)
    keep_acts(store, replace(approve("com", 130), request_id="W-1"))
    with store.reading() as unit:
        versions = unit.approvals.policies()
    assert [v.since for v in versions] == [None, START + timedelta(hours=2)]
    assert [PolicyVersion.from_document(v.document, v.since).policies for v in versions] == [(lax,), (strict,)]
    assert [v.digest for v in versions] == [PolicyVersion((p,)).digest for p in (lax, strict)]


def test_the_same_policies_are_kept_once(store: Store) -> None:
    for _ in range(3):
        with store.transaction() as unit:
            desk_of(FULL).keep_policies(unit)
    with store.reading() as unit:
        assert len(unit.approvals.policies()) == 1
        (entry,) = [e for e in unit.audit.entries() if e.action == "policies.changed"]
    assert orjson.loads(entry.payload)["digest"] == PolicyVersion((FULL,)).digest


def test_policies_that_nobody_kept_yet_count_from_now_on(store: Store) -> None:
    """A command run with a changed file before the daemon has taken it up."""
    with store.transaction() as unit:
        desk_of(Policy("all", quorum=1)).keep_policies(unit)
    keep_acts(store, request().requested, approve("tre", 10))
    assert standing(desk_of(Policy("all", quorum=2)), store)


# --- leeway through the store -----------------------------------------------------------------------------------------


def pay(desk: ApprovalService, store: Store, tx: bytes, amount: int, fee: int = 0) -> MatchResult:
    place: Address = intent().destination
    payments = (Payment(0, place, amount),)
    at = START + timedelta(minutes=60)
    spending = Spending(BTC, tx, ASSET, ("hot",), payments, at, from_block_time_only=False, family=(tx,), fee=fee)
    with store.transaction() as unit:
        desk.refresh(unit)
        result = desk.match_spending(unit, spending)
        desk.allocate(unit, result, tx)
    return result


def test_one_request_is_paid_in_parts_and_never_beyond_it(store: Store) -> None:
    desk = desk_of(Policy("parts", parts=3))
    keep_acts(store, request().requested, approve("tre", 10))
    first, second, over, rest = (pay(desk, store, bytes([n]) * 32, amount) for n, amount in enumerate((60, 30, 11, 10)))
    assert [(m.paid_before, m.short, m.part) for m in first.matches] == [(0, 40, True)]
    assert [(m.paid_before, m.short, m.part) for m in second.matches] == [(60, 10, True)]
    assert over.matches == ()
    assert [(m.paid_before, m.short, m.part) for m in rest.matches] == [(90, 0, False)]
    assert pay(desk, store, b"\x09" * 32, 1).matches == ()


def test_payments_kept_before_amounts_were_used_up_the_whole(store: Store) -> None:
    keep_acts(store, request().requested, approve("tre", 10))
    with store.transaction() as unit:
        unit.approvals.allocate([Allocation(BTC, b"\x08" * 32, ASSET, 0, "W-1", b"\x08" * 32)])
        assert unit.approvals.paid_by_others("W-1", TX) == (None, 1)
    assert pay(desk_of(Policy("parts", parts=3)), store, TX, 1).matches == ()


@pytest.mark.parametrize(
    ("policy", "amount", "fee", "explained"),
    [
        (Policy("exact"), 99, 5, False),
        (Policy("dust", tolerance=(Threshold(1, ASSET),)), 99, 0, True),
        (Policy("dust", tolerance=(Threshold(1, ASSET),)), 101, 0, True),
        (Policy("dust", tolerance=(Threshold(1, ASSET),)), 98, 0, False),
        (Policy("fee", fee_deducted=True, max_deduction=HALF), 95, 5, True),
        (Policy("fee", fee_deducted=True, max_deduction=HALF), 94, 5, False),
        (Policy("fee", fee_deducted=True, max_deduction=HALF), 100, 5, True),
        (Policy("fee", fee_deducted=True, max_deduction=HALF), 101, 5, False),
        (Policy("share", fee_deducted=True, max_deduction=Deduction(2_000, ())), 98, 5, True),
        (Policy("share", fee_deducted=True, max_deduction=Deduction(2_000, ())), 97, 5, False),
        (Policy("amount", fee_deducted=True, max_deduction=Deduction(None, (Threshold(3, ASSET),))), 97, 5, True),
        (Policy("amount", fee_deducted=True, max_deduction=Deduction(None, (Threshold(3, ASSET),))), 96, 5, False),
        (Policy("no price", fee_deducted=True), 99, 5, False),
        (Policy("both", fee_deducted=True, max_deduction=HALF, tolerance=(Threshold(1, ASSET),)), 94, 5, True),
    ],
)
def test_dust_and_fee(store: Store, policy: Policy, amount: int, fee: int, *, explained: bool) -> None:
    keep_acts(store, request().requested, approve("tre", 10))
    result = pay(desk_of(policy), store, TX, amount, fee)
    assert bool(result.matches) == explained
    if explained:
        assert result.matches[0].authorisation.met
        assert result.matches[0].short == 100 - amount
    else:
        assert [n.differs for n in result.near] == ["amount"]


@pytest.mark.parametrize(
    ("btc", "usd", "satoshis"),
    [(10, "50000", 200_000), (1, "50", 1_000_000), (10, "0", 0), (10, None, 0)],
)
def test_the_smallest_limit_of_a_deduction_counts(btc: int, usd: str | None, satoshis: int) -> None:
    """1 % of 10 BTC at 50,000 USD would be 5,000 USD; without a price nobody knows what 100 USD are."""
    price = None if usd is None else Price(ASSET, int(usd) * 10**8, 8, "fixed")
    assert Deduction().units(replace(intent(), amount=btc * 10**8), price) == satoshis


def test_together_payments_rely_on_no_more_fee_than_there_was(store: Store) -> None:
    """Each of two payments lacks the whole fee: one of them was cut by somebody else."""
    other = replace(intent(), hash="sha256:" + "2" * 64)
    second = replace(request().requested, request_id="W-2", intent=other, intent_hash=other.hash, digest=b"\x07" * 32)
    keep_acts(store, request().requested, approve("tre", 10), second)
    desk = desk_of(Policy("fee", fee_deducted=True, max_deduction=HALF))
    payments = tuple(Payment(n, intent().destination, 95) for n in range(2))
    at = START + timedelta(minutes=60)
    spending = Spending(BTC, TX, ASSET, ("hot",), payments, at, from_block_time_only=False, family=(TX,), fee=5)
    with store.transaction() as unit:
        desk.refresh(unit)
        result = desk.match_spending(unit, spending)
    assert len(result.matches) == 1
    assert [n.differs for n in result.near] == ["amount"]
