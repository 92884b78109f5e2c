"""Every right that the guide grants the daemon is used: a life of the pipeline on a real PostgreSQL shows it."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from sqlalchemy import Engine, event
from watch_chains import BTC, CHAIN, FakeChain, payment
from watch_worlds import Clock, MortalStore, Pager, Process, approved_request

from chains.model import BlockRef
from unit.docs_database import granted, guide
from walletwatch.domain.alerts import Silence
from walletwatch.domain.cases import Case, CaseState
from walletwatch.domain.labels import Label
from walletwatch.store import Store, open_store
from walletwatch.store.approvals import FeedState
from walletwatch.store.cases import StoredCase
from walletwatch.store.ledger import Balance
from walletwatch.store.tables import metadata

_WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")


@pytest.mark.postgres
def test_every_grant_is_needed(postgres_url: str) -> None:
    """A life of the pipeline with reorgs and alerts, then what only feeds and people's commands do."""
    with granted(postgres_url) as url:
        opened = open_store(url, Clock())
        done = listen(opened.engine)
        live_through_reorgs(MortalStore(opened.engine, opened.clock))
        work_by_hand(opened)
        opened.close()
    grants = guide()[2]
    told = {verb: names(grants, verb) for verb in ("UPDATE", "DELETE")}
    assert {verb: sorted(done[verb]) for verb in told} == {verb: sorted(told[verb]) for verb in told}
    assert told["UPDATE"] | told["DELETE"] <= set(metadata.tables)


def names(grants: str, verb: str) -> set[str]:
    """The tables on which the guide grants `verb`."""
    found = re.search(rf"GRANT {verb} ON ([\w,\s]+) TO", grants)
    assert found
    return set(re.findall(r"\w+", found[1]))


def listen(engine: Engine) -> dict[str, set[str]]:
    """What is written from here on: tables by verb. A row lock and an upsert need UPDATE as well."""
    done: dict[str, set[str]] = defaultdict(set)

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        wrote = _WRITES.match(statement)
        if wrote:
            done[wrote[1].split()[0]].add(wrote[2])
        if wrote and "DO UPDATE" in statement:
            done["UPDATE"].add(wrote[2])
        locked = re.search(r"FROM (\w+).*FOR UPDATE", statement, re.DOTALL) or re.search(r"LOCK TABLE (\w+)", statement)
        if locked:
            done["UPDATE"].add(locked[1])

    event.listen(engine, "before_cursor_execute", note)
    return done


def live_through_reorgs(store: MortalStore) -> None:
    """Approved and unapproved payments, mined, orphaned, replaced by rivals, and told."""
    with store.transaction() as unit:
        for act in approved_request(0, 10, 1_000):
            unit.approvals.add_act(act, unit.now)
    fake = FakeChain()
    process = Process(store, fake, Pager(store, {}), max_reorg=3)

    def mine(parent: bytes, *numbers: int) -> bytes:
        fake.best = fake.add(parent, tuple(payment(n, to=10 + n, amount=1_000 + n) for n in numbers))
        for _ in range(20):
            process.worker.tick()
            process.dispatcher.run_once()
        return fake.best

    root = mine(fake.best)
    mine(mine(root, 0, 1))
    fork = fake.add(root, (payment(7, to=90, amount=5_000, coin=1),))
    fake.add(fork, ())
    for n in range(5):
        fork = mine(fork, *([n + 2] if n < 2 else []))


def work_by_hand(store: Store) -> None:
    """Feeds and their repairs, balances, checkpoints, labels, silences, and a case rolled back with its chain."""
    base, hand = BlockRef(0, bytes(32)), BlockRef(1, bytes(32))
    with store.transaction() as unit:
        unit.approvals.save_feed(FeedState("feed", {}, unit.now, unit.now, ""))
        unit.approvals.add_malformed("feed", 1, "no act", b"{", unit.now)
        unit.approvals.forget_malformed("feed", 1)
        unit.findings.amend("fnd_1", "2 lines of the approval feed cannot be read", {"count": 2})
        unit.ledger.save_balance(CHAIN, Balance("hot", BTC.id, hand, 5), unit.now)
        unit.audit.add_checkpoint(1, "note")
        case = Case("case_1", "theft", CHAIN, (), CaseState.OPEN, unit.now, "compliance-1", 1)
        unit.cases.save(StoredCase(case, hand, live=True))
        assert unit.cases.roll_back(CHAIN, 1, base) == ["case_1"]
        unit.labels.save([Label("*", "address", "Exchange", "exchange", "pack", 900)])
        unit.alerts.save_silence(Silence("sil_1", "bob", "maintenance", unit.now, unit.now, ("rule",)))
