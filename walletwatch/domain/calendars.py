"""When there is business: hours of the day, days of the week, public holidays, and dates on which one is closed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import holidays

from walletwatch.domain.prices import Unknown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Business is on `days` within `hours` of `timezone` (the end excluded; `22:00-06:00` runs over midnight), not on
    public holidays of `calendar` (ISO 3166 country code, empty for none) nor on `closed` dates (`2026-12-31`, or
    `12-31` every year).
    """

    timezone: str
    hours: str = "00:00-24:00"
    days: tuple[str, ...] = DAYS
    calendar: str = ""
    closed: tuple[str, ...] = ()

    def closed_because(self, at: datetime) -> str:
        """Why there is no business at `at`; empty in business hours. The hours after midnight of a span that runs over
        it belong to the day on which it began. Raises Unknown for a year that the calendar does not cover.
        """
        local = local_time(at, self.timezone)
        begin, end = read_hours(self.hours)
        minute = local.hour * 60 + local.minute
        over_midnight = end < begin
        day = local.date() - timedelta(days=1) if over_midnight and minute < end else local.date()
        name = holiday_name(self.calendar, day) if self.calendar else ""
        if name:
            return f"public holiday, {name}"
        date_text = day.isoformat()
        if date_text in self.closed or date_text[5:] in self.closed:
            return f"closed on {day}"
        if DAYS[day.weekday()] not in self.days:
            return f"{day:%A}"
        open_now = minute >= begin or minute < end if over_midnight else begin <= minute < end
        return "" if open_now else f"outside {self.hours}"

    def __str__(self) -> str:
        parts = [
            ",".join(self.days),
            self.hours,
            self.timezone,
            f"holidays of {self.calendar}" if self.calendar else "",
        ]
        return " ".join(part for part in parts if part)

    def as_json(self) -> dict[str, Any]:
        """The normal form."""
        return {
            "timezone": self.timezone,
            "hours": self.hours,
            "days": [day for day in DAYS if day in self.days],
            "calendar": self.calendar,
            "closed": sorted(self.closed),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BusinessHours:
        """Read what `as_json` wrote."""
        lists = {name: tuple(value[name]) for name in ("days", "closed")}
        return cls(value["timezone"], value["hours"], lists["days"], value["calendar"], lists["closed"])


@lru_cache(maxsize=1_000)
def read_hours(text: str) -> tuple[int, int]:
    """Minutes of the day of `09:00-18:00`. Raises ValueError."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError('hours are written like "09:00-18:00"')
    return int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])


def check_hours(text: str) -> str:
    """The span, if it is one. Raises ValueError."""
    begin, end = read_hours(text)
    if begin == end or max(begin, end) > 24 * 60:
        raise ValueError("the hours must begin and end at different times of the day")
    return text


def check_calendar(code: str) -> str:
    """The country code, if its holidays are known. Raises ValueError."""
    if code not in holidays.list_supported_countries():
        raise ValueError(f"no holiday calendar for {code[:20]!r}; an ISO 3166 code such as JP is expected")
    return code


def check_days(days: Sequence[str]) -> None:
    """Raises ValueError for what is no day of the week."""
    if not days or set(days) - set(DAYS):
        raise ValueError(f"must name days out of {', '.join(DAYS)}")


def check_dates(dates: Sequence[str]) -> None:
    """Raises ValueError for what is neither `2026-12-31` nor `12-31`."""
    for text in dates:
        date.fromisoformat(text if len(text) == 10 else f"2024-{text}")


@lru_cache(maxsize=1_000)
def local_time(at: datetime, timezone: str) -> datetime:
    """The moment by the clocks of `timezone`."""
    return at.astimezone(ZoneInfo(timezone))


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
