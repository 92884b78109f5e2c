"""The recorded theft, played to the real program by a clock of its own."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final, TextIO

import orjson
from joserfc.util import urlsafe_b64decode

from chains.model import (
    BlockRef,
    PendingFacts,
)
from chains.registry import open_source
from chains.source import ChainSource, DelegatingSource, WatchSet
from walletwatch.alerts.lifecycle import acknowledge
from walletwatch.audit.notes import SigningKey
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.times import parse_utc
from walletwatch.service.application import Application
from walletwatch.service.deployment import check_rule
from walletwatch.settings import Settings, load
from walletwatch.store import open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.opening_balances import keep_holdings, read_holdings
from walletwatch.watch.worker import ChainWorker, Tick


class PacedClock:
    """The time of the days that are played. `set` moves it; asking does not."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def __call__(self) -> datetime:
        """The moment that is played, UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Move on, never back."""
        self._now = max(self._now, now)


class PacedSource(DelegatingSource):
    """Shows of a finished recording what was there at a time: the chain up to `height`, and the mempool only where
    `mempool` is set.
    """

    def __init__(self, inner: ChainSource, confirmations: int, clock: PacedClock) -> None:
        super().__init__(inner)
        self.height = 0
        self.mempool = False
        self._confirmations = confirmations
        self.clock = clock

    def show(self, at: datetime, height: int, *, mempool: bool) -> None:
        """It is `at` now, and the best block is at `height`."""
        self.clock.set(at)
        self.height, self.mempool = height, mempool

    def tip(self) -> BlockRef:
        """The block at `height`."""
        return self.inner.ref_at(self.height)

    def final_height(self) -> int:
        """As many blocks below `height` as the configuration asks for."""
        return max(-1, self.height - self._confirmations + 1)

    def pending(self, watch: WatchSet) -> PendingFacts:
        """What the recorded node answered next, once a step; nothing while its mempool was not looked at."""
        if self.mempool:
            self.mempool = False
            return self.inner.pending(watch)
        return PendingFacts(self.chain, self.clock(), ())

    def wait(self, timeout_secs: float) -> None:
        """Time passes by itself here: so much of it at once."""
        self.clock.set(self.clock() + timedelta(seconds=timeout_secs))


THEFT: Final = bytes.fromhex("975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7")
DAY: Final = datetime(2024, 5, 31, tzinfo=UTC).date()
HABITS_ON: Final = datetime(2024, 5, 29, 23, 30, tzinfo=UTC)
"""From here on the rules that know a wallet by its past judge: 30 May, 8:30 in Tokyo."""
HABITS: Final = ("new_destination", "fee_anomaly", "signing_fingerprint")
ACKNOWLEDGED_AT: Final = datetime(2024, 5, 31, 4, 31, 12, tzinfo=UTC)
_TICKS_A_STEP = 50
_POLL = timedelta(seconds=2)
_COPIED = ("walletwatch.toml", "rules.toml", "people.toml", "node.jsonl.gz", "PROVENANCE.md")


class DemoFailed(Exception):
    """The days did not end as they must; the message says where they stand."""


@dataclass(frozen=True, slots=True)
class Step:
    """At `at` the node's best block is at `height`; `mempool`: and a transaction waits."""

    at: datetime
    height: int
    mempool: bool


@contextmanager
def played(folder: Path, messages: TextIO) -> Iterator[Application]:
    """Play every day into `folder`, which must be new or empty; alerts go to `messages`. Yields the deployment
    as it stands at the end, with its clock there. Raises FileExistsError, DemoFailed.
    """
    prepare(folder)
    settings = load(folder / "walletwatch.toml", environ={}, rule_check=check_rule)
    _make_database(settings)
    steps = read_timetable()
    clock = PacedClock(steps[0].at)
    early = [step for step in steps if step.at < HABITS_ON]
    young = tuple(rule for rule in settings.rules if rule.table()["type"] not in HABITS)
    chain = settings.chains[0]
    with closing(PacedSource(open_source(settings.source_spec(chain)), chain.final_after[0], clock)) as source:
        with Application.open(settings.model_copy(update={"rules": young}), console=messages, clock=clock) as app:
            _play(app, source, early, folder / "approvals.jsonl")
        with Application.open(settings, console=messages, clock=clock) as app:
            _play(app, source, steps[len(early) :], folder / "approvals.jsonl")
            _count_the_coins(app, source)
            app.checkpoint()
            yield app


