"""Fees out of proportion: a thief in a hurry pays any price, and so does a broken fee estimate."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from chains.model import format_units
from chains.registry import family_of
from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.evidence import amount_json, price_json, say_amount, say_percent, usd_json
from walletwatch.rules.facts import Facts
from walletwatch.rules.fee_rates import fee_rate
from walletwatch.rules.parameters import WHOLE, Milli, Params, Percent
from walletwatch.rules.rule_types import rule


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
