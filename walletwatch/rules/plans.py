"""Which rules are about a subject: found once for each kind of subject, not at each outflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from chains.model import AssetId, ChainId
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.events import AwaitedRequest, Event, OwnMove
from walletwatch.rules.registry import Judge, RuleConfig, Selectors, rule_type

_MOST_PLANS = 16
_MOST_KINDS = 10_000
"""Anybody can make new assets, and with each of them a new kind of subject."""


class Planned(NamedTuple):
    """A rule that fits but for its `roles`: what role a wallet has is a fact, and may be unknown."""

    config: RuleConfig
    judge: Judge
    roles: tuple[str, ...]


class Plan:
    """The configured rules, by what they are about."""

    def __init__(self, configs: Iterable[RuleConfig]) -> None:
        self._by_subject: dict[type | None, list[Planned]] = {}
        for config in configs:
            entry = rule_type(config.type)
            if entry.judge is not None:
                planned = Planned(config, entry.judge, config.selectors.roles)
                self._by_subject.setdefault(entry.subject, []).append(planned)
        self._kinds: dict[tuple[type, str, ChainId, AssetId | None], tuple[Planned, ...]] = {}

    def about(self, subject: Outflow | Event) -> tuple[Planned, ...]:
        """The rules about `subject` whose wallets, chains and assets let it through, in their order."""
        kind = (type(subject), subject.wallet, subject.chain, asset_of(subject))
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            candidates = self._by_subject.get(type(subject), ())
            found = tuple(p for p in candidates if fits(subject, p.config.selectors))
            self._kinds[kind] = found
        return found


_plans: dict[int, tuple[tuple[RuleConfig, ...], Plan]] = {}


def plan_of(configs: Iterable[RuleConfig]) -> Plan:
    """The plan of these rules; that of a tuple, which cannot change, is kept."""
    if not isinstance(configs, tuple):
        return Plan(configs)
    kept = _plans.get(id(configs))
    if kept is None or kept[0] is not configs:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        kept = _plans[id(configs)] = (configs, Plan(configs))
    return kept[1]


def fits(subject: Outflow | Event, selectors: Selectors) -> bool:
    """Whether wallet, chain and asset are among those selected."""
    if selectors.wallets and subject.wallet not in selectors.wallets:
        return False
    if selectors.chains and subject.chain not in selectors.chains:
        return False
    return not selectors.assets or asset_of(subject) in selectors.assets


def asset_of(subject: Outflow | Event) -> AssetId | None:
    """The asset of what moves; None where nothing does."""
    return subject.asset if isinstance(subject, Outflow | OwnMove | AwaitedRequest) else None


def is_plain(value: Any) -> bool:
    """Whether `value` is surely JSON that says the same when it is read back.

    Asked of every finding's evidence: the `rfc8785` library takes some 40 times as long to say so.
    """
    try:
        return bool(orjson.loads(orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)) == value)
    except TypeError:
        return False
