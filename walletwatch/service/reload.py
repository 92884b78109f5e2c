"""Another configuration for a daemon that runs: what of it may take effect, and what waits for a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from chains.source import ChainSource, SourceSpec
from walletwatch.alerts.dispatcher import Dispatcher
from walletwatch.domain.alerts import Outcome
from walletwatch.service.application import Application
from walletwatch.service.coverage import Difference, compare, refuse_replaced
from walletwatch.settings import SecretMissing, Settings, SettingsError, refreshed, stamps
from walletwatch.settings.loading import FileStamp
from walletwatch.store import UnitOfWork
from walletwatch.watch.findings import Incident
from walletwatch.watch.worker import ChainWorker

_log = logging.getLogger(__name__)

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Change:
    """`app`, its workers and its dispatcher are to take the place of those that run. `waiting` are the tables whose
    change needs a restart; `settings` has them as they were. `difference` is what will be watched less of; `stamps` are
    those of the address files as read.
    """

    app: Application
    workers: tuple[ChainWorker, ...]
    dispatcher: Dispatcher
    waiting: tuple[str, ...]
    difference: Difference
    stamps: Mapping[str, FileStamp | None]


class ReloadRefused(Exception):
    """The configuration cannot be used; each of `problems` says where and why. What was in force stays."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def merge(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """What of `new` may take effect at once, with the rest as in `old`, and the tables that wait for a restart.

    A database or an audit log is never exchanged under a running watch; chains and their nodes were opened, and
    endpoints are listened on, since the start.
    """
    parts: dict[str, object] = {}
    waiting: list[str] = []
    if new.store != old.store:
        parts["store"] = old.store
        waiting.append("[store]")
    same_log = (new.audit.origin, new.audit.signing_key) == (old.audit.origin, old.audit.signing_key)
    if not same_log:
        parts["audit"] = old.audit
        waiting.append("[audit] origin, signing_key")
    if new.chains != old.chains:
        parts["chains"] = old.chains
        waiting.append("[[chain]]")
    ours, theirs = (tuple(f for f in settings.feeds if f.type == "http") for settings in (old, new))
    if ours != theirs:
        parts["feeds"] = (*(f for f in new.feeds if f.type != "http"), *ours)
        waiting.append('[[approval_feed]] of type "http"')
    return (new.with_parts(**parts) if parts else new), tuple(waiting)


def prepare(app: Application, workers: tuple[ChainWorker, ...], new: Settings) -> Change:
    """Build all of the new configuration beside the old one, which nothing of this touches. Raises ReloadRefused."""
    known = stamps(new)
    settings, waiting = merge(app.settings, new)
    try:
        replaced = refuse_replaced(app.settings, settings)
        if replaced:
            raise ReloadRefused([str(problem) for problem in replaced])
        successor = app.successor(settings)
        chosen = tuple(_workers(app, successor, workers))
        difference = compare(app.settings, settings, app.deployment.rules, successor.deployment.rules)
        return Change(successor, chosen, successor.dispatcher(), waiting, difference, known)
    except (ValueError, LookupError, SecretMissing) as error:
        reasons = [str(error)] + [f"{table} was changed too, and needs a restart first" for table in waiting]
        raise ReloadRefused(reasons) from error


def _workers(old: Application, new: Application, workers: tuple[ChainWorker, ...]) -> Iterator[ChainWorker]:
    """A worker for each chain. It goes on with the source that runs, unless tokens or Safes to look at changed."""
    running = {worker.watched.chain: worker.source for worker in workers}
    for chain in new.settings.chains:
        source: ChainSource | None = running[chain.id]
        if _watched_parts(old.settings.source_spec(chain)) != _watched_parts(new.settings.source_spec(chain)):
            source = None
        yield new.worker(chain, source)


def _watched_parts(spec: SourceSpec) -> object:
    return spec.tokens, spec.contract_wallets


def record_change(old: Application, change: Change) -> None:
    """The audit entry of a configuration that takes effect."""
    payload = {
        "before": old.settings.digest,
        "after": change.app.settings.digest,
        "rules_before": old.deployment.rules_digest,
        "rules_after": change.app.deployment.rules_digest,
        "needs_restart": list(change.waiting),
        **change.difference.as_json(),
    }
    with old.store.transaction() as unit:
        unit.audit.append("walletwatch", "config.reloaded", str(change.app.settings.file), payload)
        change.app.approvals.keep_policies(unit)


def _report(app: Application, unit: UnitOfWork, difference: Difference) -> str:
    """Raise an alert at the sinks of `app` of what will be watched less of. Returns the alert's id."""
    about, period = str(app.settings.file), unit.now.isoformat()
    incident = Incident("watching_less", difference.summary(), about, period, "", difference.as_json())
    app.judge.findings.report(unit, incident)
    alert = unit.alerts.by_fingerprint(f"watching_less/{about}/{period}")
    return "" if alert is None else alert.id


