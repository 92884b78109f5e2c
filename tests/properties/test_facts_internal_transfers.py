"""Moves between own wallets and requests nobody pays, through the pipeline on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_chains import BTC, CHAIN, HOT, FakeChain, FakeSource, digest, payment
from watch_worlds import PEOPLE, SINK, Clock, NoPrices, approved_request

from chains.model import Address, MempoolOutlook, Outpoint, Replacement, TxInput, TxOutput, UtxoTransaction
from unit.rules_examples import NAMES
from walletwatch.alerts.alert_writer import AlertWriter
from walletwatch.alerts.ports import AlertNames
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import net
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.domain.withdrawals import Act, ActKind
from walletwatch.rules.registry import configure, rules_digest, rules_in_force
from walletwatch.store import Store, open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.approval_service import ApprovalService
from walletwatch.watch.feed_reader import FeedReader
from walletwatch.watch.internal_transfers import internal_transfers_of
from walletwatch.watch.judging import Judge
from walletwatch.watch.unpaid_check import UnpaidCheck
from walletwatch.watch.worker import ChainWorker, Tick

COLD, COLD2 = (Address(b"\x00\x14" + bytes([n]) * 20, f"bcrt1-cold-{n}") for n in (7, 8))
WALLETS = {"hot": (HOT,), "vault": (COLD, COLD2)}
RULES = ({"type": "unapproved_move"}, {"type": "request_unpaid", "after": "1h"})


def perimeter() -> Perimeter:
    known = Perimeter(CHAIN)
    for name, addresses in WALLETS.items():
        known.add(Wallet(name, "hot" if name == "hot" else "cold", CHAIN), addresses)
    return known


class Life:
    """One process on a database that outlives it."""

    def __init__(self, store: Store, fake: FakeChain) -> None:
        watched = WatchedChain(CHAIN, "fake", BTC, perimeter(), start=1)
        rules = rules_in_force([configure(t, amounts=NAMES) for t in RULES], feed_configured=True)
        deployment = Deployment(
            chains={CHAIN: watched},
            assets={BTC.id: BTC},
            roles={"hot": "hot", "vault": "cold"},
            rules=rules,
            rules_digest=rules_digest(rules),
            prices=NoPrices(),
            labels=lambda _chain, _address, _at: (),
            feed_configured=True,
            clock=store.clock,
        )
        self.store = store
        desk = ApprovalService(PEOPLE, (), NoPrices().price, configured=True)
        self.judge = Judge(deployment, desk, AlertWriter((SINK,), AlertNames(assets={BTC.id: BTC})))
        self.worker = ChainWorker(watched, FakeSource(fake), store, self.judge, FeedReader(store, self.judge, ()))
        self.unpaid = UnpaidCheck(store, self.judge)

    def settle(self) -> None:
        while self.worker.tick() is not Tick.IDLE:
            assert not self.worker.last_error
        with self.judge.approvals.held():
            self.unpaid.check()

    def findings(self, rule: str) -> list[Finding]:
        with self.store.reading() as unit:
            return list(unit.findings.find(Filter(rule=rule)))

    def resolved(self, finding: Finding) -> dict[str, Any]:
        with self.store.reading() as unit:
            return unit.findings.resolutions([finding.id]).get(finding.id, {})

    def alert_states(self) -> list[AlertState]:
        with self.store.reading() as unit:
            return [a.state for a in unit.alerts.find(Filter())]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'life.db'}", Clock())
    opened.upgrade()
    yield opened
    opened.close()


def move(number: int, amount: int, to: Address = HOT) -> UtxoTransaction:
    """`amount` from the vault, with change to another address of the vault."""
    coin = TxInput(Outpoint(digest("cold coin", number), 0), amount + 5_000, COLD)
    outputs = (TxOutput(0, amount, to), TxOutput(1, 4_000, COLD2))
    return UtxoTransaction(digest("move", number), number, (coin,), outputs, 1_000, 141)


def mine(fake: FakeChain, *txs: UtxoTransaction) -> None:
    fake.best = fake.add(fake.best, txs)


def request(number: int, amount: int, to: Address = HOT) -> list[Act]:
    """A request for a payment to an own address, and its approval."""
    acts = []
    for act in approved_request(number, 1, amount):
        intent = None if act.intent is None else replace(act.intent, destination=to)
        acts.append(replace(act, intent=intent))
    return acts


def keep(store: Store, acts: list[Act]) -> None:
    with store.transaction() as unit:
        for act in acts:
            unit.approvals.add_act(act, unit.now)


def test_a_move_out_of_the_vault_without_a_request_is_told_once_even_through_a_reorg(store: Store) -> None:
    fake = FakeChain()
    fork = fake.best
    mine(fake, move(1, 50_000))
    life = Life(store, fake)
    life.settle()
    [found] = life.findings("unapproved_move")
    assert (found.wallet, found.tx, found.outflow) == ("vault", digest("move", 1), None)
    assert found.evidence["unexplained"][0]["destination"] == HOT.text
    fake.best = fake.add(fake.add(fork, ()), (move(1, 50_000),))
    Life(store, fake).settle()
    assert [f.id for f in life.findings("unapproved_move")] == [found.id]
    assert life.findings("unapproved") == []


def test_an_approved_move_is_silent_and_pays_its_request(store: Store) -> None:
    fake = FakeChain()
    mine(fake, move(1, 50_000))
    keep(store, request(1, 50_000))
    life = Life(store, fake)
    life.settle()
    assert life.findings("unapproved_move") == life.findings("request_unpaid") == []
    with store.reading() as unit:
        assert list(unit.approvals.spent()) == ["W-1"]
    mine(fake, move(2, 50_000))
    life.settle()
    [again] = life.findings("unapproved_move")
    assert again.evidence["reused"][0]["request_id"] == "W-1"


def test_an_approval_read_late_resolves_the_move(store: Store) -> None:
    fake = FakeChain()
    mine(fake, move(1, 50_000))
    life = Life(store, fake)
    life.settle()
    [found] = life.findings("unapproved_move")
    keep(store, request(1, 50_000))
    with store.transaction() as unit:
        life.judge.approvals.refresh(unit)
        life.judge.judge_again(unit, CHAIN, digest("move", 1))
    assert life.resolved(found)["late_secs"] > 0
    assert life.alert_states() == [AlertState.CLOSED]


def test_a_request_nobody_pays_is_told_once_and_resolved_when_paid_by_whichever_process(store: Store) -> None:
    fake = FakeChain()
    mine(fake)
    keep(store, list(approved_request(1, 3, 70_000)))
    life = Life(store, fake)
    life.settle()
    [found] = life.findings("request_unpaid")
    assert (found.tx, found.evidence["request_id"]) == (None, "W-1")
    Life(store, fake).settle()
    mine(fake)
    life.settle()
    assert [f.id for f in life.findings("request_unpaid")] == [found.id]
    assert life.resolved(found) == {}
    mine(fake, payment(1, to=3, amount=70_000))
    Life(store, fake).settle()
    assert life.resolved(found)["late_secs"] > 0
    assert life.alert_states() == [AlertState.CLOSED]
    assert life.findings("unapproved") == []


def test_a_payment_that_the_node_dropped_unmined_is_awaited_again(store: Store) -> None:
    """The payout software showed it as sent, the mempool no longer: fees had risen. Nobody was told."""
    fake = FakeChain()
    mine(fake)
    keep(store, list(approved_request(1, 3, 70_000)))
    life = Life(store, fake)
    waiting = payment(1, to=3, amount=70_000)
    source = life.worker.source
    assert isinstance(source, FakeSource)
    source.mempool = [replace(waiting, outlook=MempoolOutlook(Replacement.NO, 1_000, 3))]
    life.settle()
    mine(fake)
    life.settle()
    assert life.findings("request_unpaid") == []
    source.mempool = []
    for _ in range(3):
        clock = store.clock
        assert isinstance(clock, Clock)
        clock.now += timedelta(minutes=2)
        mine(fake)
        life.settle()
    [found] = life.findings("request_unpaid")
    mine(fake, waiting)
    life.settle()
    assert life.resolved(found)


def test_a_withdrawn_or_unapproved_request_is_not_awaited(store: Store) -> None:
    fake = FakeChain()
    mine(fake)
    acts = list(approved_request(1, 3, 70_000))
    cancel = replace(acts[1], kind=ActKind.CANCEL, actor="asker", digest=digest("cancel"), at=acts[1].at + timedelta(1))
    keep(store, [*acts, cancel, *list(approved_request(2, 3, 80_000))[:1]])
    life = Life(store, fake)
    life.settle()
    assert life.findings("request_unpaid") == []


def test_a_payment_names_the_void_request_that_would_have_fitted(store: Store) -> None:
    fake = FakeChain()
    mine(fake, payment(1, to=3, amount=70_000))
    asked = replace(next(iter(approved_request(1, 3, 70_000))), actor="checker")
    keep(store, [asked])
    life = Life(store, fake)
    life.settle()
    [found] = life.findings("unapproved")
    [void] = found.evidence["void_requests"]
    assert (void["request_id"], void["reason"]) == ("W-1", "checker may not ask for withdrawals")


AMOUNTS = st.lists(st.tuples(st.sampled_from([HOT, COLD, COLD2, None]), st.integers(0, 1_000)), max_size=5)


@given(AMOUNTS.filter(bool), AMOUNTS)
def test_what_wallets_lose_is_what_leaves_what_others_gain_and_the_fee(
    spent: list[tuple[Address | None, int]], paid: list[tuple[Address | None, int]]
) -> None:
    """Every base unit that an own wallet loses went outside, to another own wallet, or to the miners."""
    own = perimeter()
    inputs = tuple(
        TxInput(Outpoint(digest("in", n), n), value, address or Address(b"x", "x"))
        for n, (address, value) in enumerate(spent)
    )
    room = sum(value for _, value in spent)
    outputs = []
    for n, (address, value) in enumerate(paid):
        outputs.append(TxOutput(n, min(value, room), address or Address(b"y", "y")))
        room -= outputs[-1].value
    tx = UtxoTransaction(digest("tx"), 0, inputs, tuple(outputs), room, 100)
    moves = internal_transfers_of(tx, own, BTC.id, CHAIN, Clock()()).get(BTC.id, ())
    if moves:
        moved = sum(m.amount for m in moves)
        assert moved == sum(p.amount for p in moves[0].payments)
        lost = {m.wallet: m.sent + m.fee - m.received for m in net(tx, own, BTC.id).movements}
        assert all(m.amount > 0 and lost[m.wallet] > 0 for m in moves)
        assert not {m.wallet for m in moves} & set(moves[0].to_wallets)
