"""Against the wallet's own past: a time in which far more leaves than in its busy times.

The past is cut into periods of equal length; only those in which something left count, so that quiet nights do not make
every working day look like a spike. The measure is a quantile (nearest rank) of those periods.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.evidence import (
    SHOWN,
    amount_json,
    counted_json,
    say_amount,
    say_duration,
    say_percent,
    window_json,
)
from walletwatch.rules.facts import Facts
from walletwatch.rules.limits import exceeds
from walletwatch.rules.parameters import WHOLE, Duration, Limit, LimitAmount, Params, Percent
from walletwatch.rules.rule_types import rule


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
