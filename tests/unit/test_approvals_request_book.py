"""Which request act opens a request, and which ones conflict."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from unit.approvals_samples import AT, ED, INTENT, P256, STRANGER, act_of, approve, request
from walletwatch.approvals.act_files import make_payload, sign_act
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.people import People, Person
from walletwatch.domain.withdrawals import Act

PEOPLE = People(
    (
        Person("treasury-1", "treasury", ("requester", "approver")),
        Person("compliance-1", "compliance", ("approver",)),
    )
)
FIRST = act_of(sign_act(request(), ED, "ed"))
APPROVAL = act_of(sign_act(approve("compliance-1"), P256, "p256"))


def other_request(minutes: int, line: int) -> Act:
    """Another content under the same id."""
    payload = make_payload(
        "request", "W-1", "treasury-1", AT + timedelta(minutes=minutes), intent=INTENT | {"amount": "5"}
    )
    return replace(act_of(sign_act(payload, ED, "ed")), line=line)


def test_a_request_gathers_its_acts_by_time() -> None:
    book = RequestBook(PEOPLE, [APPROVAL, FIRST])
    request_ = book.get("W-1")
    assert request_ is not None
    assert request_.requested == FIRST
    assert set(request_.acts) == {FIRST, APPROVAL}
    assert (len(book), book.conflicts(), book.get("W-2")) == (1, (), None)


def test_an_exact_duplicate_is_nothing() -> None:
    book = RequestBook(PEOPLE, [FIRST])
    assert not book.add(replace(FIRST, line=99))
    assert book.add(APPROVAL)
    assert not book.add(APPROVAL)
    assert book.get("W-1") == RequestBook(PEOPLE, [APPROVAL, FIRST]).get("W-1")


def test_a_forged_copy_does_not_hide_the_good_act() -> None:
    line = sign_act(approve("compliance-1"), STRANGER, "p256", "Ed25519")
    forged = replace(act_of(line), line=1)
    assert (forged.digest, forged.refused) == (APPROVAL.digest, "invalid_signature")
    request_ = RequestBook(PEOPLE, [forged, FIRST, APPROVAL]).get("W-1")
    assert request_ is not None
    assert APPROVAL in request_.acts
    assert forged in request_.acts


def test_the_first_request_stands_and_the_second_is_a_conflict() -> None:
    second = other_request(minutes=5, line=8)
    book = RequestBook(PEOPLE, [second, FIRST])
    [conflict] = book.conflicts()
    assert (conflict.request_id, conflict.stands, conflict.other) == ("W-1", FIRST, second)
    assert book.conflicts("W-1") == book.conflicts()
    assert book.conflicts("W-9") == ()


def test_dating_a_second_request_back_does_not_make_it_the_first() -> None:
    second = other_request(minutes=-30, line=8)
    request_ = RequestBook(PEOPLE, [second, FIRST]).get("W-1")
    assert request_ is not None
    assert request_.requested == FIRST


def test_between_feeds_the_earlier_act_stands() -> None:
    elsewhere = replace(other_request(minutes=-30, line=900), feed="another.jsonl")
    request_ = RequestBook(PEOPLE, [FIRST, elsewhere]).get("W-1")
    assert request_ is not None
    assert request_.requested == elsewhere


def test_a_request_by_somebody_without_the_role_is_none() -> None:
    asked = act_of(sign_act(request("compliance-1"), P256, "p256"))
    forged = act_of(sign_act(request(), STRANGER, "ed"))
    book = RequestBook(PEOPLE, [asked, forged, APPROVAL])
    assert book.get("W-1") is None
    assert set(book.void("W-1")) == {asked, forged}
    assert book.void("W-2") == ()
    assert list(book.worth(FIRST.intent.asset, FIRST.intent.amount)) == []  # type: ignore[union-attr]


def test_a_sound_request_stands_before_one_whose_hash_is_wrong() -> None:
    wrong = replace(act_of(sign_act(request() | {"intent_hash": "sha256:" + "0" * 64}, ED, "ed")), line=1)
    assert wrong.refused == "content_mismatch"
    alone, both = RequestBook(PEOPLE, [wrong]).get("W-1"), RequestBook(PEOPLE, [wrong, FIRST]).get("W-1")
    assert alone is not None
    assert both is not None
    assert (alone.requested, both.requested) == (wrong, FIRST)