def tell_first(app: Application, change: Change, pause: Callable[[], bool]) -> tuple[str, ...]:
    """Tell the sinks in force what will be watched less of, and wait until each was told or refused it, at most for
    `[run] give_up_after`. Returns those that were not told. `pause` waits a moment; true if the wait is to end.
    """
    if not change.difference:
        return ()
    with app.approvals.held(), app.store.transaction() as unit:
        alert_id = _report(app, unit, change.difference)
    until = app.store.clock() + app.settings.run.give_up_after
    untold = _untold(app, alert_id)
    while untold and app.store.clock() < until and not pause():
        untold = _untold(app, alert_id)
    return untold


def _untold(app: Application, alert_id: str) -> tuple[str, ...]:
    with app.store.reading() as unit:
        alert = unit.alerts.get(alert_id)
    return () if alert is None else tuple(d.sink for d in alert.deliveries if d.outcome is Outcome.RETRYING)


def record_untold(change: Change, untold: tuple[str, ...]) -> None:
    """Tell the sinks from now on what the ones before them could not be told."""
    app = change.app
    _log.error("the configuration takes effect, and %s could not be told of it first", ", ".join(untold))
    summary = f"{change.difference.summary()}; could not be told to {', '.join(untold)} before it took effect"
    with app.approvals.held(), app.store.transaction() as unit:
        evidence = {**change.difference.as_json(), "not_told": list(untold)}
        about, period = str(app.settings.file), f"{unit.now.isoformat()}/not-told"
        app.judge.findings.report(unit, Incident("watching_less", summary, about, period, "", evidence))


def read_addresses(app: Application, known: Mapping[str, FileStamp | None]) -> Settings:
    """The configuration in force with its address files read again, where they are no longer as `known`; recorded, and
    told where addresses came or went. Raises SettingsError for files that cannot be used.
    """
    settings = refreshed(app.settings, known)
    replaced = refuse_replaced(app.settings, settings)
    if replaced:
        raise SettingsError(replaced)
    difference = compare(app.settings, settings)
    with app.approvals.held(), app.store.transaction() as unit:
        for chain in settings.chains:
            payload = {"digest": settings.perimeter(chain.id).digest(), **difference.as_json()}
            unit.audit.append("walletwatch", "perimeter.changed", chain.name, payload)
        if difference:
            _report(app, unit, difference)
    return settings


def record_refusal(app: Application, problems: list[str]) -> None:
    """Record that a configuration was refused, and raise an alert: what was written is not in force."""
    file = str(app.settings.file)
    shown = problems[:_SHOWN]
    with app.approvals.held(), app.store.transaction() as unit:
        payload = {"in_force": app.settings.digest, "problems": shown, "count": len(problems)}
        unit.audit.append("walletwatch", "config.refused", file, payload)
        summary = f"the configuration {file} could not be read again: {problems[0]}"
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        evidence = {"problems": shown, "in_force": app.settings.digest}
        period = unit.now.strftime("%Y-%m-%dT%H:%M:%S")
        app.judge.findings.report(unit, Incident("configuration_refused", summary + more, file, period, "", evidence))


def problems_of(error: SettingsError) -> list[str]:
    """Every problem as one line."""
    return [str(problem) for problem in error.problems]
