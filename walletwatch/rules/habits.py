"""Outflows at the wrong time: from a wallet that slept, out of business hours, after the alarm."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from pydantic import Field, field_validator

from walletwatch.domain.calendars import (
    DAYS,
    BusinessHours,
    check_calendar,
    check_dates,
    check_days,
    check_hours,
    local_time,
)
from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import format_utc
from walletwatch.rules.evidence import amount_json, say_amount, say_duration
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import Duration, Params, Texts
from walletwatch.rules.rule_types import rule


class DormantWalletParams(Params):
    """`idle`: after so long without spending anything a wallet sleeps."""

    idle: Duration = Field(gt=0)


class OffHoursParams(Params):
    """Business is on `days` within `hours` of `timezone` (the end excluded; `22:00-06:00` runs over midnight), not on
    public holidays of `calendar` (ISO 3166 country code) nor on `closed` dates (`2026-12-31`, or `12-31` every year).
    """

    calendar: str = "JP"
    timezone: str = "Asia/Tokyo"
    hours: str = "09:00-18:00"
    days: Texts = DAYS[:5]
    closed: Texts = ()

    @field_validator("calendar")
    @classmethod
    def _country(cls, code: str) -> str:
        return check_calendar(code)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name[:60]!r}")
        return name

    @field_validator("hours")
    @classmethod
    def _span(cls, text: str) -> str:
        return check_hours(text)

    @field_validator("days")
    @classmethod
    def _weekdays(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        check_days(days)
        return days

    @field_validator("closed")
    @classmethod
    def _dates(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        check_dates(dates)
        return dates

    @property
    def business(self) -> BusinessHours:
        """The hours as such."""
        return _business(self.timezone, self.hours, self.days, self.calendar, self.closed)


@lru_cache(maxsize=64)
def _business(
    timezone: str, hours: str, days: tuple[str, ...], calendar: str, closed: tuple[str, ...]
) -> BusinessHours:
    return BusinessHours(timezone, hours, days, calendar, closed)


class AfterFreezeParams(Params):
    """`grace`: what was signed before the freeze may still arrive for so long."""

    grace: Duration = Field(default=0, ge=0)


@rule(
    type="dormant_wallet",
    family="pattern",
    severity=Severity.HIGH,
    description="A wallet that had not spent anything for a long time pays out.",
    source="Storage wallets pay rarely: DMM Bitcoin 2024-05-31",
)
def dormant_wallet(outflow: Outflow, facts: Facts, params: DormantWalletParams) -> Verdict:
    """Violated by more than `idle` since the wallet last spent, or since watching began if it never did."""
    if facts.has_moved_since(outflow.wallet, outflow.broadcast_at - timedelta(seconds=params.idle)):
        return PASS
    last = facts.last_moved_at(outflow.wallet)
    since = facts.watched_since(outflow.wallet) if last is None else last
    idle = outflow.broadcast_at - since
    if idle > timedelta(seconds=params.idle):
        amount = say_amount(facts, outflow.asset, outflow.amount)
        return violation(
            f"{amount} left {outflow.wallet}, which had spent nothing for {idle.days} days",
            amount=amount_json(facts, outflow.asset, outflow.amount),
            last_moved=None if last is None else format_utc(last),
            watched_since=format_utc(since) if last is None else None,
            at=format_utc(outflow.broadcast_at),
            idle_limit=say_duration(params.idle),
        )
    if last is not None:
        return PASS
    reason = f"{outflow.wallet} is watched for less than {say_duration(params.idle)} and was not seen spending"
    evidence = {"reason": reason, "watched_since": format_utc(since)}
    return Verdict(VerdictKind.UNDETERMINED, reason, evidence, Severity.INFO)


@rule(
    type="off_hours",
    family="pattern",
    severity=Severity.MEDIUM,
    description="An outflow at night, on a weekend, on a public holiday, or on a day you are closed.",
    source="Coincheck 2018-01-26: begun at 00:02, noticed at 11:25",
)
def off_hours(outflow: Outflow, facts: Facts, params: OffHoursParams) -> Verdict:
    """Violated by a broadcast time outside business hours. Unknown where the holiday calendar ends."""
    local = local_time(outflow.broadcast_at, params.timezone)
    why = params.business.closed_because(local)
    if not why:
        return PASS
    said = say_amount(facts, outflow.asset, outflow.amount)
    return violation(
        f"{said} left {outflow.wallet} at {local:%Y-%m-%d %H:%M} ({params.timezone}): {why}",
        **_hours_json(outflow, local, params, why),
    )


def _hours_json(outflow: Outflow, local: datetime, params: OffHoursParams, why: str) -> dict[str, Any]:
    return {
        "at": format_utc(outflow.broadcast_at),
        "local": f"{local:%Y-%m-%dT%H:%M:%S%z}",
        "because": why,
        "hours": params.hours,
        "days": list(params.days),
        "calendar": params.calendar,
    }


@rule(
    type="after_freeze",
    family="pattern",
    severity=Severity.CRITICAL,
    description="Value leaves a wallet after the alarm about it: the theft goes on, or the stop did not work.",
    source="Bitget 2026-09-24: money still left 2 h 18 m after it was flagged",
)
def after_freeze(outflow: Outflow, facts: Facts, params: AfterFreezeParams) -> Verdict:
    """Violated by more than `grace` after the freeze."""
    frozen = facts.frozen_at(outflow.wallet)
    if frozen is None or outflow.broadcast_at <= frozen + timedelta(seconds=params.grace):
        return PASS
    minutes = int((outflow.broadcast_at - frozen).total_seconds()) // 60
    said = say_amount(facts, outflow.asset, outflow.amount)
    return violation(
        f"{said} left {outflow.wallet} {minutes} min after the alarm about it",
        amount=amount_json(facts, outflow.asset, outflow.amount),
        frozen_at=format_utc(frozen),
        at=format_utc(outflow.broadcast_at),
        grace=say_duration(params.grace),
    )
