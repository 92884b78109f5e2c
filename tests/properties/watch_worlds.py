"""A whole deployment around the fake chain: store, rules, approvals, alerts, and a process that can die anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event
from watch_chains import BTC, CHAIN, GENESIS_TIME, HOT, FakeChain, FakeSource, digest, outsider

from walletwatch.alerts.alert_writer import AlertWriter
from walletwatch.alerts.dispatcher import Dispatcher, Sink, StoreOutbox
from walletwatch.alerts.ports import AlertNames, AlertView, PriorDelivery, SendResult, Sent
from walletwatch.audit.notes import SigningKey
from walletwatch.audit.verification import Head, verify_log
from walletwatch.deployment import Deployment, TraceDefaults, WatchedChain
from walletwatch.domain.outflows import OutflowState
from walletwatch.domain.people import People, Person
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.domain.withdrawals import Act, ActKind, Intent
from walletwatch.rules.registry import RuleConfig, rules_digest, rules_in_force
from walletwatch.store import Store, UnitOfWork, open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.approval_service import ApprovalService
from walletwatch.watch.feed_reader import FeedReader
from walletwatch.watch.judging import Judge
from walletwatch.watch.worker import ChainWorker

PEOPLE = People((Person("asker", "treasury", ("requester",)), Person("checker", "compliance", ("approver",))))
SINK = "pager"
KEY = SigningKey.generate("walletwatch.test/log")


class Crash(BaseException):
    """The process dies here. No `except Exception` may live on."""


class Stumble(Exception):
    """The database refuses here, and the process lives on."""


class Clock:
    """Time that passes by a step whenever somebody looks."""

    def __init__(self) -> None:
        self.now = GENESIS_TIME + timedelta(days=1)
        self.step = timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


class MortalStore(Store):
    """Dies at a chosen statement, or just after a commit."""

    fuse: int | None = None
    """Statements and commits left to live."""
    end: type[BaseException] = Crash

    def burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.fuse = None
                raise self.end

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        with super().transaction() as unit:
            yield unit
        self.burn()


class NoPrices:
    def price(self, asset: Any, at: datetime) -> Price:
        raise Unknown("no prices here")


@dataclass
class Pager:
    """A sink that remembers the last thing it was told of each alert, across deaths of the process."""

    store: MortalStore
    told: dict[str, AlertView]
    name: str = SINK
    can_edit: bool = True
    min_interval_secs: float = 0.0

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        self.store.burn()
        self.told[view.alert.id] = view
        self.store.burn()
        return Sent(view.alert.id)

    def check(self) -> SendResult:
        return Sent()


@dataclass(frozen=True)
class Pace:
    """How a process catches up: `most` final blocks in a transaction, with or without fetching ahead. `rules` are in
    force beside those that always are.
    """

    most: int = 1
    ahead: bool = False
    rules: tuple[RuleConfig, ...] = ()


ONE_BY_ONE = Pace()


class Process:
    """One life of the daemon: everything but the database and the world outside."""

    def __init__(
        self, store: MortalStore, fake: FakeChain, pager: Pager, pace: Pace = ONE_BY_ONE, max_reorg: int = 50
    ) -> None:
        perimeter = Perimeter(CHAIN)
        perimeter.add(Wallet("hot", "hot", CHAIN), [HOT])
        watched = WatchedChain(CHAIN, "fake", BTC, perimeter, start=1, max_reorg=max_reorg)
        rules = rules_in_force(pace.rules, feed_configured=True)
        deployment = Deployment(
            chains={CHAIN: watched},
            assets={BTC.id: BTC},
            roles={"hot": "hot"},
            rules=rules,
            rules_digest=rules_digest(rules),
            prices=NoPrices(),
            labels=lambda _chain, _address, _at: (),
            feed_configured=True,
            trace=TraceDefaults(),
            clock=store.clock,
        )
        names = AlertNames(assets={BTC.id: BTC})
        desk = ApprovalService(PEOPLE, (), NoPrices().price, configured=True)
        judge = Judge(deployment, desk, AlertWriter((SINK,), names))
        self.source = FakeSource(fake, confirmations=3, ahead=pace.ahead)
        self.worker = ChainWorker(watched, self.source, store, judge, FeedReader(store, judge, ()))
        self.worker.reader.most = pace.most
        outbox = StoreOutbox(store, names, deployment.labels)
        self.dispatcher = Dispatcher(outbox, {SINK: Sink(pager)}, clock=store.clock, lease_secs=5)


@cache
def empty_database() -> bytes:
    """A database at the newest revision: made once, for the migrations take longer than many a world lives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        store = open_store(f"sqlite:///{path}")
        store.upgrade()
        store.close()
        return path.read_bytes()


