"""Applies every rule that fits a subject, and makes findings of the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import rfc8785

from chains.model import AssetId, ChainId
from walletwatch.domain.findings import PASS, Finding, Verdict, VerdictKind, finding_id, undetermined
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.facts import AwaitedRequest, Event, Facts, InternalTransfer
from walletwatch.rules.registry import RuleConfig, Selectors, rule_type
from walletwatch.rules.rule_types import Judge

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
    return subject.asset if isinstance(subject, Outflow | InternalTransfer | AwaitedRequest) else None


def is_plain(value: Any) -> bool:
    """Whether `value` is surely JSON that says the same when it is read back.

    Asked of every finding's evidence: the `rfc8785` library takes some 40 times as long to say so.
    """
    try:
        return bool(orjson.loads(orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)) == value)
    except TypeError:
        return False


OnError = Callable[[RuleConfig, Exception], None]
"""Called for every rule that raised; wrap it in `OncePerRule` for a log."""


@dataclass(slots=True)
class OncePerRule:
    """Passes on the first error of each kind of each rule: a broken rule raises on every outflow, thousands a day."""

    report: OnError
    _reported: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, config: RuleConfig, error: Exception) -> None:
        """Report `error` unless one of its kind was reported before."""
        key = (config.id, type(error).__name__)
        if key not in self._reported:
            self._reported.add(key)
            self.report(config, error)


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule's answer, kept for `explain`. `verdict` is None where the rule is not about this subject."""

    config: RuleConfig
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All answers about one subject, in the order of the rules."""

    subject: Outflow | Event
    answers: tuple[Judged, ...]

    @property
    def passes(self) -> tuple[RuleConfig, ...]:
        """The rules that apply and are satisfied."""
        return tuple(a.config for a in self.answers if a.verdict and a.verdict.kind is VerdictKind.PASS)

    def findings(self, digest: str, found_at: datetime) -> tuple[Finding, ...]:
        """What is kept: violations and undetermined verdicts. `digest` is that of the rules in force."""
        return tuple(
            _finding(self.subject, answer.config, answer.verdict, digest, found_at)
            for answer in self.answers
            if answer.verdict is not None and answer.verdict.kind is not VerdictKind.PASS
        )


def judge(
    outflow: Outflow,
    facts: Facts,
    configs: Iterable[RuleConfig],
    digest: str,
    found_at: datetime,
    *,
    on_error: OnError | None = None,
) -> tuple[Finding, ...]:
    """The findings about one outflow; a pass is none. The same input always gives the same findings."""
    return _judge(outflow, facts, configs, digest, found_at, on_error)


def judge_event(
    event: Event,
    facts: Facts,
    configs: Iterable[RuleConfig],
    digest: str,
    found_at: datetime,
    *,
    on_error: OnError | None = None,
) -> tuple[Finding, ...]:
    """The findings about what is no outflow: a change of control, a sent transaction, a move between own wallets."""
    return _judge(event, facts, configs, digest, found_at, on_error)


def _judge(
    subject: Outflow | Event,
    facts: Facts,
    configs: Iterable[RuleConfig],
    digest: str,
    found_at: datetime,
    on_error: OnError | None,
) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for planned in plan_of(configs).about(subject):
        verdict = _ask(subject, facts, planned, on_error)
        if verdict is not PASS and verdict is not None and verdict.kind is not VerdictKind.PASS:
            found.append(_finding(subject, planned.config, verdict, digest, found_at))
    return tuple(found)


def examine(
    subject: Outflow | Event, facts: Facts, configs: Iterable[RuleConfig], *, on_error: OnError | None = None
) -> Judgement:
    """Every rule's answer about `subject`, passes too. Rules about other kinds of subject are left out."""
    answers = []
    for config in configs:
        entry = rule_type(config.type)
        if entry.judge is not None and entry.subject is type(subject):
            planned = Planned(config, entry.judge, config.selectors.roles)
            is_meant = fits(subject, config.selectors)
            answers.append(Judged(config, _ask(subject, facts, planned, on_error) if is_meant else None))
    return Judgement(subject, tuple(answers))


def _ask(subject: Outflow | Event, facts: Facts, planned: Planned, on_error: OnError | None) -> Verdict | None:
    config, judge_it, roles = planned
    try:
        if roles and facts.role(subject.wallet) not in roles:
            return None
        verdict = judge_it(subject, facts, config.params)
        if verdict is not PASS and verdict.kind is not VerdictKind.PASS:
            # Evidence that is no JSON would break the transaction that keeps it, and with it the whole block.
            evidence = dict(verdict.evidence)
            if not is_plain(evidence):
                rfc8785.dumps(evidence)
    except Unknown as unknown:
        return undetermined(str(unknown) or "the facts this rule needs are not known")
    except Exception as error:  # noqa: BLE001 - a broken rule must not stop the others; it is reported and kept
        if on_error is not None:
            on_error(config, error)
        return undetermined(f"rule {config.id} ({config.type}) raised {type(error).__name__}")
    return verdict


def _finding(
    subject: Outflow | Event, config: RuleConfig, verdict: Verdict, digest: str, found_at: datetime
) -> Finding:
    found_asset = asset_of(subject)
    chain, asset = str(subject.chain), "" if found_asset is None else str(found_asset)
    evidence: dict[str, Any] = dict(verdict.evidence)
    about = subject.authorisation.request.id if isinstance(subject, AwaitedRequest) else ""
    return Finding(
        id=finding_id(chain, subject.tx, subject.wallet, asset, config.id, about),
        rule=config.type,
        rule_id=config.id,
        verdict=verdict.kind,
        severity=verdict.severity or config.severity,
        mode=config.mode,
        chain=chain,
        tx=subject.tx,
        wallet=subject.wallet,
        asset=asset,
        outflow=subject.id if isinstance(subject, Outflow) else None,
        summary=verdict.summary,
        evidence=evidence,
        rules_digest=digest,
        found_at=found_at,
    )


__all__ = ["Judged", "Judgement", "OnError", "OncePerRule", "examine", "judge", "judge_event"]
