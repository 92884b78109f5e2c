"""The join of chain and people: which payments of a transaction which requests explain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.domain.withdrawals import Act, Authorisation


@dataclass(frozen=True, slots=True)
class Payment:
    """One arrival outside the perimeter: `amount` base units at `address`; `ordinal` is the vout, or the place among
    the transaction's net receivers on account chains.
    """

    ordinal: int
    address: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What matching looks at: all that one transaction paid outside in one asset.

    `broadcast_at` is the earliest of a broadcast act, first sight in a mempool and block time; `from_block_time_only`
    tells that nothing better than block time is known (Bitcoin's may be two hours off). `family` are transaction ids
    that share an input or nonce with this one, itself included: they share their requests. `seen_at` is the first sight
    in a mempool where there was one; if given, `broadcast_at` may be an earlier block time, which is weaker evidence.
    `fee` is what the network took, in base units of `asset`; 0 where it was paid in another asset.
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

    `rivals` are ids of requests that would have explained it as well and are younger: the choice was ambiguous.
    `paid_before` (base units) is what earlier transactions paid of the request. Where the policy gives leeway, `short`
    is by how much the payment is less than what was still to be paid, below 0 if it is more; `part`: more is to come.
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
    """A request that agrees with `payment` in all but `differs`: `destination` or `amount`."""

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
    """The whole answer for one `Spending`. `unexplained` payments have neither match, near miss nor reuse.

    `blind` is why the approvals could not be consulted (dead feed), else empty: every authorisation rule is then
    undetermined unless what is known already explains the payment.
    """

    spending: Spending
    matches: tuple[Match, ...] = ()
    near: tuple[NearMiss, ...] = ()
    reused: tuple[Reuse, ...] = ()
    unexplained: tuple[Payment, ...] = ()
    blind: str = ""
    stopped: str = ""
    """Why near misses may not be the nearest ones: the search was cut short. Else empty."""
    void: tuple[Act, ...] = ()
    """Request acts that would have explained an unexplained payment, and count for nothing."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a payment may differ from its request: by `tolerance` base units either way; with `fee_deducted` the receiver
    bears fee, so that as much as the transaction's fee may be missing; up to `parts` transactions pay it together.
    """

    tolerance: int = 0
    fee_deducted: bool = False
    parts: int = 1
