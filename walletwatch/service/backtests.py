"""Judges stored history by other rules. Nothing is written or sent."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from chains.model import ChainId, TxId
from walletwatch.deployment import Deployment
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.history.facts import StoreFacts
from walletwatch.history.what_if import BacktestHistory
from walletwatch.labels.label_book import LabelBook
from walletwatch.rules.engine import judge
from walletwatch.rules.registry import RuleConfig, RuleErrors, configure, rule_type, rules_digest
from walletwatch.service.deployment import deploy, load_labels
from walletwatch.settings import Settings
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.statements import Filter

Progress = Callable[[int, int], None]
"""Called with (outflows done, outflows in all)."""

_MAX_BYTES = 4 * 1024 * 1024
_STEP = 2_000


class RulesFileError(ValueError):
    """The file holds no usable rules; `errors` are (place, message) pairs, all of them."""

    def __init__(self, path: Path, errors: list[tuple[str, str]]) -> None:
        self.path, self.errors = path, errors
        super().__init__("\n".join(f"{path}: {place}: {message}" for place, message in errors))


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """`alerts` counts the transactions (with what replaces them) that have a finding of a rule in enforce mode.
    `lead_time_secs` is how long before the largest loss the first such finding about lost value came; a loss is an
    outflow with an authorisation finding that nothing explained. None if there was no loss, or no alert before it.
    `skipped` are rules that history alone cannot judge (approvals, control, operation).
    """

    findings: tuple[Finding, ...]
    outflows: int
    alerts: int
    alerts_by_day: Mapping[date, int]
    lead_time_secs: int | None
    skipped: tuple[str, ...]
    rules_digest: str

    @property
    def alerts_per_day(self) -> float:
        """The mean over all days of the range."""
        return round(self.alerts / len(self.alerts_by_day), 3) if self.alerts_by_day else 0.0

    @property
    def quiet_days(self) -> tuple[date, ...]:
        """Days (UTC) of the range without an alert."""
        return tuple(day for day, count in self.alerts_by_day.items() if not count)

    def as_json(self) -> dict[str, Any]:
        """The result but its findings, as JSON values."""
        return {
            "outflows": self.outflows,
            "alerts": self.alerts,
            "alerts_per_day": self.alerts_per_day,
            "quiet_days": [day.isoformat() for day in self.quiet_days],
            "lead_time_secs": self.lead_time_secs,
            "skipped": list(self.skipped),
            "rules_digest": self.rules_digest,
        }


@dataclass(frozen=True, slots=True)
class RulesDiff:
    """What differs between two rule files, by rule id."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]
    """Per rule: key -> (before, after), as the normal form of a rule has it."""


def read_rules(settings: Settings, path: Path) -> tuple[RuleConfig, ...]:
    """The `[[rule]]` tables of a TOML file. Raises RulesFileError with everything that is wrong, or OSError."""
    if path.stat().st_size > _MAX_BYTES:
        raise RulesFileError(path, [("file", f"is larger than {_MAX_BYTES} bytes")])
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RulesFileError(path, [("file", str(error))]) from error
    errors = [(key, "only [[rule]] tables are expected") for key in tables if key != "rule"]
    rules = tables.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(table, dict) for table in rules):
        raise RulesFileError(path, [("rule", "a list of [[rule]] tables is expected")])
    configs: list[RuleConfig] = []
    names = [wallet.name for wallet in settings.wallets]
    for n, table in enumerate(rules, 1):
        try:
            configs.append(configure(table, amounts=settings.reader, wallets=names))
        except RuleErrors as wrong:
            errors += [(f"rule {n}.{key}", message) for key, message in wrong.errors]
    twice = [name for name, count in Counter(config.id for config in configs).items() if count > 1]
    errors += [(f"rule {name}", "this id is given twice") for name in twice]
    if errors:
        raise RulesFileError(path, errors)
    return tuple(configs)


def compare_rules(before: tuple[RuleConfig, ...], after: tuple[RuleConfig, ...]) -> RulesDiff:
    """What was added, removed and changed."""
    old, new = ({config.id: config.as_json() for config in some} for some in (before, after))
    changed = {
        name: {key: (old[name].get(key), value) for key, value in new[name].items() if old[name].get(key) != value}
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    }
    return RulesDiff(tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), changed)


def backtest(
    settings: Settings,
    store: Store,
    rules_file: Path,
    chain: str,
    heights: tuple[int, int],
    progress: Progress | None = None,
    labels: LabelBook | None = None,
) -> BacktestResult:
    """Hold every stored outflow of blocks `heights` (both included) against the rules of `rules_file`, in the order in
    which they were judged; each sees what was known when it was judged. Raises RulesFileError, OSError, or KeyError for
    a chain that is not configured.
    """
    rules = read_rules(settings, rules_file)
    book = load_labels(settings, store) if labels is None else labels
    with store.reading() as unit:
        trial = _Backtest(unit, deploy(settings, book, store.clock), rules)
        return trial.run(settings.chain(chain).id, heights, progress)


