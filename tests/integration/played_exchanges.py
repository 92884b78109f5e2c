"""An exchange on anvil whose worker a test drives by hand, with a clock that it moves and acts it dates as it likes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exchanges import ANVIL, ETH, Colleague, Exchange

from nodes.anvils import Anvil
from walletwatch.approvals.act_files import make_intent, make_payload
from walletwatch.domain.alerts import AlertState
from walletwatch.domain.findings import Finding
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

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
        self.mine()
        return bytes.fromhex(tx[2:])

    def mine(self) -> None:
        self.node.mine(1)
        self.turn()

    def write(self, *acts: tuple[Colleague, dict[str, Any]]) -> None:
        with self.exchange.log.open("ab") as log:
            log.write(b"".join(self.exchange._sign(who, payload) for who, payload in acts))
        self.turn()

    def request(
        self, amount: int, ago: timedelta, payee: str = THIEF, name: str = ""
    ) -> list[tuple[Colleague, dict[str, Any]]]:
        """A request and its approvals, dated `ago` before now."""
        at, x = self.now - ago, self.exchange
        intent = make_intent(chain=ANVIL, asset=ETH, amount=amount, destination=payee)
        asked = (x.asker, make_payload("request", name or f"W-{amount}", x.asker.id, at, intent=intent))
        given = [(c, make_payload("approve", name or f"W-{amount}", c.id, at, intent=intent)) for c in x.checkers]
        return [asked, *given]

    def findings(self, tx: bytes) -> list[Finding]:
        with self.app.store.reading() as unit:
            resolved = unit.findings.resolutions([f.id for f in unit.findings.find(Filter(tx=tx))])
            return [f for f in unit.findings.find(Filter(tx=tx)) if f.id not in resolved]

    def alert_state(self) -> list[AlertState]:
        with self.app.store.reading() as unit:
            return [alert.state for alert in unit.alerts.find(Filter())]


@contextmanager
def played_on(node: Anvil, folder: Path) -> Iterator[Played]:
    """A hot wallet of one account, watched from the present block on."""
    chains = f"""[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{node.url}"]
finality = 1
[[wallet]]
name = "hot"
role = "hot"
chain = "anvil"
addresses = ["{node.accounts[1]}"]
"""
    exchange = Exchange(folder / "exchange", chains)
    with Application.open(exchange.settings()) as app:
        yield Played(exchange, node, app)
