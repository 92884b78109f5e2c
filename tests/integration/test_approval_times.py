"""Times that people write into acts after the fact, told to a real daemon's application on a real node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from exchanges import ANVIL, ETH, Colleague, Exchange

from nodes.anvils import Anvil
from walletwatch.approvals.act_files import make_intent, make_payload
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.findings import Finding
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.anvil

ETHER = 10**18
THIEF = "0x" + "7e" * 20


class Played:
    """An exchange on anvil whose worker the test drives, with a clock that it moves."""

    def __init__(self, exchange: Exchange, node: Anvil, app: Application) -> None:
        self.exchange, self.node, self.app, self.ahead = exchange, node, app, timedelta()
        real = app.store.clock
        app.store.clock = lambda: real() + self.ahead
        (self.worker,) = app.workers()
        self.turn()

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def turn(self) -> None:
        """Until the worker has nothing more to do."""
        for _ in range(60):
            self.worker.tick()
            if self.worker.synced:
                break
        assert self.worker.synced, self.worker.last_error
        with self.app.approvals.held():
            self.app.feeds.read()

    def pay(self, amount: int, payee: str = THIEF) -> bytes:
        tx = self.node.send(self.node.accounts[1], payee, value=amount)
        self.node.mine(1)
        self.turn()
        return bytes.fromhex(tx[2:])

    def write(self, *acts: tuple[Colleague, dict[str, Any]]) -> None:
        with self.exchange.log.open("ab") as log:
            log.write(b"".join(self.exchange._sign(who, payload) for who, payload in acts))
        self.turn()

    def request(self, amount: int, ago: timedelta, payee: str = THIEF) -> list[tuple[Colleague, dict[str, Any]]]:
        """A request and its approvals, dated `ago` before now."""
        at, x = self.now - ago, self.exchange
        intent = make_intent(chain=ANVIL, asset=ETH, amount=amount, destination=payee)
        asked = (x.asker, make_payload("request", f"W-{amount}", x.asker.id, at, intent=intent))
        given = [(c, make_payload("approve", f"W-{amount}", c.id, at, intent=intent)) for c in x.checkers]
        return [asked, *given]

    def findings(self, tx: bytes) -> list[Finding]:
        with self.app.store.reading() as unit:
            resolved = unit.findings.resolutions([f.id for f in unit.findings.find(Filter(tx=tx))])
            return [f for f in unit.findings.find(Filter(tx=tx)) if f.id not in resolved]

    def alert_state(self) -> list[AlertState]:
        with self.app.store.reading() as unit:
            return [alert.state for alert in unit.alerts.find(Filter())]


@pytest.fixture
def played(fresh_anvil: Anvil, tmp_path: Path) -> Iterator[Played]:
    chains = f"""[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 1
[[wallet]]
name = "hot"
role = "hot"
chain = "anvil"
addresses = ["{fresh_anvil.accounts[1]}"]
"""
    exchange = Exchange(tmp_path / "exchange", chains)
    with Application.open(exchange.settings()) as app:
        yield Played(exchange, fresh_anvil, app)


@pytest.mark.parametrize("ago", [timedelta(hours=2), timedelta(days=30)])
def test_acts_dated_back_after_a_theft_close_nothing(played: Played, ago: timedelta) -> None:
    """Acts backdated by hours or thirty days, written when the theft was known, closed its alert as `system`."""
    stolen = played.pay(3 * ETHER)
    (before,) = played.findings(stolen)
    assert before.rule == "unapproved"
    played.write(*played.request(3 * ETHER, ago))
    (after,) = played.findings(stolen)
    assert after.rule == "unapproved"
    assert played.alert_state() == [AlertState.OPEN]
    with played.app.store.reading() as unit:
        acts = unit.approvals.acts_of([f"W-{3 * ETHER}"])
    assert {(a.refused, a.read_late) for a in acts} == {("approved_after_broadcast", False)}


def test_acts_that_are_a_little_late_still_explain_their_payment(played: Played) -> None:
    played.node.rpc("evm_increaseTime", [600])
    paid = played.pay(2 * ETHER)
    played.write(*played.request(2 * ETHER, timedelta(minutes=20)))
    assert played.findings(paid) == []


def test_what_is_dated_while_the_feed_was_not_read_counts_and_says_so(played: Played) -> None:
    """The log was away for three hours: nobody could read what people wrote into it meanwhile."""
    away = played.exchange.log.with_suffix(".away")
    played.exchange.log.rename(away)
    played.turn()
    played.ahead += timedelta(hours=3)
    played.turn()
    away.rename(played.exchange.log)
    played.write(*played.request(4 * ETHER, timedelta(hours=2)))
    with played.app.store.reading() as unit:
        acts = unit.approvals.acts_of([f"W-{4 * ETHER}"])
        (unread,) = unit.audit.find(Filter(action="approval.unread"))
    assert {(a.refused, a.read_late) for a in acts} == {("", True)}
    assert "No such file" in str(unread.payload)


def test_a_log_read_for_the_first_time_is_believed_and_marked(played: Played, tmp_path: Path) -> None:
    """At first contact nobody can say when a line was written: what rests on it says that it was read late."""
    other = Exchange(tmp_path / "other", played.exchange.chains)
    other.asker, other.checkers = played.exchange.asker, played.exchange.checkers
    other.config.write_text(other._toml())
    at = datetime.now(UTC) - timedelta(days=3)
    intent = make_intent(chain=ANVIL, asset=ETH, amount=5, destination=THIEF)
    other.log.write_bytes(other._sign(other.asker, make_payload("request", "W-5", other.asker.id, at, intent=intent)))
    with Application.open(other.settings()) as app:
        with app.approvals.held():
            app.feeds.read()
        with app.store.reading() as unit:
            (act,) = unit.approvals.acts_of(["W-5"])
    assert (act.refused, act.read_late) == ("", True)
