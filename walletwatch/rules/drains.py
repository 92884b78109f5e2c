"""The shapes of a theft: all at once, a test and then the rest, just below a limit, everything to one new owner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydantic import Field

from chains.model import Address
from walletwatch.domain.findings import PASS, Severity, Verdict, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.destinations import paid_addresses
from walletwatch.rules.evidence import (
    amount_json,
    counted_json,
    first_receivers,
    limit_json,
    say_amount,
    say_duration,
    say_percent,
    shown,
    window_json,
)
from walletwatch.rules.facts import Counted, Facts
from walletwatch.rules.parameters import WHOLE, Duration, LimitAmount, Params, Percent
from walletwatch.rules.rule_types import rule


class SweepParams(Params):
    """At least `min_percent` of the wallet's balance in one outflow."""

    min_percent: Percent = Field(default=90_000, gt=0, le=WHOLE)


class StructuringParams(Params):
    """At least `count` outflows within `window`, each at most `margin_percent` below `limit` and not above it."""

    limit: LimitAmount
    margin_percent: Percent = Field(default=10_000, gt=0, le=WHOLE)
    count: int = Field(default=3, ge=2, le=10**6)
    window: Duration = Field(default=86_400, gt=0)


class TestThenDrainParams(Params):
    """After a first payment to a new destination at least `factor` times as much follows within `window`, and at least
    `min_percent` of what the wallet held.
    """

    window: Duration = Field(default=86_400, gt=0)
    factor: int = Field(default=100, ge=2, le=10**9)
    min_percent: Percent = Field(default=10_000, ge=0, le=WHOLE)


class MultiAssetDrainParams(Params):
    """At least `min_assets` different assets to one destination within `window`; `new_only`: one not paid before it."""

    min_assets: int = Field(default=3, ge=2, le=10_000)
    window: Duration = Field(default=1_800, gt=0)
    new_only: bool = True


class SharedDestinationParams(Params):
    """Requests of at least `customers` customers for one destination within `window`."""

    customers: int = Field(default=3, ge=2, le=10**6)
    window: Duration = Field(default=86_400, gt=0)


