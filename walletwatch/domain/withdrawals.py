"""Requests, the acts on them, and how payments match them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chains.model import Address, AssetId, ChainId, TxId


class ActKind(StrEnum):
    """The kind of an act."""

    REQUEST = "request"
    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    BROADCAST = "broadcast"


class Grade(StrEnum):
    """The evidence for an act, strongest first."""

    SIGNED = "signed"
    """A JWS by a configured key of the person."""
    SAFE_SIGNATURE = "safe-signature"
    """A verified EIP-712 signature of a Safe's owner over the payment; its time is stated by the service."""
    VENDOR_EXPORT = "vendor-export"
    """A statement of the vendor; nothing in the export can be verified."""
    UNSIGNED = "unsigned"
    """A statement of the log's writer."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be paid: `amount` base units of `asset` to `destination`. `hash` is `sha256:` + hex SHA-256 over the
    RFC 8785 canonical JSON of the intent as given in the request.
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
    """One act of the approval log. `at` is when the person acted, `read_at` when the line was read.

    `refused` is the rule type by which the act does not count (`invalid_signature`, `approver_not_authorised` …), as
    far as the act alone shows; `reason` is a text for it. `signed` is False for a feed with `signatures = "none"` and
    for statements of a vendor; see `grade`.
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
    """The grade of an act from a vendor; None for a line of a log."""
    read_late: bool = False
    """Dated in an interval in which its feed was not read, so that only the person vouches for the time."""

    @property
    def grade(self) -> Grade:
        """The evidence for the act."""
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
    """An act that does not count, and why: `rule` is the rule type for it (CONTRACT §3)."""

    act: Act
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Whether one request was approved as its policy asks, for a payment broadcast at a known time.

    `met` is the result. `counted` are the acts that count, one for each person; `refused` those that do not. `missing`
    are texts for the open parts of the quorum. `withdrawn` is the cancel or reject act that ended the request, if any.
    `policy` is the first policy that applies (empty if none does: any one counted approval is then enough) and
    `policy_digest` its SHA-256 over canonical JSON. `explanation` are the steps of the decision as text.
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
    """False if any counted act is unsigned, which is weaker evidence."""

    @property
    def read_late(self) -> bool:
        """Whether the result depends on an act that was dated while its feed was not read."""
        return self.request.requested.read_late or any(act.read_late for act in self.counted)


FIRST_TRANSFER = 1_000_000
"""Ordinals from here on are of single transfers: this plus the transfer's own."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One arrival outside the perimeter: `amount` base units at `address`; `ordinal` is the vout, or on account chains
    the number among the transaction's net receivers.
    """

    ordinal: int
    address: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The same base units read differently: as `payments` in place of `instead_of`, where they came to rest."""

    instead_of: tuple[Payment, ...]
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Spending:
    """All that one transaction paid outside in one asset: the input of matching.

    `broadcast_at` is the earliest of a broadcast act, first sight in a mempool and block time; `from_block_time_only`:
    only the block time is known (Bitcoin's may be two hours off). `family` are transaction ids
    that share an input or nonce with this one, itself included: they share their requests. `seen_at` is the first sight
    in a mempool where there was one; if given, `broadcast_at` may be an earlier block time, which is weaker evidence.
    `fee` is the network fee in base units of `asset`; 0 if it was paid in another asset.
    """

    chain: ChainId
    tx: TxId
    asset: AssetId
    wallets: tuple[str, ...]
    payments: tuple[Payment, ...]
    broadcast_at: datetime
    from_block_time_only: bool = True
    family: tuple[TxId, ...] = ()
    seen_at: datetime | None = None
    fee: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """`request` (by its authorisation) explains `payment`; `by_txid` if a broadcast act named the transaction.

    `rivals` are ids of later requests that would have explained it as well: the choice was ambiguous. `paid_before`
    (base units) is what earlier transactions paid of the request. Where the policy gives leeway, `short` is the amount
    by which the payment is less than the rest of the request, negative if it is more; `part`: more is to come.
    """

    payment: Payment
    authorisation: Authorisation
    by_txid: bool = False
    rivals: tuple[str, ...] = ()
    paid_before: int = 0
    short: int = 0
    part: bool = False


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A request that matches `payment` except for `differs`: `destination` or `amount`."""

    payment: Payment
    authorisation: Authorisation
    differs: str
    by_txid: bool = False


@dataclass(frozen=True, slots=True)
class Reuse:
    """The only request that fits `payment` was already spent by `first_tx`."""

    payment: Payment
    request_id: str
    first_tx: TxId


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The result of matching one `Spending`. `unexplained` payments have no match, near miss or reuse.

    `blind` is why the approvals could not be read (dead feed), or empty. If set, every authorisation rule is
    undetermined, unless the acts already known explain the payment.
    """

    spending: Spending
    matches: tuple[Match, ...] = ()
    near: tuple[NearMiss, ...] = ()
    reused: tuple[Reuse, ...] = ()
    unexplained: tuple[Payment, ...] = ()
    blind: str = ""
    stopped: str = ""
    """Why the search for near misses was cut short, so that there may be nearer ones; or empty."""
    read_as: tuple[Payment, ...] = ()
    """The payments as they were read, where that is not as `spending` has them; or empty."""
    void: tuple[Act, ...] = ()
    """Request acts that would have explained an unexplained payment, but do not count."""


@dataclass(frozen=True, slots=True)
class MatchTerms:
    """How a payment may differ from its request: by `tolerance` base units either way; beyond it as much as the
    transaction's fee may be missing, up to `max_deduction` base units; up to `parts` transactions pay it together.
    """

    tolerance: int = 0
    max_deduction: int = 0
    parts: int = 1
