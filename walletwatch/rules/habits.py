"""Outflows at the wrong time: from a wallet that slept, out of business hours, after the alarm."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import holidays
from pydantic import Field, field_validator

from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.domain.times import format_utc
from walletwatch.rules.evidence import amount_json, say_amount, say_duration
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import Duration, Params, Texts
from walletwatch.rules.registry import rule

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")


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
    days: Texts = _DAYS[:5]
    closed: Texts = ()

    @field_validator("calendar")
    @classmethod
    def _country(cls, code: str) -> str:
        if code not in holidays.list_supported_countries():
            raise ValueError(f"no holiday calendar for {code[:20]!r}; an ISO 3166 code such as JP is expected")
        return code

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name[:60]!r}")
        return name

    @field_validator("hours")
    @classmethod
    def _span(cls, text: str) -> str:
        begin, end = read_hours(text)
        if begin == end or max(begin, end) > 24 * 60:
            raise ValueError("the hours must begin and end at different times of the day")
        return text

    @field_validator("days")
    @classmethod
    def _weekdays(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        if not days or set(days) - set(_DAYS):
            raise ValueError(f"must name days out of {', '.join(_DAYS)}")
        return days

    @field_validator("closed")
    @classmethod
    def _dates(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        for text in dates:
            date.fromisoformat(text if len(text) == 10 else f"2024-{text}")
        return dates


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


@lru_cache(maxsize=1_000)
def read_hours(text: str) -> tuple[int, int]:
    """Minutes of the day of `09:00-18:00`. Raises ValueError."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError('hours are written like "09:00-18:00"')
    return int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])


@lru_cache(maxsize=1_000)
def _local(moment: datetime, timezone: str) -> datetime:
    """Asked by every rule of the kind of the same outflow."""
    return moment.astimezone(ZoneInfo(timezone))


@lru_cache(maxsize=64)
def _calendar(country: str, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays(country, years=year, expand=False)


@lru_cache(maxsize=10_000)
def holiday_name(country: str, day: date) -> str:
    """The public holiday on `day`, empty if none. Raises Unknown for a year the calendar does not cover."""
    calendar = _calendar(country, day.year)
    if not calendar.start_year <= day.year <= calendar.end_year:
        raise Unknown(f"the holiday calendar of {country} does not cover {day.year}")
    return str(calendar.get(day, ""))


@rule(
    type="off_hours",
    family="pattern",
    severity=Severity.MEDIUM,
    description="An outflow at night, on a weekend, on a public holiday, or on a day you are closed.",
    source="Coincheck 2018-01-26: begun at 00:02, noticed at 11:25",
)
def off_hours(outflow: Outflow, facts: Facts, params: OffHoursParams) -> Verdict:
    """Violated by a broadcast time outside business hours. Unknown where the holiday calendar ends."""
    local = _local(outflow.broadcast_at, params.timezone)
    why = closed_because(local, params)
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


def closed_because(local: datetime, params: OffHoursParams) -> str:
    """Why there is no business at `local` time; empty in business hours. The hours after midnight of a span that runs
    over it belong to the day on which it began.
    """
    begin, end = read_hours(params.hours)
    minute = local.hour * 60 + local.minute
    over_midnight = end < begin
    day = local.date() - timedelta(days=1) if over_midnight and minute < end else local.date()
    name = holiday_name(params.calendar, day)
    if name:
        return f"public holiday, {name}"
    date_text = day.isoformat()
    if date_text in params.closed or date_text[5:] in params.closed:
        return f"closed on {day}"
    if _DAYS[day.weekday()] not in params.days:
        return f"{day:%A}"
    open_now = minute >= begin or minute < end if over_midnight else begin <= minute < end
    return "" if open_now else f"outside {params.hours}"


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
