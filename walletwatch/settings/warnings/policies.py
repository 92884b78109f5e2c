"""Warnings about approval policies: those that never apply, cannot be judged, or excuse too much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from walletwatch.domain.prices import USD_SCALE
from walletwatch.settings.amounts import Money
from walletwatch.settings.approvals import PolicySettings
from walletwatch.settings.entries import Entry
from walletwatch.settings.fields import show_duration
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Fault, Problem
from walletwatch.settings.references import chains_meant
from walletwatch.settings.warnings.tables import is_fiat, is_whole, line_of, listed, selection_of, sound, unpriced

_OLDEST = timedelta(days=30)
_MOST_USD = 1_000
"""A difference worth more than this is no rounding."""
_READ = frozenset({"chains", "assets", "wallets", "min_value"})
_ASKING = frozenset(
    {
        "name",
        "quorum",
        "groups",
        "requester_may_approve",
        "max_age",
        "min_delay",
        "hours",
        "days",
        "holidays",
        "closed",
        "timezone",
        "tolerance",
        "fee_deducted",
        "max_deduction",
        "parts",
        "any_of",
        "automatic",
    }
)
"""Keys that say what a policy asks for, and not what it is for."""


def warn_of_policies(partial: PartialSettings) -> Iterator[Problem]:
    """Policies that nothing reaches, tiers without prices, times that exclude each other, absurd leeway."""
    if not is_whole(partial, "wallet", "chain", "asset", "price"):
        return
    earlier: list[Entry[Any]] = []
    for entry in sound(partial, "approval_policy"):
        selection = selection_of(partial, entry)
        if selection.is_empty:
            message = f'the policy "{entry.value.name}" fits no wallet and asset that is configured'
            yield entry.problem("name", message, "correct chains, assets or wallets, or remove the policy")
        else:
            yield from _of_order(partial, entry, earlier)
            yield from _of_tier(partial, entry)
        yield from _of_times(entry)
        yield from _of_tolerance(partial, entry)
        earlier.append(entry)


def _of_order(partial: PartialSettings, entry: Entry[Any], earlier: list[Entry[Any]]) -> Iterator[Problem]:
    for other in earlier:
        if _covers(partial, other, entry):
            stricter = "" if other.value.quorum >= entry.value.quorum else ", and asks for less"
            message = f'"{entry.value.name}" never applies: "{other.value.name}" ({line_of(other)}) stands before it'
            yield entry.problem("name", f"{message}, fits all that it fits{stricter}", "put the stricter policy first")
            return


def _table(entry: Entry[Any]) -> Mapping[str, Any]:
    table: Mapping[str, Any] = entry.document.data["approval_policy"][int(entry.path[1])]
    return table


def _covers(partial: PartialSettings, wide: Entry[Any], narrow: Entry[Any]) -> bool:
    """Whether `wide` fits everything that `narrow` fits. Selectors that are not known here must be the same."""
    first, second = _table(wide), _table(narrow)
    unknown = [key for key in first if key not in _READ | _ASKING]
    if any(first[key] != second.get(key) for key in unknown):
        return False
    around, within = selection_of(partial, wide), selection_of(partial, narrow)
    if not (within.wallets <= around.wallets and within.assets <= around.assets):
        return False
    low, high = (_least(partial, entry) for entry in (wide, narrow))
    if low is None or low.units == 0:
        return True
    return high is not None and high.asset == low.asset and high.units >= low.units


def _least(partial: PartialSettings, entry: Entry[Any]) -> Money | None:
    text = entry.value.min_value
    return None if text is None else partial.reader.read(text, chains_meant(partial, entry))


def _of_tier(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    if not is_fiat(entry.value.min_value):
        return
    missing = unpriced(partial, selection_of(partial, entry).assets)
    if missing:
        message = f"whether a payment is so large is not known without a price for {listed(missing)}"
        yield entry.problem("min_value", message, "add a [[price]] for each, or name assets")


def _of_times(entry: Entry[Any]) -> Iterator[Problem]:
    policy: PolicySettings = entry.value
    if policy.min_delay is not None and policy.max_age is not None and policy.min_delay >= policy.max_age:
        late, old = show_duration(policy.min_delay), show_duration(policy.max_age)
        message = f"a request waits {late} for its approvals, and the payment may follow them only within {old}"
        yield entry.problem("min_delay", message, "write a min_delay below max_age")
    if policy.max_age is not None and policy.max_age > _OLDEST:
        message = f"an approval forgotten for {show_duration(policy.max_age)} still lets money go"
        yield entry.problem("max_age", message, 'max_age = "24h"')


def _of_tolerance(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    chains = chains_meant(partial, entry)
    for n, text in enumerate(entry.value.tolerance):
        try:
            money = partial.reader.read(text, chains)
        except Fault:
            continue  # told as an error
        excused = _excuse(partial, money)
        if excused:
            message = f"{money.text} may differ without a finding: {excused}"
            yield entry.problem(("tolerance", n), message, "allow what your rounding needs, no more")


def _excuse(partial: PartialSettings, money: Money) -> str:
    """Why a tolerance is too much; empty if it is not. Without a fixed price one whole unit is."""
    if money.asset is None:
        return ""
    prices = [e.value for e in sound(partial, "price") if money.asset in partial.reader.assets(e.value.asset)]
    usd = next((price.usd for price in prices if price.usd), None)
    if usd is not None:
        worth = money.units * usd // 10**money.asset.decimals // USD_SCALE
        return f"{worth:,} USD" if worth > _MOST_USD else ""
    return "a whole unit or more" if money.units >= 10**money.asset.decimals else ""
