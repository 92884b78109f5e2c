"""The daemon: a thread for each chain and each sink, a scheduler for the rest, and a clean end."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

from chains.model import ChainId
from walletwatch.alerts.dispatcher import Dispatcher
from walletwatch.alerts.ports import Sent
from walletwatch.service.application import Application
from walletwatch.service.deployment import open_endpoints
from walletwatch.service.reload import (
    Change,
    ReloadRefused,
    prepare,
    problems_of,
    read_addresses,
    record_change,
    record_refusal,
    record_untold,
    tell_first,
)
from walletwatch.service.scheduler import Scheduler
from walletwatch.settings import Settings, SettingsError, stamps
from walletwatch.settings.loading import FileStamp
from walletwatch.watch.feed_reader import LineAnswer
from walletwatch.watch.worker import ChainWorker, Tick

_log = logging.getLogger(__name__)

_BUSY = (Tick.STARTED, Tick.INGESTED, Tick.ROLLED_BACK, Tick.CASE)
_FEED_POLL = timedelta(seconds=1)
_UNPAID_POLL = timedelta(seconds=10)
_PRICE_POLL = timedelta(seconds=10)
_ADDRESS_POLL = timedelta(seconds=5)
_SINK_POLL_SECS = 0.25
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.5, 15.0


Show = Callable[[Sequence[ChainWorker]], None]
"""Shows people how far the workers have come."""


class Ended(IntEnum):
    """How a run ended; the exit status of the command."""

    FINE = 0
    HALTED = 1
    UNREACHABLE = 3


class Daemon:
    """Runs one application until it is stopped, or until everything is synced and sent. When `reload` is set the
    configuration is read again by `load`, and takes effect between the ticks of each chain.
    """

    def __init__(self, app: Application, load: Callable[[], Settings] | None = None) -> None:
        self.app = app
        self.stop = threading.Event()
        self.reload = threading.Event()
        self._load = load
        self._wake = threading.Event()
        self._workers: list[ChainWorker] = []
        self._next: dict[ChainId, ChainWorker] = {}
        """Workers by another configuration; each takes its chain over before the next tick."""
        self._dispatcher: Dispatcher | None = None
        self._telling: set[str] = set()
        """Sinks that have a thread."""
        self._threads: list[threading.Thread] = []
        self._scheduler = Scheduler()
        self._trouble_since: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._configuring = threading.Lock()
        """Held while what is configured or ours is exchanged."""
        self._stamps: Mapping[str, FileStamp | None] = stamps(app.settings)
        self._refused: Mapping[str, FileStamp | None] = {}
        """Address files as they were when they were refused."""

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self, *, until_synced: bool = False, show: Show | None = None) -> Ended:
        """Watch, judge and alert. Returns when `stop` is set or, if asked for, when nothing is left to do. Meanwhile
        `show` is called ten times a second, in this thread.
        """
        self.app.record_start()
        self._workers = self.app.workers()
        self._dispatcher = self.app.dispatcher()
        self._wind_up()
        endpoints = open_endpoints(self.app.settings, self._post)
        try:
            self._read_feeds()
            for endpoint in endpoints:
                endpoint.start()
            self._scheduler.start()
            for worker in self._workers:
                self._begin(self._watch, worker, f"chain {worker.watched.name}")
            self._start_dispatch()
            ended = self._wait(until_synced=until_synced, show=show)
        finally:
            self.stop.set()
            self._wake.set()
            for endpoint in endpoints:
                endpoint.stop()
            self._scheduler.stop()
            for thread in self._threads:
                thread.join(timeout=30)
        self._end(ended)
        return ended

    def _begin(self, loop: Callable[..., None], argument: object, name: str) -> None:
        thread = threading.Thread(target=loop, args=(argument,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _start_dispatch(self) -> None:
        """A thread for every sink that has none."""
        with self._lock:
            new = [name for name in self.app.sinks if name not in self._telling]
            self._telling.update(new)
        for name in new:
            self._begin(self._deliver, name, f"sink {name}")

    def _wind_up(self) -> None:
        every = self._scheduler.every
        every(_FEED_POLL, self._read_feeds, "feeds")
        every(_ADDRESS_POLL, self._read_addresses, "addresses")
        every(_PRICE_POLL, self._read_prices, "prices")
        every(timedelta(seconds=30), self._wake_silenced, "silences")
        every(_UNPAID_POLL, self._look_for_unpaid, "unpaid")
        every(self.app.settings.audit.checkpoint_every, self._checkpoint, "checkpoint")

    def _end(self, ended: Ended) -> None:
        self.app.record("walletwatch", "service.stopped", "service", outcome=ended.name.lower())
        self.app.checkpoint()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self, *, until_synced: bool, show: Show | None) -> Ended:
        while not self.stop.wait(0.1):
            if show is not None:
                show(self._workers)
            if self.reload.is_set():
                self.reload.clear()
                self._read_configuration()
            if until_synced:
                ended = self._judge_progress()
                if ended is not None:
                    return ended
        return Ended.FINE

    def _judge_progress(self) -> Ended | None:
        """Whether `--until-synced` is done, None while there is hope or work."""
        if self._next:
            return None
        if any(w.halted for w in self._workers):
            return Ended.HALTED
        if any(w.wrong_chain for w in self._workers) or self._is_hopeless():
            return Ended.UNREACHABLE
        if not all(w.synced for w in self._workers):
            return None
        self._read_feeds()
        with self.app.store.reading() as unit:
            return None if unit.alerts.outbox_counts().get("due") else Ended.FINE

    def _is_hopeless(self) -> bool:
        patience = self.app.settings.run.give_up_after
        now = self.app.store.clock()
        with self._lock:
            return any(now - since >= patience for since in self._trouble_since.values())

    def _record_trouble(self, what: str, *, trouble: bool) -> None:
        with self._lock:
            if trouble:
                self._trouble_since.setdefault(what, self.app.store.clock())
            else:
                self._trouble_since.pop(what, None)

    # --- loops --------------------------------------------------------------------------------------------------------

    def _watch(self, worker: ChainWorker) -> None:
        """One chain, tick by tick. An error of the store is logged and tried again: it never ends the watch."""
        name, failures = f"chain {worker.watched.name}", 0
        while not self.stop.is_set():
            worker = self._take_over(worker)
            try:
                done = worker.tick()
            except Exception:  # noqa: BLE001 - logged whole; a watch that ended in silence would be worse
                _log.exception("%s: the tick failed and is tried again", name)
                done = Tick.FAILED
            self._record_trouble(name, trouble=done is Tick.FAILED)
            failures = failures + 1 if done is Tick.FAILED else 0
            if done in _BUSY:
                self._wake.set()
            elif done is Tick.IDLE:
                self._wake.set()
                worker.source.wait(worker.watched.poll_secs)
            else:
                self.stop.wait(_pause(failures))

    def _take_over(self, worker: ChainWorker) -> ChainWorker:
        """The worker by the configuration in force: itself, or the one that takes its place."""
        with self._lock:
            successor = self._next.pop(worker.watched.chain, None)
            if successor is None:
                return worker
            self._workers[self._workers.index(worker)] = successor
        if successor.source is not worker.source:
            worker.source.close()
        return successor

    def _deliver(self, sink: str) -> None:
        """One sink, pass by pass, for as long as it is configured."""
        known: Dispatcher | None = None
        while not self.stop.is_set():
            dispatcher = self._dispatcher_of(sink)
            if dispatcher is None:
                return
            if dispatcher is not known:
                known = dispatcher
                self._revive(sink, dispatcher)
            try:
                summary = dispatcher.run_sink(sink)
            except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
                _log.exception("sink %s: the pass failed and is tried again", sink)
                self._record_trouble(f"sink {sink}", trouble=True)
                self.stop.wait(_pause(1))
                continue
            for row, reason in summary.refused:
                _log.error("sink %s refuses alert %s for good: %s", sink, row.alert_id, reason)
            if summary.delivered or summary.retried:
                self._record_trouble(f"sink {sink}", trouble=bool(summary.retried and not summary.delivered))
            self._wake.wait(_SINK_POLL_SECS)
            self._wake.clear()

    def _dispatcher_of(self, sink: str) -> Dispatcher | None:
        """Who serves the sink now; None if it is configured no more."""
        with self._lock:
            dispatcher = self._dispatcher
            if dispatcher is not None and sink in dispatcher.sinks:
                return dispatcher
            self._telling.discard(sink)
        self._record_trouble(f"sink {sink}", trouble=False)
        return None

    def _revive(self, sink: str, dispatcher: Dispatcher) -> None:
        """What the last process was sending when it died is sent now, not when its lease ends; and a sink that takes
        messages again hears what it refused before.
        """
        try:
            if not self.app.store.is_shared:
                with self.app.store.transaction() as unit:
                    unit.alerts.release(sink, unit.now)
            if isinstance(dispatcher.sinks[sink].notifier.check(), Sent):
                with self.app.store.transaction() as unit:
                    unit.alerts.revive(sink, unit.now)
        except Exception:  # noqa: BLE001 - logged whole; the passes that follow will say more
            _log.exception("sink %s: could not look for alerts left over", sink)

    # --- another configuration ----------------------------------------------------------------------------------------

    def _read_configuration(self) -> None:
        """Read the configuration again. It takes effect whole, or what is in force stays, and an alert says so."""
        try:
            if self._load is not None:
                with self._configuring:
                    workers = tuple(self._next.get(w.watched.chain, w) for w in self._workers)
                    change = prepare(self.app, workers, self._load())
                    untold = tell_first(self.app, change, lambda: self.stop.wait(0.1))
                    self._put_in_force(change)
                if untold:
                    record_untold(change, untold)
        except SettingsError as error:
            self._refuse(problems_of(error))
        except ReloadRefused as error:
            self._refuse(error.problems)
        except Exception as error:  # noqa: BLE001 - logged whole; what is in force goes on
            _log.exception("reading the configuration failed: what was in force stays in force")
            self._refuse([f"unexpected {type(error).__name__}"])

    def _put_in_force(self, change: Change) -> None:
        """From here on everything is judged and sent by `change`, but what a chain's tick is busy with just now."""
        with self.app.approvals.held():
            record_change(self.app, change)
            with self._lock:
                self.app = change.app
                self._stamps = change.stamps
                self._dispatcher = change.dispatcher
                self._next.update({worker.watched.chain: worker for worker in change.workers})
        self._start_dispatch()
        self._scheduler.pace("checkpoint", change.app.settings.audit.checkpoint_every)
        _log.warning("the configuration was read again and is in force: rules %s", change.app.deployment.rules_digest)
        for table in change.waiting:
            _log.warning("%s changed, and needs a restart: what it was stays in force", table)

    def _refuse(self, problems: list[str]) -> None:
        for problem in problems:
            _log.error("the configuration is not taken, what was in force stays: %s", problem)
        try:
            record_refusal(self.app, problems)
        except Exception:  # noqa: BLE001 - logged whole; the watch must go on
            _log.exception("that the configuration was refused could not be recorded")

    # --- the scheduler's acts -----------------------------------------------------------------------------------------

    def _read_feeds(self) -> None:
        try:
            with self.app.approvals.held():
                self.app.feeds.read()
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("reading the approval feeds failed and is tried again")

    def _post(self, feed: str, body: bytes) -> list[LineAnswer]:
        """Acts that were posted to an endpoint, to the feeds as they are configured now."""
        return self.app.feeds.post(feed, body)

    def _read_prices(self) -> None:
        try:
            self.app.read_prices()
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("reading the price feeds failed and is tried again")

    def _look_for_unpaid(self) -> None:
        try:
            with self.app.approvals.held():
                self.app.unpaid.check()
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("looking for unpaid requests failed and is tried again")

    def _read_addresses(self) -> None:
        """Take in address files that changed. Files that cannot be used leave the old addresses in force, and an alert
        says so, once.
        """
        if not self._configuring.acquire(blocking=False):
            return  # another configuration is on its way, with addresses of its own
        try:
            found = stamps(self.app.settings)
            if found not in (self._stamps, self._refused):
                self._take_addresses(found)
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("reading the address files failed and is tried again")
        finally:
            self._configuring.release()

    def _take_addresses(self, found: Mapping[str, FileStamp | None]) -> None:
        try:
            settings = read_addresses(self.app, self._stamps)
        except SettingsError as error:
            self._refuse(problems_of(error))
            self._refused = found
            return
        self._stamps = found
        self.app.settings = settings
        for worker in (*self._workers, *self._next.values()):
            worker.renew(settings.perimeter(worker.watched.chain))

    def _wake_silenced(self) -> None:
        try:
            with self.app.store.transaction() as unit:
                self.app.alert_writer.wake_silenced(unit)
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("looking at silences failed and is tried again")

    def _checkpoint(self) -> None:
        try:
            self.app.checkpoint()
        except Exception:  # noqa: BLE001 - logged whole, and the thread must go on
            _log.exception("making a checkpoint failed and is tried again")


def _pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: exponential, full jitter."""
    ceiling = min(_LONGEST_PAUSE_SECS, _FIRST_PAUSE_SECS * 2 ** min(failures, 10))
    return random.uniform(0.1, ceiling)  # noqa: S311 - jitter, not a secret
