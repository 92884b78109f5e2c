"""Compares with a wallet's habits: when it pays, who signs, and with what software.

A wallet may have slept, business may be closed, the alarm may have been raised; and a stolen key is used by other
software, on another machine.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from pydantic import Field, field_validator

from chains.model import SigningFacts
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
from walletwatch.domain.prices import Unknown
from walletwatch.domain.times import format_utc
from walletwatch.rules.evidence import amount_json, say_amount, say_duration, shown
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
    """Violated by more than `grace` after the freeze, by what no approval explains: a withdrawal that people asked for
    and approved is not the theft going on.
    """
    frozen = facts.frozen_at(outflow.wallet)
    if frozen is None or outflow.broadcast_at <= frozen + timedelta(seconds=params.grace) or _is_approved(facts):
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


def _is_approved(facts: Facts) -> bool:
    try:
        result = facts.match()
    except Unknown:
        return False
    if result.blind or result.near or result.reused or result.unexplained:
        return False
    return bool(result.matches) and all(match.authorisation.met for match in result.matches)


class SigningFingerprintParams(Params):
    """`min_score` bits of surprise against the last `last` transactions, once there are `min_history` of them."""

    min_score: int = Field(default=10, ge=1, le=1_000)
    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=20, ge=1, le=10_000)


class UnusualSignersParams(Params):
    """The sets of signers of the last `last` transactions are usual, once there are `min_history` of them."""

    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=5, ge=1, le=10_000)


def _signing(facts: Facts) -> SigningFacts:
    tx = facts.transaction()
    if tx is None or tx.signing is None:
        raise Unknown("how this transaction was made and signed is not known")
    return tx.signing


def _too_few(wallet: str, have: int, needed: int) -> Verdict:
    reason = f"{have} earlier transactions of {wallet} are known; {needed} are needed to know its habits"
    return Verdict(VerdictKind.UNDETERMINED, reason, {"reason": reason, "history": have}, Severity.INFO)


@rule(
    type="signing_fingerprint",
    family="pattern",
    severity=Severity.HIGH,
    description="The transaction was built differently from all others of this wallet (version, lock time, fee habits, "
    "gas limit …): other software may have used the key. Each oddity scores; the reasons are listed.",
    source="Good 1953 (unseen species); Bitget 2026-09-24: round gas limits; DMM Bitcoin 2024-05-31: version 1",
)
def signing_fingerprint(outflow: Outflow, facts: Facts, params: SigningFingerprintParams) -> Verdict:
    """Violated by a score of `min_score` bits or more."""
    now = _signing(facts)
    past = facts.past(outflow.wallet, params.last)
    if past.signed < params.min_history:
        return _too_few(outflow.wallet, past.signed, params.min_history)
    odd = past.oddities(now)
    score = sum(o.bits for o in odd)
    if score < params.min_score:
        return PASS
    return violation(
        f"This transaction is unlike the last {past.signed} of {outflow.wallet}: "
        + ", ".join(f"{o.feature} {o.value} (usually {o.usual})" for o in odd[:3]),
        score=score,
        min_score=params.min_score,
        history=past.signed,
        reasons=shown(
            {"feature": o.feature, "value": o.value, "usual": o.usual, "usual_count": o.usual_count}
            | {"seen": o.seen, "of": o.of, "bits": o.bits}
            for o in odd
        ),
    )


@rule(
    type="unusual_signers",
    family="pattern",
    severity=Severity.HIGH,
    description="A set of keys signed that has not signed together for this wallet before.",
    source="DMM Bitcoin 2024-05-31: 2 of 3 keys held together; WazirX 2024-07-18: 4 of 6",
)
def unusual_signers(outflow: Outflow, facts: Facts, params: UnusualSignersParams) -> Verdict:
    """Violated by a set of signers that is none of the last `last` ones."""
    now = frozenset(_signing(facts).signers)
    if not now:
        raise Unknown("who signed this transaction is not known")
    usual = facts.past(outflow.wallet, params.last).signers
    if tuple(sorted(now)) in usual:
        return PASS
    history = usual.total()
    if history < params.min_history:
        return _too_few(outflow.wallet, history, params.min_history)
    strange = sorted(now.difference(*usual))
    who = f"a key that never signed for it before ({strange[0]})" if strange else "keys that never signed it together"
    return violation(
        f"{outflow.wallet} paid with {who}",
        signers=sorted(now),
        never_seen=strange,
        usual=shown({"signers": list(s), "count": n} for s, n in sorted(usual.items(), key=lambda i: (-i[1], i[0]))),
        history=history,
    )
