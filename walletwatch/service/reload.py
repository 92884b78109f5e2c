"""Another configuration for a daemon that runs: what of it may take effect, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chains.source import ChainSource, SourceSpec
from walletwatch.alerts.dispatcher import Dispatcher
from walletwatch.service.application import Application
from walletwatch.settings import SecretMissing, Settings, SettingsError
from walletwatch.watch.findings import Incident
from walletwatch.watch.worker import ChainWorker

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Change:
    """`app`, its workers and its dispatcher are to take the place of those that run. `waiting` are the tables whose
    change needs a restart; `settings` has them as they were.
    """

    app: Application
    workers: tuple[ChainWorker, ...]
    dispatcher: Dispatcher
    waiting: tuple[str, ...]


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
    settings, waiting = merge(app.settings, new)
    try:
        successor = app.successor(settings)
        chosen = tuple(_workers(app, successor, workers))
        return Change(successor, chosen, successor.dispatcher(), waiting)
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
    }
    with old.store.transaction() as unit:
        unit.audit.append("walletwatch", "config.reloaded", str(change.app.settings.file), payload)
        change.app.approvals.keep_policies(unit)


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
