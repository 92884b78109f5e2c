"""Exports of Fireblocks and BitGo as acts: exactly what they say, marked for what it is worth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.vendors_samples import (
    ASKER,
    BTC_PAYEE,
    FIRST,
    PAYEE,
    SECOND,
    Export,
    authorised,
    bitgo,
    fireblocks,
    resolver,
    told,
)
from walletwatch.approvals.act_sources import FeedUnreadable
from walletwatch.approvals.documents import Unreadable
from walletwatch.approvals.vendors.exports import MAX_DEPTH, PAGE, parse_records
from walletwatch.approvals.vendors.records import take_base_units, take_units
from walletwatch.domain.withdrawals import Grade

TX = "0xda53fcf37565b945bb74c839016e77d25a64005aea1be2f4e098adf4c21a6326"
BOTH = ((FIRST, "APPROVED"), (SECOND, "APPROVED"))


@pytest.fixture
def history(tmp_path: Path) -> Export:
    return Export(tmp_path, "fireblocks")


@pytest.fixture
def approvals(tmp_path: Path) -> Export:
    return Export(tmp_path, "bitgo")


# --- Fireblocks -------------------------------------------------------------------------------------------------------


def test_a_transaction_is_a_request_of_its_creator(history: Export) -> None:
    (act,) = history.acts(fireblocks())
    assert told((act,)) == [("request", "treasury-1", "01:00:00")]
    assert act.intent is not None
    assert (act.intent.amount, act.intent.destination.text) == (15 * 10**17, PAYEE)
    assert (str(act.intent.asset), act.intent.wallet) == ("eip155:1/slip44:60", "eth-hot")
    assert (act.request_id, act.grade, act.signed, act.refused) == (
        "fireblocks:569feac0-c2c3-42bb-bb91-378e0fe5cb48",
        Grade.VENDOR_EXPORT,
        False,
        "",
    )


def test_each_user_who_approved_is_an_act_whatever_the_thresholds_say(history: Export) -> None:
    info = authorised(*BOTH) | {"logic": "OR"}
    acts = history.acts(fireblocks(authorizationInfo=info, status="QUEUED"))
    assert told(acts) == [
        ("request", "treasury-1", "01:00:00"),
        ("approve", "treasury-2", "01:01:00"),
        ("approve", "compliance-1", "01:01:00"),
    ]
    assert {a.intent_hash for a in acts} == {acts[0].intent_hash}


def test_what_was_sent_before_it_was_exported_is_dated_by_its_creation(history: Export) -> None:
    """Fireblocks does not say when each user approved; its last change may be the hundredth confirmation."""
    done = fireblocks(status="COMPLETED", txHash=TX, authorizationInfo=authorised(*BOTH), lastUpdated=1_795_395_600_000)
    acts = history.acts(done, minutes=1_440)
    assert told(acts)[1:] == [
        ("approve", "treasury-2", "01:00:00"),
        ("approve", "compliance-1", "01:00:00"),
        ("broadcast", "treasury-1", "01:00:00"),
    ]
    assert acts[-1].at.day == 23
    assert acts[-1].txid == bytes.fromhex(TX[2:])


@pytest.mark.parametrize(
    ("status", "more", "act"),
    [
        ("CANCELLED", {}, ("cancel", "treasury-1")),
        ("BLOCKED", {}, ("cancel", "treasury-1")),
        ("REJECTED", {"rejectedBy": SECOND}, ("reject", "compliance-1")),
        ("QUEUED", {"authorizationInfo": authorised((FIRST, "REJECTED"))}, ("reject", "treasury-2")),
    ],
)
def test_what_was_refused_is_withdrawn(
    history: Export, status: str, more: dict[str, Any], act: tuple[str, str]
) -> None:
    acts = history.acts(fireblocks(status=status, **more))
    assert (acts[-1].kind.value, acts[-1].actor) == act


def test_several_destinations_are_several_requests(history: Export) -> None:
    targets = [
        {"destinationAddress": PAYEE, "amount": "0.5", "amountUSD": 1, "destination": {"type": "ONE_TIME_ADDRESS"}},
        {"destinationAddress": PAYEE, "amount": 0.25, "destination": {"type": "ONE_TIME_ADDRESS"}},
    ]
    acts = history.acts(fireblocks(destinations=targets, destinationAddress=""))
    assert [(a.request_id[-2:], a.intent and a.intent.amount) for a in acts] == [
        (":1", 5 * 10**17),
        (":2", 25 * 10**16),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "CONTRACT_CALL"},
        {"operation": "RAW"},
        {"source": {"type": "UNKNOWN", "id": ""}},
        {"destinationAddress": ""},
    ],
)
def test_deposits_calls_and_what_is_not_filled_in_yet_are_no_acts(history: Export, changes: dict[str, Any]) -> None:
    assert history.acts(fireblocks(**changes)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assetId": "DOGE"}, "asset 'DOGE' of the vendor is not in `assets`"),
        ({"destinationAddress": "0x12"}, "destination"),
        ({"destinationAddress": "", "status": "COMPLETED"}, "does not say to which destinationAddress"),
        ({"amountInfo": {"requestedAmount": "1.0000000000000000001"}}, "more than 18 decimal places"),
        ({"amountInfo": {"requestedAmount": "1e3"}}, "no decimal amount"),
        ({"amountInfo": {"requestedAmount": "-1"}}, "no decimal amount"),
        ({"amountInfo": {}, "requestedAmount": None, "amount": None}, "no decimal amount"),
        ({"createdAt": "yesterday"}, "createdAt is no time"),
        ({"createdBy": None}, "createdBy must be a text"),
        ({"authorizationInfo": []}, "authorizationInfo is no object"),
        ({"authorizationInfo": {"groups": {}}}, "groups is no list"),
    ],
)
def test_a_record_that_is_not_exact_is_kept_and_told(history: Export, changes: dict[str, Any], words: str) -> None:
    (bad,) = history.malformed(fireblocks(**changes))
    assert words in bad.error
    assert json.loads(bad.raw)["id"] == fireblocks()["id"]


def test_a_number_of_the_export_is_read_as_it_is_written(history: Export) -> None:
    """0.1 + 0.2 and 1.005 are not what a float makes of them."""
    text = json.dumps([fireblocks(amountInfo=None)]).replace("1.5", "0.300000000000000004")
    history.write_text(text)
    taken = history.look()
    assert taken is not None
    assert taken.acts[0].intent is not None
    assert taken.acts[0].intent.amount == 300_000_000_000_000_004


def test_somebody_unknown_is_nobody_of_ours_whatever_they_call_themselves(history: Export) -> None:
    acts = history.acts(fireblocks(createdBy="treasury-1", authorizationInfo=authorised(("compliance-1", "APPROVED"))))
    assert [(a.actor, a.refused) for a in acts] == [
        ("fireblocks:treasury-1", "approver_not_authorised"),
        ("fireblocks:compliance-1", "approver_not_authorised"),
    ]


# --- BitGo ------------------------------------------------------------------------------------------------------------


def test_a_pending_approval_is_a_request_and_its_resolvers_approve(approvals: Export) -> None:
    resolvers = [resolver(SECOND, "01:20:00", "approved"), resolver(FIRST, "01:10:00", "pending")]
    acts = approvals.acts(bitgo(state="approved", resolvers=resolvers))
    assert told(acts) == [
        ("request", "treasury-1", "01:00:00"),
        ("approve", "treasury-2", "01:10:00"),
        ("approve", "compliance-1", "01:20:00"),
    ]
    assert acts[0].intent is not None
    assert (acts[0].intent.amount, acts[0].intent.destination.text, acts[0].intent.wallet) == (
        150_000_000,
        BTC_PAYEE,
        "btc-hot",
    )
    assert {a.grade for a in acts} == {Grade.VENDOR_EXPORT}


@pytest.mark.parametrize(
    ("resolvers", "last"),
    [
        ([resolver(FIRST, "01:10:00"), resolver(SECOND, "01:20:00", "rejected")], ("reject", "compliance-1")),
        ([resolver(FIRST, "01:10:00"), resolver(SECOND, "01:20:00")], ("reject", "compliance-1")),
        ([], ("cancel", "treasury-1")),
    ],
)
def test_a_request_that_ended_rejected_is_withdrawn(
    approvals: Export, resolvers: list[dict[str, Any]], last: tuple[str, str]
) -> None:
    acts = approvals.acts(bitgo(state="rejected", resolvers=resolvers))
    assert (acts[-1].kind.value, acts[-1].actor) == last
    assert [a.kind.value for a in acts[1:-1]] == ["approve"] * (len(resolvers) - 1)


def test_a_transfer_tells_the_transaction_of_its_request(approvals: Export) -> None:
    transfer = {
        "id": "65568688e8a2f3",
        "coin": "btc",
        "type": "send",
        "txid": TX[2:],
        "date": "2026-11-22T01:30:00.000Z",
        "pendingApproval": bitgo()["id"],
        "history": [{"date": "2026-11-22T01:00:00.000Z", "action": "created", "user": ASKER}],
    }
    (act,) = approvals.acts(transfer, {**transfer, "id": "other", "type": "receive"})
    assert (act.kind.value, act.request_id, act.actor) == ("broadcast", f"bitgo:{bitgo()['id']}", "treasury-1")
    assert act.txid == bytes.fromhex(TX[2:])


def test_other_approvals_than_of_withdrawals_are_no_acts(approvals: Export) -> None:
    assert approvals.acts(bitgo(info={"type": "userChangeRequest", "userChangeRequest": {}})) == ()


def asked(**changes: Any) -> dict[str, Any]:
    recipient = {"address": BTC_PAYEE, "amount": "1"} | changes
    return bitgo(info={"type": "transactionRequest", "transactionRequest": {"recipients": [recipient]}})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (asked(amount="1.5"), "more than 0 decimal places"),
        (asked(amount=2**53), "above 2**53"),
        (asked(amount=True), "no decimal amount"),
        (asked(address="nowhere"), "destination"),
        (bitgo(coin="doge"), "not in `assets`"),
        (bitgo(info={"type": "transactionRequest"}), "names no recipients"),
        (bitgo(info={"type": "transactionRequestFull"}), "is not read"),
        (bitgo(createDate="2026-11-22T01:00:00"), "no time with an offset"),
        (bitgo(resolvers=[{"user": FIRST}]), "date must be a text"),
    ],
)
def test_a_request_that_is_not_exact_is_told(approvals: Export, record: dict[str, Any], words: str) -> None:
    (error,) = approvals.errors(record)
    assert words in error


# --- exports as files -------------------------------------------------------------------------------------------------


def test_a_newer_export_tells_only_what_changed(history: Export) -> None:
    other = fireblocks(id="other")
    assert len(history.acts(fireblocks(), other)) == 2
    assert history.look() is None
    later = history.acts(fireblocks(authorizationInfo=authorised(BOTH[0]), lastUpdated=1_795_309_380_000), other)
    assert told(later) == [("request", "treasury-1", "01:00:00"), ("approve", "treasury-2", "01:03:00")]
    assert [a.line for a in later] == [1, 1]
    assert history.acts(other) == ()


def test_a_record_that_was_malformed_keeps_its_number_when_it_is_mended(history: Export) -> None:
    (bad,) = history.malformed(fireblocks(assetId="DOGE"))
    (act,) = history.acts(fireblocks())
    assert bad.line == act.line == 1


def test_a_long_export_is_read_in_pages(history: Export) -> None:
    history.write(*(fireblocks(id=f"tx-{n}") for n in range(PAGE + 2)))
    first, second = history.look(), history.look()
    assert first is not None
    assert second is not None
    assert (len(first.acts), first.more, len(second.acts), second.more) == (PAGE, True, 2, False)
    assert history.look() is None


def test_what_is_no_export_is_unreadable_and_is_read_when_it_is_whole(history: Export) -> None:
    with pytest.raises(FeedUnreadable, match="No such file"):
        history.look()
    for text in ("[{", '"x"', '[{"id":1,"id":2}]', "[NaN]", "[" * (MAX_DEPTH + 1)):
        history.write_text(text)
        with pytest.raises(FeedUnreadable, match=str(history.path)):
            history.look()
    assert len(history.acts(fireblocks())) == 1


def test_the_forms_in_which_records_come() -> None:
    one = b'{"id": "a"}'
    for raw in (b"[%s]" % one, b'{"results": [%s], "count": 1}' % one, b'{"pendingApprovals":[%s]}' % one, one):
        assert parse_records(raw) == [{"id": "a"}]
    assert parse_records(one + b"\n" + one + b"\n") == [{"id": "a"}, {"id": "a"}]
    with pytest.raises(Unreadable):
        parse_records(b"3")


@given(st.integers(0, 2**256 - 1), st.integers(0, 18))
def test_amounts_go_through_decimals_exactly(units: int, decimals: int) -> None:
    text = f"{units // 10**decimals}.{units % 10**decimals:0{decimals}d}" if decimals else str(units)
    assert take_units(text, decimals, "amount") == units
    assert take_units(Decimal(text), decimals, "amount") == units
    assert take_base_units(str(units), "amount") == units


@pytest.mark.parametrize("value", [Decimal("1e999999"), Decimal(-1), True, None, [], "0x10", "1_000", " 1", "\u0661"])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(Unreadable):
        take_units(value, 18, "amount")