class _Backtest:
    """One pass over history."""

    def __init__(self, unit: UnitOfWork, deployment: Deployment, rules: tuple[RuleConfig, ...]) -> None:
        self._unit = unit
        self._deployment = deployment
        judged = {c.id: rule_type(c.type).subject is Outflow for c in rules}
        usable = {c.id: judged[c.id] and rule_type(c.type).family != "authorisation" for c in rules}
        self._rules = tuple(c for c in rules if usable[c.id])
        self._skipped = tuple(c.id for c in rules if not usable[c.id])
        self._digest = rules_digest(rules)
        self._history = BacktestHistory(unit, deployment)
        self._findings: list[Finding] = []
        self._alerted: dict[TxId, datetime] = {}

    def run(self, chain: ChainId, heights: tuple[int, int], progress: Progress | None) -> BacktestResult:
        """Judge everything."""
        whole = self._unit.outflows.count_between(chain, *heights)
        done, days = 0, Counter[date]()
        span: list[datetime] = []
        judged = self._unit.outflows.judged_between(chain, *heights)
        for _, group in groupby(judged, key=lambda pair: pair[1].tx):
            outflows = list(group)
            self._history.take_in(outflows)
            block = outflows[0][1].block
            meant = outflows[0][1].chain == chain and block is not None and heights[0] <= block.height <= heights[1]
            alerted = meant and self._judge_transaction([o for _, o in outflows])
            self._history.go_on(outflows)
            if not meant:
                continue
            first = outflows[0][1]
            span = [min([*span[:1], first.broadcast_at]), max([*span[1:], first.broadcast_at])]
            if alerted and _family(first) not in self._alerted:
                self._alerted[_family(first)] = first.broadcast_at
                days[first.broadcast_at.date()] += 1
            if progress is not None and (done // _STEP) != (done + len(outflows)) // _STEP:
                progress(done + len(outflows), whole)
            done += len(outflows)
        if progress is not None:
            progress(done, whole)
        by_day = {day: days[day] for day in _days(span)}
        lead = self._lead_time(chain, span)
        return BacktestResult(
            tuple(self._findings), done, len(self._alerted), by_day, lead, self._skipped, self._digest
        )

    def _judge_transaction(self, outflows: list[Outflow]) -> bool:
        """Whether it would raise an alert."""
        found = [finding for outflow in outflows for finding in self._ask(outflow)]
        self._findings += found
        self._history.meet(outflows[0])
        return any(finding.mode is Mode.ENFORCE for finding in found)

    def _ask(self, outflow: Outflow) -> tuple[Finding, ...]:
        history = self._history
        transaction = partial(history.transaction, outflow)
        facts = StoreFacts(history.sources, outflow, transaction, _NOT_MATCHED, history.payees)
        return judge(outflow, facts, self._rules, self._digest, outflow.broadcast_at)

    def _lead_time(self, chain: ChainId, span: list[datetime]) -> int | None:
        """From the first alert about lost value to the largest loss."""
        if not span:
            return None
        wanted = Filter(chain=str(chain), severity=str(Severity.CRITICAL), verdict=str(VerdictKind.VIOLATION))
        found = [f for f in self._unit.findings.find(wanted) if rule_type(f.rule).family == "authorisation"]
        open_ids = {f.id for f in found} - set(self._unit.findings.resolutions([f.id for f in found]))
        ids = dict.fromkeys(f.outflow for f in found if f.id in open_ids and f.outflow)
        lost = [o for o in map(self._unit.outflows.get, ids) if o is not None and span[0] <= o.broadcast_at <= span[1]]
        warned = [self._alerted[_family(o)] for o in lost if _family(o) in self._alerted]
        if not lost or not warned:
            return None
        largest = max(lost, key=lambda o: (self._usd(o), o.amount))
        lead = int((largest.broadcast_at - min(warned)).total_seconds())
        return lead if lead >= 0 else None

    def _usd(self, outflow: Outflow) -> int:
        try:
            return self._deployment.prices.price(outflow.asset, outflow.broadcast_at).value_e8(outflow.amount)
        except Unknown:
            return 0


_NOT_MATCHED = Unknown("approvals are not judged again in a backtest")


def _family(outflow: Outflow) -> TxId:
    return outflow.family or outflow.tx


def _days(span: list[datetime]) -> Iterator[date]:
    if span:
        day, last = span[0].date(), span[-1].date()
        while day <= last:
            yield day
            day += timedelta(days=1)
