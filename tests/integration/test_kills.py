"""kill -9 at any moment, under traffic and reorgs: the daemon ends where one ends that saw only the final chain."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from exchanges import BTC, REGTEST, Exchange, wait_for

from nodes.bitcoinds import Bitcoind, BitcoinWallet
from slack_server import SlackServer
from walletwatch.store import Store, open_store
from walletwatch.store.statements import Filter

KILLS = int(os.environ.get("WALLETWATCH_KILLS", "12"))
"""Fifty by hand; fewer in every run of the tests."""


@dataclass
class Traffic:
    """Payments of the hot wallet, approved or not, and a block now and then, until told to stop."""

    node: Bitcoind
    hot: BitcoinWallet
    exchange: Exchange
    change: str
    strangers: BitcoinWallet
    random: random.Random
    stop: threading.Event = field(default_factory=threading.Event)
    paid: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self) -> None:
        try:
            while not self.stop.wait(0.3):
                self.pay()
                if self.random.random() < 0.4:
                    self.node.mine(1)
        except Exception as error:  # noqa: BLE001 - kept for the test, which fails on it
            self.failed.append(repr(error))

    def pay(self) -> None:
        sats = self.random.randrange(100_000, 3_000_000)
        # An address of its own for each: to a shared one, which request is the nearest depends on who came first.
        address = self.strangers.address()
        if self.random.random() < 0.7:
            self.exchange.approve(REGTEST, BTC, sats, address)
        amount = str(Decimal(sats).scaleb(-8))
        made = self.hot.cli("send", {address: amount}, None, "unset", None, {"change_address": self.change})
        self.paid.append(str(made["txid"]))


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


def chain_toml(node: Bitcoind, addresses: list[str], start: int) -> str:
    listed = ", ".join(f'"{a}"' for a in addresses)
    return f"""
[[chain]]
name = "bitcoin"
id = "{REGTEST}"
endpoints = [{{ url = "{node.url}", cookie = "{node.cookie}", zmq = "{node.zmq_address}" }}]
confirmations = 50
start = {start}
poll = "1s"
[[wallet]]
name = "btc-hot"
role = "hot"
chain = "bitcoin"
addresses = [{listed}]
"""


def command(exchange: Exchange, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("walletwatch")), "--config", str(exchange.config), *arguments]


def ended_well(exchange: Exchange, *arguments: str) -> None:
    done = subprocess.run(command(exchange, *arguments), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def reorganise(node: Bitcoind, depth: int) -> list[str]:
    """Abandon the last `depth` blocks for one block more on another branch; the abandoned ones, lowest first."""
    height, _ = node.tip()
    lost = [str(node.cli("getblockhash", h)) for h in range(height - depth + 1, height + 1)]
    node.cli("invalidateblock", lost[0])
    node.mine(depth + 1)
    return lost


def flip_back(node: Bitcoind, lost: list[str]) -> None:
    """Make an abandoned branch the best again."""
    height, _ = node.tip()
    fork = int(node.cli("getblockheader", lost[0])["height"])
    node.cli("invalidateblock", node.cli("getblockhash", fork))
    node.cli("reconsiderblock", lost[0])
    node.mine(max(1, height - node.tip()[0] + 1))


def state_of(store: Store) -> tuple[set[Any], set[Any]]:
    """Outflows and findings of the final chain, and nothing that depends on when somebody looked."""
    with store.reading() as unit:
        outflows = [o for o in unit.outflows.find(Filter()) if o.state in ("included", "final")]
        findings = list(unit.findings.find(Filter()))
    txids = {o.tx for o in outflows}
    left = {(o.id, o.amount, o.fee, o.payments, o.block, o.block_time, o.wallet) for o in outflows}
    found = {(f.id, f.rule, f.verdict, f.severity, f.outflow) for f in findings if f.tx in txids}
    return left, found


def live_and_die(exchange: Exchange, node: Bitcoind, dice: random.Random) -> None:
    """One life after another, with three reorgs between them."""
    lost: list[str] = []
    for life in range(KILLS):
        daemon = subprocess.Popen(command(exchange, "run"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            daemon.wait(timeout=dice.uniform(0.9, 3.5))
        except subprocess.TimeoutExpired:
            daemon.send_signal(signal.SIGKILL)
        output = daemon.communicate()[0].decode()
        assert daemon.returncode == -signal.SIGKILL, output
        if life == KILLS // 4:
            reorganise(node, 1)
        if life == KILLS // 2:
            lost = reorganise(node, 3)
        if life == 3 * KILLS // 4:
            flip_back(node, lost)


def test_killed_at_any_moment_it_ends_where_a_quiet_life_ends(
    tmp_path: Path, fresh_bitcoind: Bitcoind, slack: SlackServer
) -> None:
    node, dice = fresh_bitcoind, random.Random(20260222)  # noqa: S311 - moments of death, not keys
    hot = node.wallet("hot")
    change = hot.address()
    node.mine(130, change)
    toml = chain_toml(node, [change], node.tip()[0] + 1)
    exchange = Exchange(tmp_path / "mortal", toml, slack=slack)
    traffic = Traffic(node, hot, exchange, change, node.wallet("strangers"), dice)
    thread = threading.Thread(target=traffic.run, name="traffic")
    thread.start()
    try:
        live_and_die(exchange, node, dice)
    finally:
        traffic.stop.set()
        thread.join(timeout=30)
    assert traffic.failed == []
    node.mine(1)
    wait_for(lambda: not node.cli("getrawmempool"), "the mempool is empty")
    ended_well(exchange, "run", "--until-synced")
    quiet = Exchange(tmp_path / "quiet", toml)
    quiet.log.write_bytes(exchange.log.read_bytes())
    quiet.config.write_text(_same_people(exchange, slack))
    ended_well(quiet, "run", "--until-synced")
    hold_to(exchange, quiet, node, slack)
    print(f"{KILLS} kills, {len(traffic.paid)} payments")  # noqa: T201 - for a person


def hold_to(exchange: Exchange, quiet: Exchange, node: Bitcoind, slack: SlackServer) -> None:
    """The same outflows and findings, the cursor at the tip, every alert told under one id, both logs whole."""
    mortal_store, quiet_store = (open_store(e.settings().store.url.reveal()) for e in (exchange, quiet))
    try:
        left, found = state_of(mortal_store)
        assert len(left) >= KILLS
        assert found
        assert (left, found) == state_of(quiet_store)
        with mortal_store.reading() as unit:
            alerts = {a.id for a in unit.alerts.find(Filter()) if a.state != "closed"}
            cursor = unit.chain_state.cursor(exchange.settings().chains[0].id)
    finally:
        mortal_store.close()
        quiet_store.close()
    assert cursor is not None
    assert (cursor.ref.height, cursor.ref.hash.hex()) == node.tip()
    told = [m.alert_id for m in slack.top_messages()]
    assert alerts <= set(told)
    for each in (exchange, quiet):
        ended_well(each, "audit", "verify")
    twice = len(told) - len(set(told))
    print(f"{len(left)} outflows, {len(found)} findings, {len(alerts)} alerts, {twice} told twice")  # noqa: T201


def _same_people(exchange: Exchange, slack: SlackServer) -> str:
    """The configuration of the mortal one, without its sink: the same people signed the same log."""
    text = exchange.config.read_text()
    return text[: text.index("[[sink]]")] + text[text.index(f'base_url = "{slack.base_url}"') :].partition("\n")[2]