@rule(
    type="sweep",
    family="pattern",
    severity=Severity.CRITICAL,
    description="One outflow takes (nearly) all that a wallet held.",
    source="DMM Bitcoin 2024-05-31: nine inputs, one output, no change; Bybit 2025-02-21",
)
def sweep(outflow: Outflow, facts: Facts, params: SweepParams) -> Verdict:
    """Violated by `min_percent` of the balance before, or more. Unknown without an opening balance."""
    held = facts.balance_before(outflow.wallet, outflow.asset)
    if outflow.amount * WHOLE < params.min_percent * held:
        return PASS
    share = say_percent(min(outflow.amount * WHOLE // held, WHOLE)) if held > 0 else "all"
    return violation(
        f"{say_amount(facts, outflow.asset, outflow.amount)} left {outflow.wallet} at once: {share} of what it held",
        amount=amount_json(facts, outflow.asset, outflow.amount),
        held=amount_json(facts, outflow.asset, max(0, held)),
        share=share,
        min_percent=say_percent(params.min_percent),
    )


@rule(
    type="structuring",
    family="pattern",
    severity=Severity.HIGH,
    description="Several outflows of a wallet, each just below a limit: somebody who knows it splits the amount.",
    source="31 U.S.C. 5324 (structuring); FATF virtual asset red flags 2020-09",
)
def structuring(outflow: Outflow, facts: Facts, params: StructuringParams) -> Verdict:
    """Violated by `count` outflows in the band within (t - window, t]. Unknown without a price where `limit` is USD."""
    limit = params.limit
    if limit.asset is not None and limit.asset != outflow.asset:
        return PASS
    fiat = limit.asset is None
    own = facts.price(outflow.asset).value_e8(outflow.amount) if fiat else outflow.amount
    floor = limit.units * (WHOLE - params.margin_percent)
    if not floor <= own * WHOLE <= limit.units * WHOLE:
        return PASS
    counted = facts.counted(params.window, wallet=outflow.wallet, asset=limit.asset, in_usd=fiat)
    sizes = ((c, (c.usd_e8 or 0) if fiat else c.amount) for c in counted)
    band = [c for c, size in sizes if floor <= size * WHOLE <= limit.units * WHOLE]
    if len(band) < params.count:
        return PASS
    return violation(
        f"{len(band)} outflows of {outflow.wallet} within {say_duration(params.window)}, each at most "
        f"{say_percent(params.margin_percent)} below {limit.text}",
        limit=limit_json(limit),
        margin=say_percent(params.margin_percent),
        count=len(band),
        window=window_json(outflow.broadcast_at, params.window),
        counted=counted_json(band),
    )


@rule(
    type="test_then_drain",
    family="pattern",
    severity=Severity.CRITICAL,
    description="A small first payment to an address, and soon after a large part of the wallet to the same address: "
    "thieves try the way before they use it.",
    source="Coincheck 2018-01-26: 10 XEM at 00:02, 520 M XEM by 00:10; Bitget 2026-09-24: 0.84 ETH 28 minutes before",
)
def test_then_drain(outflow: Outflow, facts: Facts, params: TestThenDrainParams) -> Verdict:
    """Violated when what followed the first payment reaches both measures. Unknown without an opening balance."""
    for place in paid_addresses(outflow):
        paid = facts.counted(params.window, wallet=outflow.wallet, asset=outflow.asset, destination=place)
        if len(paid) < 2 or not _is_new(place, outflow, facts, params.window):
            continue
        test, rest = paid[-1], paid[:-1]
        drained = sum(c.amount for c in rest)
        if drained < params.factor * test.amount:
            continue
        earlier = sum(c.amount for c in paid if c.outflow != outflow.id)
        held = facts.balance_before(outflow.wallet, outflow.asset) + earlier
        if drained * WHOLE >= params.min_percent * held:
            return _drained(place, outflow, facts, params, test, rest, held)
    return PASS


def _drained(
    place: Address,
    outflow: Outflow,
    facts: Facts,
    params: TestThenDrainParams,
    test: Counted,
    rest: Sequence[Counted],
    held: int,
) -> Verdict:
    drained = sum(c.amount for c in rest)
    minutes = int((outflow.broadcast_at - test.at).total_seconds()) // 60
    return violation(
        f"{say_amount(facts, outflow.asset, drained)} to {place}, {minutes} min after a first payment of "
        f"{say_amount(facts, outflow.asset, test.amount)}",
        destination=str(place),
        test=counted_json([test])[0],
        drained=amount_json(facts, outflow.asset, drained),
        held=amount_json(facts, outflow.asset, held),
        factor=params.factor,
        min_percent=say_percent(params.min_percent),
        window=window_json(outflow.broadcast_at, params.window),
        counted=counted_json(rest),
        **first_receivers(outflow),
    )


def _is_new(place: Address, outflow: Outflow, facts: Facts, window_secs: int) -> bool:
    """Whether nobody paid `place` before the window began."""
    first = facts.first_paid_at(place)
    return first is None or first > outflow.broadcast_at - timedelta(seconds=window_secs)


@rule(
    type="multi_asset_drain",
    family="pattern",
    severity=Severity.CRITICAL,
    description="Many different assets went to one address within minutes, and the address is new.",
    source="Liquid 2021-08-19, BingX 2024-09-20, Indodax 2024-09-11: dozens of tokens to one new owner",
)
def multi_asset_drain(outflow: Outflow, facts: Facts, params: MultiAssetDrainParams) -> Verdict:
    """Violated by `min_assets` assets to one destination in (t - window, t], from whichever own wallets."""
    for place in paid_addresses(outflow):
        paid = facts.counted(params.window, destination=place)
        assets = sorted({str(c.asset) for c in paid})
        if len(assets) < params.min_assets:
            continue
        if params.new_only and not _is_new(place, outflow, facts, params.window):
            continue
        return violation(
            f"{len(assets)} different assets went to {place} within {say_duration(params.window)}",
            destination=str(place),
            assets=shown(assets),
            count=len(assets),
            min_assets=params.min_assets,
            window=window_json(outflow.broadcast_at, params.window),
            counted=counted_json(paid),
            **first_receivers(outflow),
        )
    return PASS


@rule(
    type="shared_destination",
    family="pattern",
    severity=Severity.HIGH,
    description="Several customers asked to be paid to one and the same address: their accounts may have been taken "
    "over. Allowlisted addresses are exempt.",
    source="Coinbase 2021: at least 6,000 customer accounts taken over; FATF virtual asset red flags 2020-09",
)
def shared_destination(outflow: Outflow, facts: Facts, params: SharedDestinationParams) -> Verdict:
    """Violated by requests of `customers` customers in (t - window, t]. Unknown without an approval feed."""
    for place in paid_addresses(outflow):
        if facts.payee_index().trusts(place):
            continue
        requests = [r for r in facts.requests_to(place, params.window) if r.intent.customer]
        customers = sorted({r.intent.customer for r in requests})
        if len(customers) >= params.customers:
            return violation(
                f"{len(customers)} customers asked for payment to {place} within {say_duration(params.window)}",
                destination=str(place),
                customers=shown(customers),
                count=len(customers),
                requests=shown(r.id for r in requests),
                window=window_json(outflow.broadcast_at, params.window),
            )
    return PASS
