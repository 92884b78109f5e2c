"""`[[approval_policy]]` and `[[approval_feed]]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from chains.model import ChainId, parse_units
from walletwatch.domain.calendars import DAYS, BusinessHours, check_calendar, check_dates, check_days, check_hours
from walletwatch.domain.policies import Deduction, Group, Policy, Threshold
from walletwatch.settings.amounts import AmountReader, Money
from walletwatch.settings.fields import AmountText, Duration, Items, LocalPath, Name, Table, ZoneName
from walletwatch.settings.problems import Fault
from walletwatch.settings.secrets import SecretField, StoreUrl, is_loopback


class GroupSettings(Table):
    """At least `min` different people of this role, of this department, or of both."""

    role: Name | None = None
    department: Name | None = None
    min: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _check(self) -> GroupSettings:
        if self.role is None and self.department is None:
            raise Fault("a group names a role, a department, or both", '{ role = "approver", min = 1 }')
        return self


class PolicySettings(Table):
    """How many people must approve what. The first policy that fits a request applies."""

    name: Name
    quorum: Annotated[int, Field(ge=1, le=1000)]
    groups: Items[GroupSettings] = ()
    min_value: AmountText | None = None
    """Fits requests of at least this amount or value."""
    requester_may_approve: bool = False
    max_age: Duration | None = None
    """An approval older than this at broadcast has expired."""
    min_delay: Duration | None = None
    """An approval sooner than this after the request was not read."""
    hours: str | None = None
    """Approvals outside do not count; with `days`, `holidays`, `closed` and `timezone`, like the rule off_hours."""
    days: Items[str] = DAYS
    holidays: str | None = None
    closed: Items[str] = ()
    timezone: ZoneName | None = None
    tolerance: Items[AmountText] = ()
    """By how much a payment may differ from its request, for each asset."""
    fee_deducted: bool = False
    max_deduction: Items[AmountText] = ("1 %", "100 USD")
    """How much of a request the fee may explain: a share of it, amounts, or both; the smallest counts."""
    parts: Annotated[int, Field(ge=1, le=1000)] = 1
    chains: Items[str] = ()
    assets: Items[str] = ()
    wallets: Items[str] = ()

    def faults(self) -> Iterator[Fault]:
        """Hours, days, dates and countries that are none; limits of a deduction that is not allowed."""
        if "max_deduction" in self.model_fields_set and not self.fee_deducted:
            yield Fault("means nothing without fee_deducted = true", key="max_deduction")
        if not self.max_deduction or len(self._shares) > 1:
            hint = 'write max_deduction = ["1 %", "100 USD"]'
            yield Fault("must be a share, amounts, or both", hint, key="max_deduction")
        checks: tuple[tuple[str, Callable[[], object]], ...] = (
            ("hours", lambda: None if self.hours is None else check_hours(self.hours)),
            ("days", lambda: check_days(self.days)),
            ("holidays", lambda: None if self.holidays is None else check_calendar(self.holidays)),
            ("closed", lambda: check_dates(self.closed)),
            ("max_deduction", lambda: [_thousandths(share) for share in self._shares]),
        )
        for key, check in checks:
            try:
                check()
            except ValueError as error:
                yield Fault(str(error), key=key)

    def read(self, reader: AmountReader, own: Mapping[str, ChainId], timezone: str) -> Policy:
        """The policy with its names read: keys that need no reading have the name of their field. `own`: the chain of
        each configured wallet; `timezone`: that of the deployment. Raises Fault for names and amounts that are unknown.
        """
        chains = tuple(reader.chain(ref) for ref in self.chains)
        meant = chains or tuple(own[name] for name in own if name in self.wallets)
        limit = None if self.min_value is None else _threshold(reader.read(self.min_value, meant))
        read = {
            "groups": tuple(Group(g.min, g.role or "", g.department or "") for g in self.groups),
            "min_value": limit,
            "hours": self._business_hours(timezone),
            "tolerance": tuple(_threshold(reader.read(text, meant)) for text in self.tolerance),
            "max_deduction": self._deduction(reader, meant),
            "chains": chains,
            "assets": tuple(asset.id for name in self.assets for asset in reader.assets(name, chains)),
        }
        return Policy(**{one.name: getattr(self, one.name) for one in fields(Policy) if one.init} | read)

    def _deduction(self, reader: AmountReader, meant: Collection[ChainId]) -> Deduction:
        amounts = tuple(_threshold(reader.read(text, meant)) for text in self.max_deduction if not text.endswith("%"))
        return Deduction(next(map(_thousandths, self._shares), None), amounts)

    @property
    def _shares(self) -> tuple[str, ...]:
        return tuple(text for text in self.max_deduction if text.endswith("%"))

    def _business_hours(self, timezone: str) -> BusinessHours | None:
        """When approvals count, None for always. `timezone`: that of the deployment."""
        if self.hours is None and self.days == DAYS and self.holidays is None and not self.closed:
            return None
        hours, zone = self.hours or "00:00-24:00", self.timezone or timezone
        return BusinessHours(zone, hours, self.days, self.holidays or "", self.closed)


def _thousandths(share: str) -> int:
    percent = parse_units(share.removesuffix("%").strip(), 3)
    if percent > 100_000:
        raise ValueError("a share is at most 100 %")
    return percent


def _threshold(money: Money) -> Threshold:
    return Threshold(money.units, None if money.asset is None else money.asset.id)


VENDORS = ("fireblocks", "bitgo", "safe")
_HTTP = ("listen", "secret", "tls_cert", "tls_key", "insecure", "timeout", "lines_per_minute")
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "jsonl": (("path",), ("signatures",)),
    "http": ((), _HTTP),
    "table": (("url", "table"), ("signatures", "sequence", "line")),
    "fireblocks": (("path", "people", "assets"), ("wallets",)),
    "bitgo": (("path", "people", "assets"), ("wallets",)),
    "safe": (("path", "people", "chain"), ("wallets", "safe_version")),
}
"""For each type what it needs, and what it may have."""

_EXAMPLES = {
    "path": 'path = "approvals.jsonl"',
    "url": 'url = { env = "EXCHANGE_DATABASE_URL" }',
    "table": 'table = "approval_acts"',
    "people": 'people = { "their-user-id" = "treasury-1" }',
    "assets": 'assets = { ETH = "eip155:1/slip44:60" }',
    "chain": 'chain = "ethereum"',
}
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]{1,253})):([0-9]{1,5})")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(?:\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
_VERSION = re.compile(r"1\.[0-9]{1,2}\.[0-9]{1,2}")


class FeedSettings(Table):
    """A source of approval acts. Acts without signatures are weaker evidence, and marked so."""

    type: Literal["jsonl", "http", "table", "fireblocks", "bitgo", "safe"]
    path: LocalPath | None = None
    signatures: Literal["required", "none"] = "required"
    name: Name | None = None
    """How findings call it; by default the file's name, else the type."""
    silent_after: Duration | None = None
    """Nothing new for so long is a finding."""
    max_late: Duration = timedelta(hours=1)
    """An act read later than this after the time it gives itself does not count."""
    listen: str = "127.0.0.1:8650"
    secret: SecretField | None = None
    """Whoever posts must show that they know it."""
    tls_cert: LocalPath | None = None
    tls_key: LocalPath | None = None
    insecure: bool = False
    timeout: Duration = timedelta(seconds=10)
    """A connection that has not sent its whole request by then is cut off."""
    lines_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 6_000
    url: StoreUrl | None = None
    table: str | None = None
    sequence: str = "id"
    line: str = "line"
    people: dict[str, Name] | None = None
    assets: dict[str, str] | None = None
    wallets: dict[str, Name] | None = None
    chain: str | None = None
    safe_version: str = "1.3.0"

    @property
    def label(self) -> str:
        """The name findings use."""
        return self.name or (self.path.name if self.path else self.type)

    @property
    def is_vendor(self) -> bool:
        """Whether it reads the export of a custody vendor."""
        return self.type in VENDORS

    @property
    def address(self) -> tuple[str, int]:
        """Host and port an endpoint listens on."""
        match = _LISTEN.fullmatch(self.listen)
        return (match[1] or match[2], int(match[3])) if match else ("", 0)

    def faults(self) -> Iterator[Fault]:
        """A feed without what it needs, or with what another type needs; an endpoint open to everybody."""
        if self.type is None:
            return
        needed, optional = _KEYS[self.type]
        for key in needed:
            if not getattr(self, key):
                yield Fault(f"a {self.type} feed needs {key}", _EXAMPLES[key], involves=(key,))
        known = {"type", "name", "silent_after", "max_late", *needed, *optional}
        for key, field in type(self).model_fields.items():
            if key not in known and getattr(self, key) != field.default:
                yield Fault(f"has no meaning for a {self.type} feed", f"remove {key}", key=key)
        yield from self._endpoint_faults() if self.type == "http" else self._word_faults()

    def _endpoint_faults(self) -> Iterator[Fault]:
        host, port = self.address
        if not host or not 0 < port < 65_536:
            yield Fault("must be a host and a port", 'listen = "127.0.0.1:8650"', key="listen")
            return
        if (self.tls_cert is None) != (self.tls_key is None):
            yield Fault("TLS needs both files", "tls_cert and tls_key", involves=("tls_cert", "tls_key"))
        if is_loopback(host):
            return
        if self.secret is None:
            words = "an endpoint that other machines reach needs a secret"
            yield Fault(words, 'secret = { env = "APPROVALS_SECRET" }', key="listen", involves=("secret",))
        if self.tls_cert is None and not self.insecure:
            words = "plain http from another machine can be read and changed on the way"
            yield Fault(words, "tls_cert and tls_key, a proxy on this machine, or insecure = true", key="listen")

    def _word_faults(self) -> Iterator[Fault]:
        for key in ("table", "sequence", "line"):
            text = getattr(self, key)
            if text is not None and not _IDENTIFIER.fullmatch(text):
                yield Fault("must be a plain name", "letters, digits and _; schema.table", key=key)
        if not _VERSION.fullmatch(self.safe_version):
            yield Fault("must be a version of the Safe contracts from 1.0.0 on", '"1.4.1"', key="safe_version")
