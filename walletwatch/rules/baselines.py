"""Compares with the wallet's own past: more leaves than in its busy times, or fees are out of proportion.

For amounts and counts the past is cut into periods of equal length; only those in which something left count, so that
quiet nights do not make every working day look like a spike. The measure is a quantile (nearest rank) of those periods.
Fees are compared with the median rate: a thief in a hurry pays any price, and so does a broken fee estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from chains.model import format_units
from chains.registry import family_of
from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.evidence import (
    SHOWN,
    amount_json,
    counted_json,
    price_json,
    say_amount,
    say_duration,
    say_percent,
    usd_json,
    window_json,
)
from walletwatch.rules.facts import Facts
from walletwatch.rules.limits import exceeds
from walletwatch.rules.parameters import WHOLE, Duration, Limit, LimitAmount, Milli, Params, Percent
from walletwatch.rules.rule_types import rule
from walletwatch.rules.wallet_profile import fee_rate


class BaselineSpikeParams(Params):
    """More than `factor` times the `quantile` of the active periods (each of `period`) of the last `history`; with
    `min`, only from more than this in the period on.
    """

    min: LimitAmount | None = None
    factor: int = Field(ge=1, le=10**6)
    history: Duration = Field(default=30 * 86_400, gt=0)
    period: Duration = Field(default=3_600, gt=0)
    quantile: Percent = Field(default=95_000, gt=0, le=WHOLE)
    min_periods: int = Field(default=20, ge=1, le=10**6)


class BurstParams(Params):
    """More than `factor` times as many outflows within `window` as the `quantile` of active windows of the last
    `history`, and more than `min_count`.
    """

    factor: int = Field(default=3, ge=1, le=10**6)
    window: Duration = Field(default=600, gt=0)
    history: Duration = Field(default=30 * 86_400, gt=0)
    quantile: Percent = Field(default=99_000, gt=0, le=WHOLE)
    min_count: int = Field(default=5, ge=1, le=10**6)
    min_periods: int = Field(default=20, ge=1, le=10**6)


def nearest_rank(ordered: Sequence[int], quantile: int) -> int:
    """The smallest of `ordered` values (at least one, smallest first) that is not below `quantile` (thousandths of a
    percent) of them.
    """
    rank = -(-len(ordered) * quantile // WHOLE)
    return ordered[max(rank, 1) - 1]


def too_little(wallet: str, periods: int, needed: int) -> Verdict:
    """Not enough of a past to compare with: said, and quietly, because it passes with time."""
    reason = f"{wallet} has {periods} active periods in its history; {needed} are needed to know what is usual"
    return Verdict(VerdictKind.UNDETERMINED, reason, {"reason": reason, "periods": periods}, Severity.INFO)


@rule(
    type="baseline_spike",
    family="pattern",
    severity=Severity.MEDIUM,
    description="Far more of an asset left this wallet in one period than in its busiest usual periods.",
    source="Quantile baselines of intrusion detection; Zaif 2018-09-14: 5,966 BTC within two hours",
)
def baseline_spike(outflow: Outflow, facts: Facts, params: BaselineSpikeParams) -> Verdict:
    """Violated by more than `factor` times the quantile, and more than `min`, in (t - period, t]. Unknown without a
    price where `min` is in USD.
    """
    now = facts.spent(params.period, wallet=outflow.wallet, asset=outflow.asset)
    if params.min is not None and not _is_above(params.min, now.total, outflow, facts):
        return PASS
    past = facts.active_periods(params.period, params.history, wallet=outflow.wallet, asset=outflow.asset)
    if len(past) < params.min_periods:
        return too_little(outflow.wallet, len(past), params.min_periods)
    usual = nearest_rank(past.totals, params.quantile)
    if now.total <= params.factor * usual:
        return PASS
    counted = facts.counted(params.period, wallet=outflow.wallet, asset=outflow.asset, limit=SHOWN)
    return violation(
        f"{say_amount(facts, outflow.asset, now.total)} left {outflow.wallet} within {say_duration(params.period)}: "
        f"more than {params.factor} times the usual {say_amount(facts, outflow.asset, usual)}",
        total=amount_json(facts, outflow.asset, now.total),
        usual=amount_json(facts, outflow.asset, usual),
        factor=params.factor,
        quantile=say_percent(params.quantile),
        periods=len(past),
        history=say_duration(params.history),
        window=window_json(outflow.broadcast_at, params.period),
        count=now.count,
        counted=counted_json(counted),
    )


def _is_above(least: Limit, units: int, outflow: Outflow, facts: Facts) -> bool:
    return least.asset in (None, outflow.asset) and exceeds(least, units, outflow.asset, facts)[0]


@rule(
    type="burst",
    family="pattern",
    severity=Severity.MEDIUM,
    description="Far more outflows in a short time than this wallet ever makes, whatever their size.",
    source="Coincheck 2018-01-26: six transactions in eight minutes; Liquid 2021-08-19",
)
def burst(outflow: Outflow, facts: Facts, params: BurstParams) -> Verdict:
    """Violated by more than max(`min_count`, `factor` times the quantile) outflows in (t - window, t]."""
    now = facts.spent(params.window, wallet=outflow.wallet).count
    if now <= params.min_count:
        return PASS
    past = facts.active_periods(params.window, params.history, wallet=outflow.wallet)
    if len(past) < params.min_periods:
        return too_little(outflow.wallet, len(past), params.min_periods)
    usual = nearest_rank(past.counts, params.quantile)
    if now <= params.factor * usual:
        return PASS
    return violation(
        f"{now} outflows from {outflow.wallet} within {say_duration(params.window)}: "
        f"more than {params.factor} times the usual {usual}",
        count=now,
        usual=usual,
        factor=params.factor,
        quantile=say_percent(params.quantile),
        periods=len(past),
        history=say_duration(params.history),
        window=window_json(outflow.broadcast_at, params.window),
        counted=counted_json(facts.counted(params.window, wallet=outflow.wallet, limit=SHOWN)),
    )


class FeeAnomalyParams(Params):
    """`max_rate` in sat/vB or gwei; `max_percent` of the amount; `factor` over the median of the last `last` rates of
    the wallet, once it has `min_history` of them.
    """

    max_rate: Milli | None = None
    max_percent: Percent | None = None
    factor: int = Field(default=10, ge=1, le=10**6)
    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=5, ge=1, le=10_000)


@rule(
    type="fee_anomaly",
    family="pattern",
    severity=Severity.MEDIUM,
    description="The network fee is far above what you allow, what the amount justifies, or what this wallet usually "
    "pays.",
    source="DMM Bitcoin 2024-05-31: 7,704 sat/vB, where the funding transaction paid 100",
)
def fee_anomaly(outflow: Outflow, facts: Facts, params: FeeAnomalyParams) -> Verdict:
    """Violated by a rate above `max_rate` or `factor` times the median, or a fee above `max_percent` of the amount.

    What cannot be measured is undetermined, unless another measure is violated already.
    """
    unit = family_of(outflow.chain).fee_unit
    if _is_usual(outflow, facts, params):
        return PASS
    reasons: list[str] = []
    seen: dict[str, Any] = {}
    unknown: list[str] = []
    for measure in (_by_rate, _by_median, _by_amount):
        try:
            reasons += measure(outflow, facts, params, seen, unit)
        except Unknown as why:
            unknown.append(str(why))
    if reasons:
        return violation(f"The fee of this transaction {' and '.join(reasons)}", **seen, unknown=unknown)
    if unknown:
        quiet = Severity.INFO if all(text.startswith("too few") for text in unknown) else None
        reason = "; ".join(dict.fromkeys(unknown))
        return Verdict(VerdictKind.UNDETERMINED, reason, {**seen, "reason": reason}, quiet)
    return PASS


def _is_usual(outflow: Outflow, facts: Facts, params: FeeAnomalyParams) -> bool:
    """Whether every measure is known and none is broken, without the words for it: nearly always so."""
    tx = facts.transaction()
    rate = fee_rate(tx) if tx is not None else None
    if rate is None or (params.max_rate is not None and rate > params.max_rate):
        return False
    past = facts.past(outflow.wallet, params.last)
    if len(past.rates) < params.min_history or rate > params.factor * past.median_rate():
        return False
    return params.max_percent is None or not outflow.fee


def _rate(facts: Facts) -> int:
    tx = facts.transaction()
    rate = fee_rate(tx) if tx is not None else None
    if rate is None:
        raise Unknown("the fee rate of this transaction is not known")
    return rate


def _say_rate(milli: int, unit: str) -> str:
    return f"{format_units(milli, 3)} {unit}"


def _by_rate(_: Outflow, facts: Facts, params: FeeAnomalyParams, seen: dict[str, Any], unit: str) -> list[str]:
    if params.max_rate is None:
        return []
    rate = _rate(facts)
    seen |= {"rate": _say_rate(rate, unit), "max_rate": _say_rate(params.max_rate, unit)}
    return [f"is {seen['rate']}, above {seen['max_rate']}"] if rate > params.max_rate else []


def _by_median(outflow: Outflow, facts: Facts, params: FeeAnomalyParams, seen: dict[str, Any], unit: str) -> list[str]:
    rate = _rate(facts)
    past = facts.past(outflow.wallet, params.last)
    known = len(past.rates)
    if known < params.min_history:
        raise Unknown(f"too few earlier transactions of {outflow.wallet} to know its usual fee rate: {known}")
    median = past.median_rate()
    seen |= {"rate": _say_rate(rate, unit), "median": _say_rate(median, unit), "of_last": known}
    if rate <= params.factor * median:
        return []
    seen["factor"] = params.factor
    return [f"is {seen['rate']}, more than {params.factor} times the usual {seen['median']}"]


def _by_amount(outflow: Outflow, facts: Facts, params: FeeAnomalyParams, seen: dict[str, Any], _: str) -> list[str]:
    if params.max_percent is None or not outflow.fee:
        return []
    native = facts.native()
    if native == outflow.asset:
        fee, worth = outflow.fee, outflow.amount
    else:
        coin, token = facts.price(native), facts.price(outflow.asset)
        fee, worth = coin.value_e8(outflow.fee), token.value_e8(outflow.amount)
        seen |= {"prices": [price_json(coin), price_json(token)], "fee_value": usd_json(fee), "value": usd_json(worth)}
    if fee * WHOLE <= params.max_percent * worth:
        return []
    seen |= {
        "fee": amount_json(facts, native, outflow.fee),
        "amount": amount_json(facts, outflow.asset, outflow.amount),
    }
    return [f"({say_amount(facts, native, outflow.fee)}) is above {say_percent(params.max_percent)} of the amount"]
