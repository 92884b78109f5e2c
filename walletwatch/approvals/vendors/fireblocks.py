"""Fireblocks' transaction history (`GET /v1/transactions`) as acts, all of the grade `vendor-export`.

Read are `id`, `status`, `operation`, `assetId`, `source`, `destinationAddress` or `destinations`, `amountInfo`,
`createdAt`, `lastUpdated` (milliseconds), `createdBy`, `rejectedBy`, `customerRefId`, `txHash`, and of
`authorizationInfo` `{allowOperatorAsAuthorizer, logic, groups: [{th, users: {userId: status}}]}` every user whose
status is APPROVED or REJECTED (developers.fireblocks.com, Transaction Authorization Objects). Thresholds and logic
are not believed: our own policies count.

Fireblocks does not say *when* each user approved. While nothing was sent the record's last change is taken, so that
an export that is renewed each minute tells it nearly; once something was sent, the record's creation: an approval can
only have come after it, and is then rather too old than too new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from walletwatch.approvals.act_files import make_payload
from walletwatch.approvals.documents import Unreadable, take_text
from walletwatch.approvals.vendors.records import (
    Record,
    RequestTerms,
    VendorAct,
    intent_of,
    take_millis,
    take_object,
    take_objects,
    take_units,
    take_word,
)
from walletwatch.domain.withdrawals import ActKind

VENDOR = "fireblocks"
_UNSENT = frozenset(
    {
        "SUBMITTED",
        "PENDING_AML_SCREENING",
        "PENDING_ENRICHMENT",
        "PENDING_AUTHORIZATION",
        "QUEUED",
        "PENDING_SIGNATURE",
        "PENDING_3RD_PARTY_MANUAL_APPROVAL",
        "PENDING_3RD_PARTY",
        "PENDING_CONSOLE_APPROVAL",
        "CANCELLING",
        "CANCELLED",
        "REJECTED",
        "BLOCKED",
    }
)
_ENDED = {
    "CANCELLED": ActKind.CANCEL,
    "CANCELLING": ActKind.CANCEL,
    "REJECTED": ActKind.REJECT,
    "BLOCKED": ActKind.CANCEL,
}
_MOST_GROUPS, _MOST_USERS = 100, 1_000


@dataclass(frozen=True, slots=True)
class _Part:
    """One destination of a transaction: a request of its own."""

    request_id: str
    intent: dict[str, str]


def read_transaction(record: Record, terms: RequestTerms) -> Iterator[VendorAct]:
    """The acts of one transaction; none for a deposit, for what is no transfer, or while its destination is open."""
    if take_word(record, "operation") != "TRANSFER" or take_object(record, "source").get("type") != "VAULT_ACCOUNT":
        return
    status, created = take_text(dict(record), "status"), take_millis(record, "createdAt")
    creator = take_text(dict(record), "createdBy")
    changed = take_millis(record, "lastUpdated") if record.get("lastUpdated") is not None else created
    sent = take_word(record, "txHash")
    acted = changed if status in _UNSENT and not sent else created
    for part in _parts(record, terms, settled=bool(sent) or status not in _UNSENT):
        yield _say(ActKind.REQUEST, part, terms.person(VENDOR, creator), created)
        for user, decision in sorted(_decisions(record).items()):
            yield _say(decision, part, terms.person(VENDOR, user), acted)
        if status in _ENDED:
            by = take_word(record, "rejectedBy") or creator
            yield _say(_ENDED[status], part, terms.person(VENDOR, by), acted)
        if sent:
            yield _say(ActKind.BROADCAST, part, terms.person(VENDOR, creator), changed, txid=sent)


def _say(kind: ActKind, part: _Part, actor: str, at: datetime, *, txid: str = "") -> VendorAct:
    return VendorAct(make_payload(kind, part.request_id, actor, at, intent=part.intent, txid=txid))


def _parts(record: Record, terms: RequestTerms, *, settled: bool) -> Iterator[_Part]:
    asset = terms.asset(take_text(dict(record), "assetId"))
    wallet = terms.wallets.get(str(take_object(record, "source").get("id", "")), "")
    customer, base = take_word(record, "customerRefId"), f"{VENDOR}:{take_text(dict(record), 'id', 100)}"
    several = take_objects(record, "destinations")
    for n, target in enumerate(several or [dict(record)], 1):
        address = take_word(target, "destinationAddress")
        if not address and settled:
            raise Unreadable("it was sent, and does not say to which destinationAddress")
        if not address:
            continue  # a vault's own address is filled in when the transaction is made
        amount = take_units(_amount(target), asset.decimals, "amount")
        intent = intent_of(asset, amount, address, wallet=wallet, customer=customer)
        yield _Part(f"{base}:{n}" if several else base, intent)


def _amount(target: Record) -> Any:
    """What was asked for, which stays as it is; `netAmount` is told only when all is over."""
    told = take_object(target, "amountInfo")
    found = [told.get("requestedAmount"), told.get("amount"), target.get("requestedAmount"), target.get("amount")]
    return next((value for value in found if value is not None), None)


def _decisions(record: Record) -> dict[str, ActKind]:
    """What each user decided; one who rejected in any group rejected."""
    found: dict[str, ActKind] = {}
    for group in take_objects(take_object(record, "authorizationInfo"), "groups", _MOST_GROUPS):
        users = take_object(group, "users")
        if len(users) > _MOST_USERS:
            raise Unreadable(f"more than {_MOST_USERS} users in one group")
        for user, status in users.items():
            if status == "REJECTED":
                found[user] = ActKind.REJECT
            elif status == "APPROVED":
                found.setdefault(user, ActKind.APPROVE)
    return found
