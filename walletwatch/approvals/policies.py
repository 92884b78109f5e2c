"""What the exchange asks of an approval: tiers by value, asset and wallet, each with its quorum (CONTRACT §2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import rfc8785

from chains.model import AssetId, ChainId
from walletwatch.domain.calendars import BusinessHours
from walletwatch.domain.people import Person
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Intent, MatchTerms

APPROVER = "approver"
"""The role that may approve. A group that names another role lets that role approve too."""


@dataclass(frozen=True, slots=True)
class Group:
    """`min` of the approvers must have this role and this department; an empty one fits everybody."""

    min: int
    role: str = ""
    department: str = ""

    def fits(self, person: Person) -> bool:
        """Whether `person` counts for this group."""
        return self.role in ("", *person.roles) and self.department in ("", person.department)

    def __str__(self) -> str:
        words = [f"role {self.role}" if self.role else "", f"department {self.department}" if self.department else ""]
        return f"{self.min} of {' in '.join(word for word in words if word) or 'anybody'}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on a policy applies: `units` base units of `asset`, or 1e-8 USD where `asset` is None."""

    units: int
    asset: AssetId | None = None


class PolicyFit(Enum):
    """Whether a policy applies to a request. `UNKNOWN`: a price or the paying wallet would decide it."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Policy:
    """One tier. `quorum` counts distinct persons, at least one; `groups` say which of them must be among these.

    Selectors (`chains`, `assets`, `wallets`) that are given must all fit. Raises ValueError for a quorum below one or a
    group that can never be filled.
    """

    name: str
    quorum: int = 1
    groups: tuple[Group, ...] = ()
    min_value: Threshold | None = None
    requester_may_approve: bool = False
    max_age: timedelta | None = None
    min_delay: timedelta | None = None
    hours: BusinessHours | None = None
    """Approvals given outside do not count."""
    tolerance: tuple[Threshold, ...] = ()
    """Per asset, by how many base units a payment may differ from its request; 0 where none is named."""
    fee_deducted: bool = False
    """The receiver bears the fee: so much may be missing."""
    parts: int = 1
    """Up to so many transactions may pay one request together."""
    chains: tuple[ChainId, ...] = ()
    assets: tuple[AssetId, ...] = ()
    wallets: tuple[str, ...] = ()
    digest: str = field(init=False, compare=False)
    """`sha256:` + hex SHA-256 of the canonical JSON of the policy."""

    def __post_init__(self) -> None:
        if self.quorum < 1:
            raise ValueError(f"policy {self.name!r}: a quorum below 1 would approve by silence")
        if any(group.min < 1 for group in self.groups):
            raise ValueError(f"policy {self.name!r}: a group's min is at least 1")
        if self.parts < 1 or any(t.asset is None for t in self.tolerance):
            raise ValueError(f"policy {self.name!r}: one part at least, and tolerances in coins")
        object.__setattr__(self, "digest", "sha256:" + hashlib.sha256(rfc8785.dumps(self.as_json())).hexdigest())

    def may_approve(self, person: Person) -> bool:
        """Whether `person` has a role that lets them approve under this policy."""
        return APPROVER in person.roles or any(g.role and g.fits(person) for g in self.groups)

    def fits(self, intent: Intent, wallets: tuple[str, ...], price: Price | None) -> PolicyFit:
        """Whether this tier is the one for `intent`. The wallet is the intent's own, else those that paid."""
        if self.chains and intent.chain not in self.chains:
            return PolicyFit.NO
        if self.assets and intent.asset not in self.assets:
            return PolicyFit.NO
        parts = (self._fits_wallet(intent, wallets), self._fits_value(intent, price))
        return next((fit for fit in (PolicyFit.NO, PolicyFit.UNKNOWN) if fit in parts), PolicyFit.YES)

    def _fits_wallet(self, intent: Intent, wallets: tuple[str, ...]) -> PolicyFit:
        if not self.wallets:
            return PolicyFit.YES
        meant = {intent.wallet} if intent.wallet else set(wallets)
        if meant <= set(self.wallets):
            return PolicyFit.YES if meant else PolicyFit.UNKNOWN
        return PolicyFit.UNKNOWN if meant & set(self.wallets) else PolicyFit.NO

    def _fits_value(self, intent: Intent, price: Price | None) -> PolicyFit:
        limit = self.min_value
        if limit is None:
            return PolicyFit.YES
        if limit.asset is not None:
            return PolicyFit.YES if intent.asset == limit.asset and intent.amount >= limit.units else PolicyFit.NO
        if price is None:
            return PolicyFit.UNKNOWN
        return PolicyFit.YES if intent.amount * price.usd_e8 >= limit.units * 10**price.decimals else PolicyFit.NO

    @property
    def needs_price(self) -> bool:
        """Whether the tier is told by a value in USD."""
        return self.min_value is not None and self.min_value.asset is None

    def terms(self, asset: AssetId) -> MatchTerms:
        """How payments of `asset` may differ from their requests."""
        units = max((t.units for t in self.tolerance if t.asset == asset), default=0)
        return MatchTerms(units, self.fee_deducted, self.parts)

    def as_json(self) -> dict[str, Any]:
        """The normal form. Durations are whole microseconds as text, amounts base units as text. What a policy does not
        use is left out where it came after the first release, so that digests stay what they were.
        """
        return self._core_json() | {
            **({} if self.hours is None else {"hours": self.hours.as_json()}),
            **({"tolerance": [_threshold_json(t) for t in self.tolerance]} if self.tolerance else {}),
            **({"fee_deducted": True} if self.fee_deducted else {}),
            **({"parts": str(self.parts)} if self.parts > 1 else {}),
        }

    def _core_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quorum": self.quorum,
            "groups": [{"min": g.min, "role": g.role, "department": g.department} for g in self.groups],
            "min_value": _threshold_json(self.min_value),
            "requester_may_approve": self.requester_may_approve,
            "max_age": _micros(self.max_age),
            "min_delay": _micros(self.min_delay),
            "chains": sorted(map(str, self.chains)),
            "assets": sorted(map(str, self.assets)),
            "wallets": sorted(self.wallets),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Policy:
        """Read what `as_json` wrote."""
        hours = value.get("hours")
        return cls(
            name=value["name"],
            quorum=value["quorum"],
            groups=tuple(Group(g["min"], g["role"], g["department"]) for g in value["groups"]),
            min_value=_threshold_of(value["min_value"]),
            requester_may_approve=value["requester_may_approve"],
            max_age=_span_of(value["max_age"]),
            min_delay=_span_of(value["min_delay"]),
            hours=None if hours is None else BusinessHours.from_json(hours),
            tolerance=tuple(t for t in map(_threshold_of, value.get("tolerance", ())) if t is not None),
            fee_deducted=value.get("fee_deducted", False),
            parts=int(value.get("parts", "1")),
            chains=tuple(map(ChainId.parse, value["chains"])),
            assets=tuple(map(AssetId.parse, value["assets"])),
            wallets=tuple(value["wallets"]),
        )


