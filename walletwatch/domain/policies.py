"""Approval policies: how many people of which groups must approve (CONTRACT §2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import Enum
from typing import Any

import rfc8785

from chains.model import AssetId, ChainId
from walletwatch.domain.calendars import BusinessHours
from walletwatch.domain.people import Person
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Intent, MatchTerms

APPROVER = "approver"
"""The role that may approve. If a group names another role, that role may approve too."""


@dataclass(frozen=True, slots=True)
class Group:
    """`min` of the approvers must have this role and this department; an empty one matches everybody."""

    min: int
    role: str = ""
    department: str = ""

    def fits(self, person: Person) -> bool:
        """Whether `person` counts for this group."""
        return self.role in ("", *person.roles) and self.department in ("", person.department)

    def as_json(self) -> dict[str, Any]:
        """The normal form."""
        return {"min": self.min, "role": self.role, "department": self.department}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Group:
        """Read what `as_json` wrote."""
        return cls(value["min"], value["role"], value["department"])

    def __str__(self) -> str:
        words = [f"role {self.role}" if self.role else "", f"department {self.department}" if self.department else ""]
        return f"{self.min} of {' in '.join(word for word in words if word) or 'anybody'}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit value: `units` base units of `asset`, or 1e-8 USD if `asset` is None."""

    units: int
    asset: AssetId | None = None

    def as_json(self) -> dict[str, str]:
        """The canonical form: base units as text, `USD` if there is no asset."""
        return {"units": str(self.units), "asset": "USD" if self.asset is None else str(self.asset)}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> Threshold:
        """Read what `as_json` wrote."""
        return cls(int(value["units"]), None if value["asset"] == "USD" else AssetId.parse(value["asset"]))


