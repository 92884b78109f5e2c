"""Another configuration for a daemon that runs: SIGHUP to the real process, real payments before and after."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bitcoin_exchanges import CHAIN, BitcoinExchange, descriptors_of, open_exchange, wallet_toml
from exchanges import BTC, REGTEST, Exchange, wait_for

from nodes.bitcoinds import Bitcoind
from slack_server import SlackServer
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.service.daemon import Daemon
from walletwatch.store import Store, open_store
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.bitcoind

SATS = 100_000_000
RULES = """
[[rule]]
id = "btc-max"
type = "transaction_limit"
max = "3 BTC"
[[rule]]
id = "btc-day"
type = "window_limit"
max = "2.5 BTC"
window = "24h"
per = "wallet"
"""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def made(tmp_path: Path, fresh_bitcoind: Bitcoind, slack: SlackServer) -> BitcoinExchange:
    return open_exchange(tmp_path, fresh_bitcoind, slack, rules=RULES)


class View:
    """What the daemon's database says, read beside it."""

    def __init__(self, made: BitcoinExchange, store: Store) -> None:
        self.made = made
        self.store = store

    def entries(self, action: str) -> list[dict[str, Any]]:
        with self.store.reading() as unit:
            return [json.loads(e.payload) for e in unit.audit.entries() if e.action == action]

    def findings(self, txid: str) -> dict[str, Finding]:
        with self.store.reading() as unit:
            return {f.rule_id: f for f in unit.findings.find(Filter(tx=bytes.fromhex(txid)))}

    def of_rule(self, rule: str) -> list[Finding]:
        with self.store.reading() as unit:
            return list(unit.findings.find(Filter(rule=rule)))

    def outflow(self, txid: str) -> Outflow | None:
        with self.store.reading() as unit:
            return next(iter(unit.outflows.of_tx(CHAIN, bytes.fromhex(txid))), None)

    def watches(self) -> bool:
        with self.store.reading() as unit:
            cursor = unit.chain_state.cursor(CHAIN)
        return cursor is not None and cursor.ref.hash.hex() == self.made.node.tip()[1]

    def pay(self, sats: int, address: str | None = None) -> str:
        """An approved payment, judged."""
        to = address or self.made.strangers.address()
        self.made.exchange.approve(REGTEST, BTC, sats, to)
        txid = self.made.pay(sats, to)
        wait_for(lambda: self.outflow(txid), f"{txid} is judged")
        return txid


def rewrite(exchange: Exchange, *changes: tuple[str, str]) -> None:
    text = exchange.config.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    exchange.config.write_text(text)


