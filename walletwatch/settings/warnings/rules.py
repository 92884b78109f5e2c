"""Warnings about rules: those that judge nothing, cannot judge, or tell nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from walletwatch.settings.entries import Entry
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.sections import SELECTORS, RuleSettings
from walletwatch.settings.warnings.tables import (
    is_fiat,
    is_whole,
    line_of,
    listed,
    selection_of,
    sound,
    unpriced,
    wallets_of,
)

_QUIET = ("low", "info")
_LIMITS = ("max", "limit")


def warn_of_rules(partial: PartialSettings, default_rules: Collection[str]) -> Iterator[Problem]:
    """Rules that fit nothing, that are quieter than they should be, that can never or always be violated, twins."""
    if not is_whole(partial, "wallet", "chain", "asset", "price"):
        return
    seen: dict[str, Entry[Any]] = {}
    by_type: dict[str, list[Entry[Any]]] = {}
    for entry in sound(partial, "rule"):
        by_type.setdefault(entry.value.type, []).append(entry)
    for entry in sound(partial, "rule"):
        rule: RuleSettings = entry.value
        if rule.type in default_rules:
            yield from _of_default(partial, entry, by_type[rule.type])
        yield from _of_selection(partial, entry)
        yield from _of_parameters(partial, entry)
        twin = seen.setdefault(repr(sorted(_what(rule).items())), entry)
        if twin is not entry:
            message = f'finds the same as "{twin.value.rule_id}" ({line_of(twin)}), a second time'
            yield entry.problem("type", message, "remove one of the two")


def _what(rule: RuleSettings) -> Mapping[str, Any]:
    return {key: value for key, value in rule.table().items() if key not in ("id", "severity", "mode")}


def _of_default(partial: PartialSettings, entry: Entry[Any], same: list[Entry[Any]]) -> Iterator[Problem]:
    """A rule that judges without being named is off, quiet or narrower because it is named."""
    rule: RuleSettings = entry.value
    if rule.mode == "shadow":
        message = f'"{rule.type}" is in shadow: what it finds is told nobody'
        yield entry.problem("mode", message, 'mode = "enforce", or remove the rule: it is on without it')
    if rule.severity is not None and str(rule.severity) in _QUIET:
        message = f'"{rule.type}" of severity {rule.severity} wakes nobody'
        yield entry.problem("severity", message, "remove severity: the default is right")
    given = next((key for key in SELECTORS if getattr(rule, key)), None)
    if given is None or any(not any(getattr(e.value, key) for key in SELECTORS) for e in same):
        return
    covered = frozenset[str]().union(*(selection_of(partial, e).wallets for e in same))
    left_out = sorted({wallet.name for wallet in wallets_of(partial)} - covered)
    if left_out:
        message = f'"{rule.type}" is off for {listed(left_out)}'
        yield entry.problem(given, message, "remove the selector: the rule is on for every wallet without it")


def _of_selection(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    rule: RuleSettings = entry.value
    given = [key for key in SELECTORS if getattr(rule, key)]
    if given and wallets_of(partial) and selection_of(partial, entry).is_empty:
        message = f'"{rule.rule_id}" fits no wallet and asset that is configured, and judges nothing'
        yield entry.problem(_culprit(partial, entry, given), message, "correct the selector, or remove the rule")
    roles = {wallet.role for wallet in wallets_of(partial)}
    for key in ("from_roles", "to_roles", "online_roles"):
        named = rule.params.get(key)
        if isinstance(named, list) and roles and roles.isdisjoint(str(n) for n in named):
            message = f"no wallet has the role {' or '.join(str(n) for n in named)}: the rule judges nothing"
            yield entry.problem(key, message, "correct the roles, or remove the rule")


def _culprit(partial: PartialSettings, entry: Entry[Any], given: list[str]) -> str:
    """The selector to look at first: one that fits nothing even alone."""
    roles = {wallet.role for wallet in wallets_of(partial)}
    if "roles" in given and roles.isdisjoint(entry.value.roles):
        return "roles"
    held = {partial.chain_of(wallet.chain) for wallet in wallets_of(partial)}
    meant = [asset for name in entry.value.assets for asset in partial.reader.assets(name)]
    if "assets" in given and all(asset.id.chain not in held for asset in meant):
        return "assets"
    return given[-1]


def _of_parameters(partial: PartialSettings, entry: Entry[Any]) -> Iterator[Problem]:
    rule: RuleSettings = entry.value
    for key, value in rule.params.items():
        if is_fiat(value):
            missing = unpriced(partial, selection_of(partial, entry).assets)
            if missing:
                message = f"cannot be judged without a price for {listed(missing)}: each such payment is undetermined"
                yield entry.problem(key, message, "add a [[price]] for each, or name assets")
        if key in _LIMITS and isinstance(value, str) and not value.partition(" ")[0].strip("0."):
            yield entry.problem(key, "every payment is a violation", "write the largest amount that is fine")
    share = rule.params.get("max_percent")
    if isinstance(share, int | float) and share >= 100:
        yield entry.problem("max_percent", f"{share} % can never be exceeded", "write less than 100")
    if "allowlist" in rule.params and not rule.params["allowlist"]:
        yield entry.problem(
            "allowlist", "is empty: every payment is a violation", "list the addresses that may be paid"
        )
