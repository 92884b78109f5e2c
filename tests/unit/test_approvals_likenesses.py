"""Names that look alike, and one key of two people: each made one person pass for several."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chains.registry import parse_address
from unit.approvals_samples import ED, NOW, act_of, approve, error_of, request
from walletwatch.approvals.act_files import sign_act
from walletwatch.approvals.acts import Malformed, parse_act
from walletwatch.approvals.signatures import KeyRing
from walletwatch.domain.people import People, Person, PersonKey
from walletwatch.domain.withdrawals import Act

LOOKALIKES = [
    "W-1\u200b",
    "\uff37-1",
    "W\u20101",
    "W\u20111",
    "W\u20131",
    "W-1 ",
    " W-1",
    "W-1\u00a0",
    "W\u00ad-1",
    "W-1\ufe0f",
]


@pytest.mark.parametrize("name", LOOKALIKES)
@pytest.mark.parametrize("member", ["request_id", "actor"])
def test_what_only_looks_like_a_known_name_is_malformed(name: str, member: str) -> None:
    """Five requests that all read `W-1` on a screen were five requests, each to be paid."""
    assert member in error_of(sign_act(approve() | {member: name}, ED, "ed"))


@pytest.mark.parametrize("name", LOOKALIKES)
@pytest.mark.parametrize("member", ["wallet", "customer"])
def test_an_intent_names_wallet_and_customer_as_exactly(name: str, member: str) -> None:
    payload = request()
    payload["intent"] = payload["intent"] | {member: name}
    assert member in error_of(json.dumps(payload).encode())


@pytest.mark.parametrize("name", ["W-1", "出金-1042", "Größe 7", "a.b_c@d+e"])
def test_names_of_every_script_stay_good(name: str) -> None:
    assert act_of(sign_act(approve() | {"request_id": name}, ED, "ed")).request_id == name


def test_one_key_of_two_people_signs_for_neither() -> None:
    """Two of two was met by one signer whose public key stood under two persons and two key ids."""
    public = {name: ED[name] for name in ("kty", "crv", "x")}
    keys = [PersonKey("ed", public), PersonKey("again", dict(public))]
    owners = zip(("treasury-1", "cfo"), keys, strict=True)
    people = People(tuple(Person(name, "finance", ("approver",), (key,)) for name, key in owners))
    for actor, kid in (("treasury-1", "ed"), ("cfo", "again")):
        line = sign_act(approve(actor), ED, kid)
        act = _parse(line, people)
        assert act.refused == "approver_not_authorised"
        assert act.reason == "cfo and treasury-1 have one and the same key, so it does not tell who signed"


def test_two_keys_of_one_person_may_be_the_same() -> None:
    public = {name: ED[name] for name in ("kty", "crv", "x")}
    keys = (PersonKey("ed", public), replace(PersonKey("ed", public), kid="2027"))
    people = People((Person("treasury-1", "t", ("approver",), keys),))
    assert _parse(sign_act(approve(), ED, "ed"), people).refused == ""


def _parse(line: bytes, people: People) -> Act:
    act = parse_act(
        line,
        feed="f",
        line_no=1,
        signatures="required",
        people=KeyRing(people),
        parse_address=parse_address,
        read_at=NOW,
    )
    assert not isinstance(act, Malformed), act
    return act