def prepare(folder: Path) -> None:
    """Write configuration, recording, an empty approval log and a new audit key. Raises FileExistsError."""
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(errno.EEXIST, "the folder is there already, and not empty", str(folder))
    keys = folder / "keys"
    keys.mkdir(parents=True, mode=0o700)
    home = files("walletwatch.demo") / "data"
    for name in _COPIED:
        (folder / name).write_bytes((home / name).read_bytes())
    (folder / "approvals.jsonl").touch()
    settings = load(folder / "walletwatch.toml", environ={}, need_secrets=False, rule_check=check_rule)
    key = SigningKey.generate(settings.audit.origin)
    key.save(keys / "audit.key")
    (keys / "audit.vkey").write_text(f"{key.verifying_key}\n", encoding="utf-8")


def _make_database(settings: Settings) -> None:
    store = open_store(settings.store.url.reveal())
    try:
        store.upgrade()
    finally:
        store.close()


def read_timetable() -> Sequence[Step]:
    """When the recorded node shows what."""
    rows = json.loads((files("walletwatch.demo") / "data" / "timetable.json").read_bytes())
    return [Step(parse_utc(at), height, mempool) for at, height, mempool in rows]


def read_acts() -> list[tuple[datetime, bytes]]:
    """(moment, line) of the recorded approval log."""
    lines = gzip.decompress((files("walletwatch.demo") / "data" / "approvals.jsonl.gz").read_bytes())
    found = []
    for line in lines.splitlines(keepends=True):
        payload = orjson.loads(urlsafe_b64decode(orjson.loads(line)["payload"].encode()))
        found.append((parse_utc(payload["at"]), line))
    return found


class _ApprovalLog:
    """The exchange's own system, as far as we see it: it appends to a file."""

    def __init__(self, path: Path, written: int) -> None:
        self._path = path
        self._waiting = read_acts()[written:]

    def write_until(self, now: datetime) -> None:
        """Append every act up to `now`."""
        due = [line for at, line in self._waiting if at <= now]
        if due:
            with self._path.open("ab") as log:
                log.write(b"".join(due))
                os.fsync(log.fileno())
            del self._waiting[: len(due)]


def _play(app: Application, source: PacedSource, steps: Sequence[Step], approvals: Path) -> None:
    """Show the node step by step and let the worker and the dispatcher do what they do."""
    worker, dispatcher = app.worker(app.settings.chains[0], source), app.dispatcher()
    log = _ApprovalLog(approvals, approvals.read_bytes().count(b"\n"))
    app.record_start()
    for step in steps:
        if source.clock() < ACKNOWLEDGED_AT <= step.at:
            source.clock.set(ACKNOWLEDGED_AT)
            _acknowledge(app)
            dispatcher.run_once()
        if source.height:  # the poll before: the chain was watched all the while
            source.clock.set(step.at - _POLL)
            worker.tick()
        source.show(step.at, step.height, mempool=step.mempool)
        log.write_until(step.at)
        _settle(worker)
        dispatcher.run_once()


def _settle(worker: ChainWorker) -> None:
    """Tick until nothing is left to do. Raises DemoFailed if that does not come."""
    for _ in range(_TICKS_A_STEP):
        done = worker.tick()
        if done is Tick.IDLE and worker.synced:
            return
        if done in (Tick.FAILED, Tick.HALTED):
            break
    raise DemoFailed(f"the watch stands still at {worker.tip}: {worker.halted or worker.last_error or done}")


def _acknowledge(app: Application) -> None:
    """The person on duty takes the alert."""
    by, reason = "treasury-2", "not what we approved: signing is stopped, the police are called"
    with app.store.transaction() as unit:
        for alert in list(unit.alerts.find(Filter(state=str(AlertState.OPEN)))):
            app.alert_writer.save(unit, acknowledge(alert, by, reason, unit.now))
            unit.audit.append(by, "alert.acknowledged", alert.id, {"reason": reason})


def _count_the_coins(app: Application, source: PacedSource) -> None:
    """Ask the node once more what the wallets hold: what the books are held against in the day's report."""
    watched = app.deployment.chains[source.chain]
    holdings = read_holdings(source, watched, source.tip())
    if holdings is None:
        raise DemoFailed(f"the recorded node does not show what the wallets hold at block {source.height}")
    with app.store.transaction() as unit:
        keep_holdings(unit, watched, holdings)