@dataclass(frozen=True, slots=True)
class Deduction:
    """How much of a request a deducted fee may explain at most: `percent` (thousandths of a percent) of it, and no more
    than any of `amounts`. Nothing, where none of these limits is of the request's asset.
    """

    percent: int | None = 1_000
    amounts: tuple[Threshold, ...] = (Threshold(100 * 10**8),)

    def units(self, intent: Intent, price: Price | None) -> int:
        """The same in base units of the intent's asset, rounded down; 0 where a price is missing that would tell."""
        caps = [] if self.percent is None else [intent.amount * self.percent // 100_000]
        for limit in self.amounts:
            if limit.asset is None:
                caps.append(limit.units * 10**price.decimals // price.usd_e8 if price and price.usd_e8 > 0 else 0)
            elif limit.asset == intent.asset:
                caps.append(limit.units)
        return min(caps, default=0)

    def as_json(self) -> dict[str, Any]:
        """The normal form."""
        percent = None if self.percent is None else str(self.percent)
        return {"percent": percent, "amounts": [limit.as_json() for limit in self.amounts]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Deduction:
        """Read what `as_json` wrote."""
        percent = None if value["percent"] is None else int(value["percent"])
        return cls(percent, tuple(map(Threshold.from_json, value["amounts"])))


_SMALL = Deduction()


class PolicyFit(Enum):
    """Whether a policy applies to a request. `UNKNOWN`: it depends on a price or on the paying wallet."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def _micros(span: timedelta) -> str:
    return str(span // timedelta(microseconds=1))


def _span_of(micros: str) -> timedelta:
    return timedelta(microseconds=int(micros))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class _Form:
    """How a field is written to JSON and read back. `many`: element by element, sorted if not `ordered`; else None is
    kept as None.
    """

    write: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] = _same
    many: bool = False
    ordered: bool = True
    later: bool = False
    """The field was added after the first release."""

    def written(self, value: Any) -> Any:
        if not self.many:
            return None if value is None else self.write(value)
        parts = [self.write(part) for part in value]
        return parts if self.ordered else sorted(parts)

    def read_from(self, value: Any) -> Any:
        if not self.many:
            return None if value is None else self.read(value)
        return tuple(self.read(part) for part in value)


def _form(write: Callable[[Any], Any] = _same, read: Callable[[Any], Any] = _same, **more: bool) -> dict[str, _Form]:
    return {"form": _Form(write, read, **more)}


@dataclass(frozen=True, slots=True)
class Policy:
    """One tier. `quorum` is the number of distinct persons, at least one; `groups` say which must be among them.

    All given selectors (`chains`, `assets`, `wallets`) must match. Each field has the name of its key in
    `[[approval_policy]]` and in the stored JSON. Raises ValueError for a quorum or group minimum below one.
    """

    name: str
    quorum: int = 1
    groups: tuple[Group, ...] = field(default=(), metadata=_form(Group.as_json, Group.from_json, many=True))
    min_value: Threshold | None = field(default=None, metadata=_form(Threshold.as_json, Threshold.from_json))
    requester_may_approve: bool = False
    max_age: timedelta | None = field(default=None, metadata=_form(_micros, _span_of))
    min_delay: timedelta | None = field(default=None, metadata=_form(_micros, _span_of))
    hours: BusinessHours | None = field(
        default=None, metadata=_form(BusinessHours.as_json, BusinessHours.from_json, later=True)
    )
    """Approvals given outside these hours do not count."""
    tolerance: tuple[Threshold, ...] = field(
        default=(), metadata=_form(Threshold.as_json, Threshold.from_json, many=True, later=True)
    )
    """By asset, how many base units a payment may differ from its request; by default 0."""
    fee_deducted: bool = field(default=False, metadata=_form(later=True))
    """The receiver bears the fee: so much may be missing, up to `max_deduction`."""
    max_deduction: Deduction = field(default=_SMALL, metadata=_form(Deduction.as_json, Deduction.from_json, later=True))
    parts: int = field(default=1, metadata=_form(str, int, later=True))
    """How many transactions may pay one request together, at most."""
    chains: tuple[ChainId, ...] = field(default=(), metadata=_form(str, ChainId.parse, many=True, ordered=False))
    assets: tuple[AssetId, ...] = field(default=(), metadata=_form(str, AssetId.parse, many=True, ordered=False))
    wallets: tuple[str, ...] = field(default=(), metadata=_form(many=True, ordered=False))
    digest: str = field(init=False, compare=False)
    """`sha256:` + hex SHA-256 of the canonical JSON of the policy."""

    def __post_init__(self) -> None:
        if self.quorum < 1:
            raise ValueError(f"policy {self.name!r}: quorum must be at least 1")
        if any(group.min < 1 for group in self.groups):
            raise ValueError(f"policy {self.name!r}: a group's min must be at least 1")
        if self.parts < 1 or any(t.asset is None for t in self.tolerance):
            raise ValueError(f"policy {self.name!r}: parts must be at least 1, and tolerances amounts of an asset")
        object.__setattr__(self, "digest", "sha256:" + hashlib.sha256(rfc8785.dumps(self.as_json())).hexdigest())

    def may_approve(self, person: Person) -> bool:
        """Whether `person` has a role that may approve under this policy."""
        return APPROVER in person.roles or any(g.role and g.fits(person) for g in self.groups)

    def fits(self, intent: Intent, wallets: tuple[str, ...], price: Price | None) -> PolicyFit:
        """Whether the policy applies to `intent`. `wallets` are those that paid, used if the intent names none."""
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
        """Whether `min_value` is in USD."""
        return self.min_value is not None and self.min_value.asset is None

    @property
    def deducts_by_value(self) -> bool:
        """Whether a value in USD tells how much a fee may explain."""
        return self.fee_deducted and any(limit.asset is None for limit in self.max_deduction.amounts)

    def terms(self, intent: Intent, price: Price | None) -> MatchTerms:
        """How a payment of `intent` may differ from it."""
        units = max((t.units for t in self.tolerance if t.asset == intent.asset), default=0)
        return MatchTerms(units, self.max_deduction.units(intent, price) if self.fee_deducted else 0, self.parts)

    def as_json(self) -> dict[str, Any]:
        """The canonical form. Durations are whole microseconds as text, amounts base units as text. Fields added after
        the first release are omitted at their default, so that digests do not change.
        """
        document: dict[str, Any] = {}
        for name, form, default in _FIELDS:
            value = getattr(self, name)
            if not form.later or value != default:
                document[name] = form.written(value)
        return document

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Policy:
        """Read what `as_json` wrote."""
        return cls(**{name: form.read_from(value[name]) for name, form, _ in _FIELDS if name in value})


_FIELDS = tuple((one.name, one.metadata.get("form", _Form()), one.default) for one in fields(Policy) if one.init)
"""Name, JSON form and default of each field."""
