"""Business hours: hours of the day, days of the week, public holidays, and closed dates."""

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
    """Business hours are on `days` within `hours` of `timezone` (end excluded; `22:00-06:00` spans midnight), not on
    public holidays of `calendar` (ISO 3166 country code, empty for none) and not on `closed` dates (`2026-12-31`, or
    `12-31` every year).
    """

    timezone: str
    hours: str = "00:00-24:00"
    days: tuple[str, ...] = DAYS
    calendar: str = ""
    closed: tuple[str, ...] = ()

    def closed_because(self, at: datetime) -> str:
        """Why `at` is outside business hours; empty if it is inside. In a span over midnight, the hours after midnight
        belong to the day on which it began. Raises Unknown for a year that the calendar does not cover.
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
        """The canonical form."""
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
    """Begin and end of `09:00-18:00`, in minutes of the day. Raises ValueError for other forms."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError('hours are written like "09:00-18:00"')
    return int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])


def check_hours(text: str) -> str:
    """Return `text` if it is a valid span of hours. Raises ValueError otherwise."""
    begin, end = read_hours(text)
    if begin == end or max(begin, end) > 24 * 60:
        raise ValueError("the hours must begin and end at different times of the day")
    return text


def check_calendar(code: str) -> str:
    """Return `code` if there is a holiday calendar for this country. Raises ValueError otherwise."""
    if code not in holidays.list_supported_countries():
        raise ValueError(f"no holiday calendar for {code[:20]!r}; an ISO 3166 code such as JP is expected")
    return code


def check_days(days: Sequence[str]) -> None:
    """Raise ValueError unless all are days of the week, and there is at least one."""
    if not days or set(days) - set(DAYS):
        raise ValueError(f"must list days from {', '.join(DAYS)}")


def check_dates(dates: Sequence[str]) -> None:
    """Raise ValueError for a date in another form than `2026-12-31` or `12-31`."""
    for text in dates:
        date.fromisoformat(text if len(text) == 10 else f"2024-{text}")


@lru_cache(maxsize=1_000)
def local_time(at: datetime, timezone: str) -> datetime:
    """`at` in the local time of `timezone`."""
    return at.astimezone(ZoneInfo(timezone))


@lru_cache(maxsize=64)
def _calendar(country: str, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays(country, years=year, expand=False)


@lru_cache(maxsize=10_000)
def holiday_name(country: str, day: date) -> str:
    """The name of the public holiday on `day`, or empty. Raises Unknown for a year the calendar does not cover."""
    calendar = _calendar(country, day.year)
    if not calendar.start_year <= day.year <= calendar.end_year:
        raise Unknown(f"the holiday calendar of {country} does not cover {day.year}")
    return str(calendar.get(day, ""))