def _threshold_json(limit: Threshold | None) -> dict[str, str] | None:
    if limit is None:
        return None
    return {"units": str(limit.units), "asset": "USD" if limit.asset is None else str(limit.asset)}


def _threshold_of(value: Mapping[str, str] | None) -> Threshold | None:
    if value is None:
        return None
    return Threshold(int(value["units"]), None if value["asset"] == "USD" else AssetId.parse(value["asset"]))


def _span_of(micros: str | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=int(micros))


def _micros(span: timedelta | None) -> str | None:
    return None if span is None else str(span // timedelta(microseconds=1))


UNNAMED = Policy(name="")
"""Asked for where no policy fits: one approval, by anybody who may approve but the requester."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """The configured policies, in order, as they stood from `since` on (None: since ever)."""

    policies: tuple[Policy, ...]
    since: datetime | None = None

    @property
    def document(self) -> list[dict[str, Any]]:
        """The policies in their normal form, in order."""
        return [policy.as_json() for policy in self.policies]

    @property
    def digest(self) -> str:
        """`sha256:` + hex SHA-256 of the canonical JSON of the document."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.document)).hexdigest()

    @classmethod
    def from_document(cls, document: Iterable[Mapping[str, Any]], since: datetime | None) -> PolicyVersion:
        """The version whose `document` was kept."""
        return cls(tuple(map(Policy.from_json, document)), since)


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """Every version there was, oldest first: what was in force when people approved is what counts."""

    versions: tuple[PolicyVersion, ...]

    def __post_init__(self) -> None:
        if not self.versions:
            raise ValueError("a history of policies has at least one version, if only an empty one")
        object.__setattr__(self, "versions", tuple(sorted(self.versions, key=_started)))

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> PolicyHistory:
        """These policies, since ever."""
        return cls((PolicyVersion(tuple(policies)),))

    @property
    def has_leeway(self) -> bool:
        """Whether any policy lets payments differ from their requests."""
        policies = (policy for version in self.versions for policy in version.policies)
        return any(policy.tolerance or policy.fee_deducted or policy.parts > 1 for policy in policies)

    @property
    def has_parts(self) -> bool:
        """Whether any policy lets several transactions pay one request."""
        return any(policy.parts > 1 for version in self.versions for policy in version.policies)

    def place(self, moment: datetime) -> int:
        """Which version was in force at `moment`; before the first one, the first."""
        if len(self.versions) == 1:
            return 0
        started = [n for n, version in enumerate(self.versions) if _started(version) <= moment]
        return started[-1] if started else 0


def _started(version: PolicyVersion) -> datetime:
    return version.since or _EVER


_EVER = datetime.min.replace(tzinfo=UTC)


def candidates(
    policies: Iterable[Policy], intent: Intent, wallets: tuple[str, ...], price: Price | None
) -> tuple[Policy, ...]:
    """The policies that may be the first that fits: usually one; several where a price or a wallet is not known."""
    chosen: list[Policy] = []
    for policy in policies:
        fit = policy.fits(intent, wallets, price)
        if fit is not PolicyFit.NO:
            chosen.append(policy)
        if fit is PolicyFit.YES:
            return tuple(chosen)
    return (*chosen, UNNAMED)
