"""`[[approval_policy]]`: how many approvals are asked for, and whose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field, model_validator

from walletwatch.domain.calendars import DAYS, BusinessHours, check_calendar, check_dates, check_days, check_hours
from walletwatch.settings.fields import AmountText, Duration, Items, Name, Table, ZoneName
from walletwatch.settings.problems import Fault


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
    parts: Annotated[int, Field(ge=1, le=1000)] = 1
    chains: Items[str] = ()
    assets: Items[str] = ()
    wallets: Items[str] = ()

    def faults(self) -> Iterator[Fault]:
        """Hours, days, dates and countries that are none."""
        checks: tuple[tuple[str, Callable[[], object]], ...] = (
            ("hours", lambda: None if self.hours is None else check_hours(self.hours)),
            ("days", lambda: check_days(self.days)),
            ("holidays", lambda: None if self.holidays is None else check_calendar(self.holidays)),
            ("closed", lambda: check_dates(self.closed)),
        )
        for key, check in checks:
            try:
                check()
            except ValueError as error:
                yield Fault(str(error), key=key)

    def business_hours(self, timezone: str) -> BusinessHours | None:
        """When approvals count, None for always. `timezone`: that of the deployment."""
        if self.hours is None and self.days == DAYS and self.holidays is None and not self.closed:
            return None
        hours, zone = self.hours or "00:00-24:00", self.timezone or timezone
        return BusinessHours(zone, hours, self.days, self.holidays or "", self.closed)