class World:
    """The database, the chain and the pager outlive every process."""

    def __init__(
        self, folder: Path, fake: FakeChain, approved: Sequence[tuple[int, int]], pace: Pace = ONE_BY_ONE
    ) -> None:
        (folder / "world.db").write_bytes(empty_database())
        self.clock = Clock()
        opened = open_store(f"sqlite:///{folder / 'world.db'}", self.clock)
        self.store = MortalStore(opened.engine, opened.clock)
        self.store.require_current()
        event.listen(self.store.engine, "before_cursor_execute", lambda *_: self.store.burn())
        self.fake = fake
        self.pace = pace
        self.told: dict[str, AlertView] = {}
        with self.store.transaction() as unit:
            for number, (to, amount) in enumerate(approved):
                for act in approved_request(number, to, amount):
                    unit.approvals.add_act(act, unit.now)
        self.process = self.restart()

    def restart(self) -> Process:
        """The old process is gone; a new one begins from the database."""
        self.process = Process(self.store, self.fake, Pager(self.store, self.told), self.pace)
        return self.process

    def live(self, ticks: int, fuse: int | None = None, end: type[BaseException] = Crash) -> None:
        """Tick and dispatch; with a fuse, die when it has burnt down, and begin a new life; or stumble and live on."""
        self.store.fuse, self.store.end = fuse, end
        try:
            for _ in range(ticks):
                self.process.worker.tick()
                self.process.dispatcher.run_once()
        except Crash:
            self.restart()
        except Stumble:
            assert end is Stumble
        finally:
            self.store.fuse = None

    def settle(self) -> None:
        """Live until nothing is left to do."""
        for _ in range(300):
            self.process.worker.tick()
            self.process.dispatcher.run_once()
            with self.store.reading() as unit:
                due = unit.alerts.outbox_counts().get("due", 0)
            if self.process.worker.synced and not due:
                return
        raise AssertionError(f"never settled: {self.process.worker.last_error or self.process.worker.halted}")

    # --- what is compared ---------------------------------------------------------------------------------------------

    def outflows(self, txids: set[bytes]) -> set[tuple[Any, ...]]:
        with self.store.reading() as unit:
            every = list(unit.outflows.find(Filter()))
        return {(o.id, o.state, o.amount, o.fee, o.payments, o.block, o.block_time) for o in every if o.tx in txids}

    def in_chain(self) -> set[str]:
        """Outflows that are said to be in the chain."""
        with self.store.reading() as unit:
            return {
                o.id for o in unit.outflows.find(Filter()) if o.state in (OutflowState.INCLUDED, OutflowState.FINAL)
            }

    def findings(self, txids: set[bytes]) -> set[tuple[Any, ...]]:
        with self.store.reading() as unit:
            every = list(unit.findings.find(Filter()))
        return {(f.id, f.rule, f.verdict, f.severity, f.outflow, f.summary) for f in every if f.tx in txids}

    def movements(self) -> list[tuple[Any, ...]]:
        with self.store.reading() as unit:
            return sorted(
                (chain, wallet, h, m.received, m.sent, m.fee) for chain, wallet, _, h, m in unit.ledger.movements()
            )

    def untold(self) -> list[str]:
        """Alerts whose last state did not reach the pager, and findings that no alert tells of."""
        with self.store.reading() as unit:
            alerts = list(unit.alerts.find(Filter()))
            findings = {f.id for f in unit.findings.find(Filter())}
        missing = [a.id for a in alerts if a.id not in self.told or self.told[a.id].alert.version != a.version]
        return missing + sorted(findings - {f for a in alerts for f in a.findings})

    def audit_problems(self) -> list[str]:
        with self.store.reading() as unit:
            head = unit.audit.head()
            stored = Head(head.size, head.root, head.frontier.to_bytes())
            result = verify_log(unit.audit.entries(), head=stored, checkpoints=[], vkey=KEY.verifying_key)
        return [str(p) for p in result.problems]


def approved_request(number: int, to: int, amount: int) -> Iterator[Act]:
    """A request and its approval, long before anything was paid."""
    name, at = f"W-{number}", GENESIS_TIME - timedelta(days=1)
    intent = Intent(CHAIN, BTC.id, amount, outsider(to), f"sha256:{digest('intent', number).hex()}")
    common = {"request_id": name, "feed": "acts", "signed": False, "intent_hash": intent.hash}
    request = digest("request", number)
    yield Act(ActKind.REQUEST, actor="asker", at=at, digest=request, line=2 * number + 1, intent=intent, **common)
    later = at + timedelta(hours=1)
    yield Act(ActKind.APPROVE, actor="checker", at=later, digest=digest("ok", number), line=2 * number + 2, **common)
