"""BitGo's pending approvals (`GET /api/v2/pendingapprovals`) and transfers as acts, all of the grade `vendor-export`.

Read of a pending approval are `id`, `coin`, `wallet`, `creator`, `createDate`, `state`, `info.type`,
`info.transactionRequest.recipients[{address, amount}]` and `resolvers[{user, date, resolutionType}]`
(developers.bitgo.com, Get pending approval). Amounts there are in base units. A resolver took part: BitGo lists no
others. `resolutionType` names the state that was resolved or reached (`pending`, `approved`, `awaitingSignature` …);
only `rejected`, or being the last of a request that ended rejected, is no approval. `approvalsRequired` is not
believed: our own policies count.

A transfer (`GET /api/v2/{coin}/wallet/{id}/transfer`) of type `send` that names its `pendingApproval` tells the
transaction: `txid`, `date`, and in `history` who created it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from walletwatch.approvals.act_files import make_payload
from walletwatch.approvals.documents import Unreadable, take_text
from walletwatch.approvals.vendors.records import (
    Record,
    RequestTerms,
    VendorAct,
    intent_of,
    take_base_units,
    take_iso,
    take_object,
    take_objects,
    take_word,
)
from walletwatch.domain.withdrawals import ActKind

VENDOR = "bitgo"
REJECTED = "rejected"


def read_approval(record: Record, terms: RequestTerms) -> Iterator[VendorAct]:
    """The acts of a pending approval or of a transfer; none for one of another kind."""
    if "info" in record:
        yield from _pending(record, terms)
    elif take_word(record, "type") == "send" and take_word(record, "pendingApproval") and take_word(record, "txid"):
        yield _broadcast(record, terms)


def _pending(record: Record, terms: RequestTerms) -> Iterator[VendorAct]:
    info = take_object(record, "info")
    kind = take_word(info, "type")
    if kind == "transactionRequestFull":
        raise Unreadable("a request of the type transactionRequestFull is not read")
    if kind != "transactionRequest":
        return
    creator, created = terms.person(VENDOR, take_text(dict(record), "creator")), take_iso(record, "createDate")
    rejected = take_text(dict(record), "state") == REJECTED
    for request_id, intent in _requests(record, take_object(info, "transactionRequest"), terms):
        yield VendorAct(make_payload(ActKind.REQUEST, request_id, creator, created, intent=intent))
        decisions = _decisions(record, rejected=rejected)
        for user, decision, at in decisions:
            yield VendorAct(make_payload(decision, request_id, terms.person(VENDOR, user), at, intent=intent))
        if rejected and not decisions:
            yield VendorAct(make_payload(ActKind.CANCEL, request_id, creator, _ended(record, created), intent=intent))


def _requests(record: Record, asked: Record, terms: RequestTerms) -> Iterator[tuple[str, dict[str, str]]]:
    asset = terms.asset(take_text(dict(record), "coin"))
    wallet = terms.wallets.get(take_word(record, "wallet"), "")
    base = f"{VENDOR}:{take_text(dict(record), 'id', 100)}"
    recipients = take_objects(asked, "recipients")
    if not recipients:
        raise Unreadable("the request names no recipients")
    for n, recipient in enumerate(recipients, 1):
        amount = take_base_units(recipient.get("amount"), "amount")
        intent = intent_of(asset, amount, take_text(recipient, "address"), wallet=wallet)
        yield (f"{base}:{n}" if len(recipients) > 1 else base), intent


def _decisions(record: Record, *, rejected: bool) -> list[tuple[str, ActKind, datetime]]:
    """(user, what they decided, when), by time."""
    found = [(take_iso(r, "date"), take_text(r, "user"), r) for r in take_objects(record, "resolvers", 100)]
    found.sort(key=lambda item: item[:2])
    refused = [_refused(r) for _, _, r in found]
    if rejected and found and not any(refused):
        refused[-1] = True
    kinds = [ActKind.REJECT if no else ActKind.APPROVE for no in refused]
    return [(user, kind, at) for (at, user, _), kind in zip(found, kinds, strict=True)]


def _refused(resolver: dict[str, Any]) -> bool:
    return take_text(resolver, "resolutionType") == REJECTED


def _ended(record: Record, created: datetime) -> datetime:
    return take_iso(record, "updatedAt") if record.get("updatedAt") is not None else created


def _broadcast(record: Record, terms: RequestTerms) -> VendorAct:
    """The request's number is that of a request with one recipient: with several, content has to find them."""
    makers = [h for h in take_objects(record, "history") if h.get("action") == "created" and take_word(h, "user")]
    if not makers:
        raise Unreadable("the transfer does not say who created it")
    request_id = f"{VENDOR}:{take_text(dict(record), 'pendingApproval', 100)}"
    actor = terms.person(VENDOR, take_text(makers[0], "user"))
    txid = take_text(dict(record), "txid")
    return VendorAct(make_payload(ActKind.BROADCAST, request_id, actor, take_iso(record, "date"), txid=txid))
