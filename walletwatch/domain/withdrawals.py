"""The approval side: what the exchange meant to send, and the signed acts of people on it (CONTRACT §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chains.model import Address, AssetId, ChainId


class ActKind(StrEnum):
    """What a person did."""

    REQUEST = "request"
    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    BROADCAST = "broadcast"


class Grade(StrEnum):
    """Who vouches for an act, strongest first."""

    SIGNED = "signed"
    """The person: a JWS by a key of theirs that the configuration knows."""
    SAFE_SIGNATURE = "safe-signature"
    """The owner of a Safe: an EIP-712 signature over the payment, verified; its time is the service's word."""
    VENDOR_EXPORT = "vendor-export"
    """A vendor's word for it; nothing in the export can be verified."""
    UNSIGNED = "unsigned"
    """Whoever writes the log."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be paid: `amount` base units of `asset` to `destination`. `hash` is `sha256:` + hex SHA-256 over the
    RFC 8785 canonical JSON of the intent as it stood in the request.
    """

    chain: ChainId
    asset: AssetId
    amount: int
    destination: Address
    hash: str
    wallet: str = ""
    memo: str = ""
    customer: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One act of the log, as read. `at` is when the person acted; `read_at` when we read the line.

    `refused` is the rule type by which the act does not count (`invalid_signature`, `approver_not_authorised` …), as
    far as the act alone tells; `reason` says it in words. `signed` is False for a feed with `signatures = "none"` and
    for what only a vendor says; `grade` tells which.
    `digest` is the SHA-256 of the payload: exact duplicates are one act.
    """

    kind: ActKind
    request_id: str
    actor: str
    at: datetime
    digest: bytes
    feed: str
    line: int
    kid: str = ""
    signed: bool = True
    intent: Intent | None = None
    intent_hash: str = ""
    shown_hash: str = ""
    txid: bytes | None = None
    read_at: datetime | None = None
    refused: str = ""
    reason: str = ""
    vouched: Grade | None = None
    """The grade of what a vendor's export says; None for a line of a log."""

    @property
    def grade(self) -> Grade:
        """Who vouches for it."""
        return self.vouched or (Grade.SIGNED if self.signed else Grade.UNSIGNED)


@dataclass(frozen=True, slots=True)
class Request:
    """A withdrawal request: its intent and every act on it, in order of `at`. `requested` is the act that opened it."""

    id: str
    intent: Intent
    requested: Act
    acts: tuple[Act, ...] = ()
    """All acts with this request id, the request act included, counted or refused."""


@dataclass(frozen=True, slots=True)
class RefusedAct:
    """An act that does not count, and why: `rule` is the rule type CONTRACT §3 names for it."""

    act: Act
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Whether one request was approved as its policy asks, for a payment broadcast at a known time.

    `met` is the verdict. `counted` are the acts that count, one a person; `refused` those that do not. `missing` says
    in words which part of the quorum is open. `withdrawn` is the cancel or reject act that ended the request, if any.
    `policy` is the first policy that fits (empty if none does: then any one counted approval is asked for) and
    `policy_digest` its SHA-256 over canonical JSON. `explanation` are the steps of the decision, for a person.
    """

    request: Request
    met: bool
    policy: str
    policy_digest: str
    quorum: int
    counted: tuple[Act, ...]
    refused: tuple[RefusedAct, ...]
    missing: tuple[str, ...] = ()
    withdrawn: Act | None = None
    undetermined: str = ""
    """Why it could not be judged (for example: no price for a fiat threshold), else empty."""
    explanation: tuple[str, ...] = ()
    signed: bool = field(default=True)
    """False if any counted act is unsigned: weaker evidence, and marked so."""