@contextmanager
def running(made: BitcoinExchange) -> Iterator[tuple[View, Callable[[], None]]]:
    """The real command in a process of its own, and how to signal it."""
    command = [str(Path(sys.executable).with_name("walletwatch")), "--config", str(made.exchange.config), "run"]
    store = open_store(made.exchange.settings().store.url.reveal())
    with (made.exchange.folder / "run.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            view = View(made, store)
            wait_for(view.watches, "the chain is watched")
            yield view, lambda: process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (made.exchange.folder / "run.log").read_text()
        finally:
            process.kill()
            process.wait()
            store.close()


def test_new_rules_judge_what_comes_after_and_count_what_came_before(made: BitcoinExchange) -> None:
    """The same payment passes before and is a violation after; the window goes on over the reload, exact."""
    with running(made) as (view, hang_up):
        before = view.pay(SATS)
        assert view.findings(before) == {}
        with view.store.reading() as unit:
            books = unit.ledger.balances(CHAIN, "btc-hot", view.outflow(before).asset)  # type: ignore[union-attr]
        rewrite(made.exchange, ('max = "3 BTC"', 'max = "0.5 BTC"'))
        hang_up()
        (entry,) = wait_for(lambda: view.entries("config.reloaded"), "the configuration was read again")
        (started,) = view.entries("service.started")
        assert entry["before"] == started["configuration"]
        assert entry["rules_before"] == started["rules"] != entry["rules_after"]
        assert entry["after"] == made.exchange.settings().digest
        assert entry["needs_restart"] == []
        after = view.pay(SATS)
        (found,) = view.findings(after).values()
        assert (found.rule_id, found.rules_digest) == ("btc-max", entry["rules_after"])
        assert view.findings(before) == {}, "what was judged stays judged"
        third = view.pay(SATS)
        assert view.findings(third).keys() == {"btc-max", "btc-day"}
        counted = view.findings(third)["btc-day"].evidence["counted"]
        assert {c["tx"] for c in counted} == {before, after, third}
        with view.store.reading() as unit:
            assert unit.ledger.balances(CHAIN, "btc-hot", view.outflow(before).asset) == books  # type: ignore[union-attr]
    assert view.entries("config.refused") == []


def test_an_invalid_file_changes_nothing_and_is_told(made: BitcoinExchange, slack: SlackServer) -> None:
    with running(made) as (view, hang_up):
        rewrite(made.exchange, ('max = "3 BTC"', 'max = "0.5 BTC"\nmaximum = "1 BTC"'), ('"btc-day"', '"btc day"'))
        hang_up()
        (entry,) = wait_for(lambda: view.entries("config.refused"), "it was refused")
        assert entry["count"] >= 2
        assert any("maximum" in problem for problem in entry["problems"])
        (finding,) = view.of_rule("configuration_refused")
        assert finding.severity == "high"
        assert entry["in_force"] == finding.evidence["in_force"]
        wait_for(lambda: any("configuration" in str(m) for m in slack.top_messages()), "people are told")
        assert view.findings(view.pay(SATS)) == {}, "the old limit is in force"
        rewrite(made.exchange, ('\nmaximum = "1 BTC"', ""), ('"btc day"', '"btc-day"'))
        hang_up()
        wait_for(lambda: view.entries("config.reloaded"), "the mended one is taken")
        assert view.findings(view.pay(SATS)).keys() == {"btc-max"}


@contextmanager
def in_thread(made: BitcoinExchange) -> Iterator[tuple[View, Daemon]]:
    """The daemon in this process, asked by its own event."""
    with Application.open(made.exchange.settings()) as app:
        daemon = Daemon(app, made.exchange.settings)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            view = View(made, app.store)
            wait_for(view.watches, "the chain is watched")
            yield view, daemon
        finally:
            daemon.stop.set()
            thread.join(60)
        assert not thread.is_alive()


def test_what_cannot_change_live_is_said_and_the_rest_is_taken(
    made: BitcoinExchange, caplog: pytest.LogCaptureFixture
) -> None:
    with in_thread(made) as (view, daemon):
        rewrite(
            made.exchange,
            ("sqlite:///watch.db", "sqlite:///other.db"),
            ('origin = "audit.test/log"', 'origin = "audit.test/other"'),
            ('poll = "1s"', 'poll = "2s"'),
            ('max = "3 BTC"', 'max = "0.5 BTC"'),
        )
        daemon.reload.set()
        (entry,) = wait_for(lambda: view.entries("config.reloaded"), "the rest is taken")
        assert entry["needs_restart"] == ["[store]", "[audit] origin, signing_key", "[[chain]]"]
        assert view.findings(view.pay(SATS)).keys() == {"btc-max"}
        assert daemon.app.settings.audit.origin == "audit.test/log"
        assert not (made.exchange.folder / "other.db").exists()
    for table in entry["needs_restart"]:
        assert f"{table} changed, and needs a restart" in caplog.text


def test_people_sinks_and_wallets_change_while_the_daemon_runs(
    made: BitcoinExchange, slack: SlackServer, fresh_bitcoind: Bitcoind
) -> None:
    """A checker who left approves no more; another sink is told; a new wallet is ours from its first coin."""
    late = fresh_bitcoind.wallet("late")
    with in_thread(made) as (view, daemon), SlackServer() as other:
        leaver = made.exchange.checkers[1]
        rewrite(
            made.exchange,
            (leaver.as_toml(), leaver.as_toml().replace('roles = ["approver"]', 'roles = ["requester"]')),
            (slack.base_url, other.base_url),
        )
        with made.exchange.config.open("a") as config:
            config.write(wallet_toml("btc-late", "warm", descriptors_of(late)))
        daemon.reload.set()
        wait_for(lambda: view.entries("config.reloaded"), "the configuration was read again")
        wait_for(lambda: not daemon._next, "every chain goes by it")
        txid = view.pay(SATS)
        assert view.findings(txid).keys() & {"quorum_not_met", "approver_not_authorised"}
        wait_for(other.top_messages, "the new sink is told")
        (change,) = slack.top_messages()
        assert "watching less" in str(change), "the old sink is told of the change, and of nothing after it"
        moved = made.pay(SATS, late.address())
        view.made.node.mine()
        wait_for(view.watches, "the block is judged")
        assert view.outflow(moved) is None, "to an own wallet nothing leaves"


def test_a_configuration_that_needs_the_new_chains_waits_whole(made: BitcoinExchange) -> None:
    """A wallet on a chain that is not watched yet cannot be taken without it."""
    with in_thread(made) as (view, daemon):
        with made.exchange.config.open("a") as config:
            config.write(
                '[[chain]]\nname = "ethereum"\nid = "eip155:1"\nendpoints = ["http://127.0.0.1:9"]\n'
                '[[wallet]]\nname = "eth"\nrole = "hot"\nchain = "ethereum"\naddresses = ["0x' + "5e" * 20 + '"]\n'
            )
        daemon.reload.set()
        (entry,) = wait_for(lambda: view.entries("config.refused"), "it was refused")
        assert any("[[chain]]" in problem and "restart" in problem for problem in entry["problems"])
        assert view.findings(view.pay(SATS)) == {}


def test_reloads_under_traffic_lose_and_double_nothing(made: BitcoinExchange, slack: SlackServer) -> None:
    """The configuration is read again all the time, back and forth, while money leaves and blocks come."""
    paid: list[str] = []
    with in_thread(made) as (view, daemon):
        limits = ("3 BTC", "0.5 BTC")
        for n in range(9):
            rewrite(made.exchange, (f'max = "{limits[n % 2]}"', f'max = "{limits[(n + 1) % 2]}"'))
            daemon.reload.set()
            paid.append(made.pay(SATS // 10, made.strangers.address()))
            if n == 3:  # signals that come together are taken as one
                wait_for(lambda: view.entries("config.reloaded"), "it was taken once")
            if n % 3 == 2:
                made.node.mine()
        made.node.mine()
        wait_for(view.watches, "the chain is at its tip")
        wait_for(lambda: len(view.entries("config.reloaded")) >= 2, "it was taken more than once")
        for txid in paid:
            wait_for(lambda txid=txid: view.findings(txid), f"{txid} is judged")
            assert [f.rule for f in view.findings(txid).values()] == ["unapproved"]
        with view.store.reading() as unit:
            assert len(list(unit.alerts.find(Filter()))) == len(paid)
        assert view.entries("config.refused") == []
        wait_for(lambda: len(slack.top_messages()) == len(paid), "each is told", 60)
    assert len(slack.top_messages()) == len(paid), "and told once"
