"""Plays a world through the real pipeline: settings, feed files, signatures, a SQLite store, the workers of two chains.

The process may be killed at any statement or commit and begins anew; the nodes and the files outlive it.
"""

from __future__ import annotations

import io
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event

from chains.model import AssetId
from oracle.comparing import Found, Report, Told
from oracle.configured import LOG, line_of, write_deployment
from oracle.nodes_played import ASSETS, CHAINS, NodePlayed, time_of, txid_of
from oracle.worlds import ACCOUNT, COIN, World
from walletwatch.rules.registry import rule_type
from walletwatch.service.application import Application
from walletwatch.service.deployment import check_rule
from walletwatch.settings import load
from walletwatch.store import Store, UnitOfWork, open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import ChainWorker, Tick

_RAM = Path("/dev/shm")  # noqa: S108 - commits are as durable there as a test needs
_SETTLING = (0, 120, 240)


class Killed(BaseException):
    """The process dies here. No `except Exception` may live on."""


class PlayedClock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class MortalStore(Store):
    """Dies at a chosen statement or just after a commit."""

    fuse: int | None = None

    def burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.fuse = None
                raise Killed

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        with super().transaction() as unit:
            yield unit
        self.burn()


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        store = open_store(f"sqlite:///{path}")
        store.upgrade()
        store.close()
        return path.read_bytes()


@dataclass(frozen=True)
class Manner:
    """How a world is played. `kills`: the seed of where the process dies; None: it lives. `no_price`: an asset whose
    price is not configured. `feed_gone_at`: from then on the log cannot be read.
    """

    kills: int | None = None
    reversed_chains: bool = False
    no_price: str = ""
    feed_gone_at: int | None = None


class Player:
    """One play of one world, as `manner` says."""

    def __init__(self, world: World, folder: Path, manner: Manner) -> None:
        self.world, self.manner, self.log = world, manner, folder / LOG
        self.kills = None if manner.kills is None else random.Random(manner.kills)  # noqa: S311 - chance, not secrets
        self.clock = PlayedClock(time_of(world.start))
        path = write_deployment(world, folder, no_price=manner.no_price)
        self.settings = load(path, environ={}, rule_check=check_rule)
        (folder / "watch.db").write_bytes(_empty_database())
        opened = open_store(self.settings.store.url.reveal(), self.clock)
        event.listen(opened.engine, "connect", _hurry)
        self.store = MortalStore(opened.engine, opened.clock)
        event.listen(self.store.engine, "before_cursor_execute", lambda *_: self.store.burn())
        self.nodes = {c: NodePlayed(world, c) for c in (COIN, ACCOUNT)}
        self._begin()

    def _begin(self) -> None:
        """A life of the process begins."""
        self.app = Application(self.settings, self.store, console=io.StringIO())
        kinds = {CHAINS[kind]: kind for kind in CHAINS}
        self.workers = [self.app.worker(c, self.nodes[kinds[c.id]]) for c in self.settings.chains]
        if self.manner.reversed_chains:
            self.workers.reverse()

    def play(self) -> Report:
        """Everything happens, each at its time; then what the program says of it."""
        try:
            for at in self._moments():
                self.clock.now = time_of(at)
                self._happen(at)
                if any(back == at for _, back in self.world.downs):
                    self._begin()
                if self.world.is_up(at):
                    self._live()
            return self._report()
        finally:
            self.store.close()

    def _moments(self) -> list[int]:
        """When something happens, or is worth a look: when an act that comes late says it was done and soon after, so
        that nobody can say that the log was not read then.
        """
        world = self.world
        late = [a.at + d for a in world.acts if a.written > a.at for d in (0, 20)]
        found = {world.start, *late, *(s.at for s in world.steps), *(max(a.written, world.start) for a in world.acts)}
        found |= {s.at + 90 for s in world.steps if s.kind == "drop"}  # that it is gone is known a minute later
        found |= {back for _, back in world.downs} | {world.end + more for more in _SETTLING}
        return sorted(at for at in found if at >= world.start)

    def _happen(self, at: int) -> None:
        gone = self.manner.feed_gone_at
        if gone is not None and at >= gone:
            self.log.unlink(missing_ok=True)
        lines = [line_of(self.world, a) for a in self.world.acts if max(a.written, self.world.start) == at]
        if lines and (gone is None or at < gone):
            with self.log.open("ab") as log:
                log.write(b"".join(lines))
        for step in self.world.steps:
            if step.at == at:
                self.nodes[step.chain].play(step)

    def _live(self) -> None:
        """Until nothing is left to do, through as many deaths as chance wants."""
        if self.kills is not None and self.kills.random() < 0.3:
            self.store.fuse = self.kills.randint(1, 60)
        while self._dies():
            self._begin()

    def _dies(self) -> bool:
        """Whether the process died before nothing was left to do."""
        try:
            for worker in self.workers:
                self._tick(worker)
        except Killed:
            return True
        self.store.fuse = None
        return False

    def _tick(self, worker: ChainWorker) -> None:
        for _ in range(50):
            done = worker.tick()
            assert done not in (Tick.FAILED, Tick.HALTED), worker.last_error or worker.halted
            if done is Tick.IDLE:
                return
        raise AssertionError("never idle")

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        names = {txid_of(tx.name): tx.name for tx in self.world.txs}
        with self.store.reading() as unit:
            findings = [f for f in unit.findings.find(Filter()) if f.tx in names]
            alerts = list(unit.alerts.find(Filter()))
            resolved = unit.findings.resolutions([f.id for f in findings])
        ours = [f for f in findings if rule_type(f.rule).family == "authorisation" and f.outflow]
        self.findings = ours
        found = frozenset(
            Found(
                names[f.tx or b""],
                f.wallet,
                _asset_named(f.asset),
                f.rule,
                str(f.verdict),
                str(f.severity),
                f.id not in resolved,
            )
            for f in ours
        )
        told: dict[str, Told] = {}
        by_id = {f.id: names[f.tx or b""] for f in ours}
        for alert in alerts:
            for tx in {by_id[i] for i in alert.findings if i in by_id}:
                told[tx] = Told(str(alert.state), alert.closed.by if alert.closed else "")
        return Report(found, told)


def _asset_named(text: Any) -> str:
    wanted = AssetId.parse(text)
    return next(name for name, asset in ASSETS.items() if asset == wanted)


PLAINLY = Manner()


def play(world: World, manner: Manner = PLAINLY) -> Report:
    """The end of one play. Raises NotSupported."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        return Player(world, Path(folder), manner).play()


def _hurry(connection: Any, _entry: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
