"""Watching less is told, and first where alerts went until then: address files and reloads under a running daemon."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from exchanges import ANVIL, Exchange, wait_for

from chains.model import ChainId
from nodes.anvils import Anvil
from slack_server import Message, SlackServer
from walletwatch.domain.findings import Finding
from walletwatch.service.application import Application
from walletwatch.service.daemon import Daemon
from walletwatch.store.statements import Filter

pytestmark = pytest.mark.anvil

RULES = """
[[rule]]
id = "eth-max"
type = "transaction_limit"
max = "50 ETH"
"""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@dataclass
class Watched:
    """A daemon in this process over a wallet whose addresses lie in `file`."""

    exchange: Exchange
    daemon: Daemon
    app: Application
    anvil: Anvil

    @property
    def file(self) -> Path:
        return self.exchange.folder / "hot.txt"

    def entries(self, action: str) -> list[dict[str, Any]]:
        with self.app.store.reading() as unit:
            return [json.loads(e.payload) for e in unit.audit.entries() if e.action == action]

    def of_rule(self, rule: str) -> list[Finding]:
        with self.app.store.reading() as unit:
            return list(unit.findings.find(Filter(rule=rule)))

    def is_outflow(self, txid: str) -> bool:
        with self.app.store.reading() as unit:
            found = unit.outflows.find(Filter(chain=str(ChainId.parse(ANVIL))))
            return txid.removeprefix("0x") in {o.tx.hex() for o in found}

    def pay(self, sender: str, value: int) -> None:
        """A payment that is seen as an outflow."""
        txid = self.anvil.send(sender, self.anvil.accounts[9], value=value)
        wait_for(lambda: self.is_outflow(txid), f"a payment of {sender} is judged")

    def rewrite(self, old: str, new: str) -> None:
        text = self.exchange.config.read_text()
        assert old in text
        self.exchange.config.write_text(text.replace(old, new))


@contextmanager
def running(folder: Path, anvil: Anvil, slack: SlackServer, own: list[str]) -> Iterator[Watched]:
    made = folder / "exchange"
    made.mkdir()
    (made / "hot.txt").write_text("".join(f"{address}\n" for address in own))
    chain = f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{anvil.url}"]
finality = 2
poll = "1s"
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses_file = "hot.txt"
"""
    exchange = Exchange(made, chain, slack=slack, rules=RULES)
    with Application.open(exchange.settings()) as app:
        daemon = Daemon(app, exchange.settings)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        try:
            watched = Watched(exchange, daemon, app, anvil)
            wait_for(lambda: watched.entries("chain.started"), "the chain is watched")
            yield watched
        finally:
            daemon.stop.set()
            thread.join(60)
        assert not thread.is_alive()


def told(slack: SlackServer, *words: str) -> bool:
    """Whether one message holds all the words."""
    return any(all(word in str(message) for word in words) for message in slack.top_messages())


def test_each_address_that_goes_or_comes_is_told(tmp_path: Path, fresh_anvil: Anvil, slack: SlackServer) -> None:
    """An own address was taken out of the address file, and a thief's put in: the theft that followed from the one was
    not seen, the theft to the other was a move between own wallets. Nobody was told of either.
    """
    first, second, thief = fresh_anvil.accounts[:3]
    with running(tmp_path, fresh_anvil, slack, [first, second]) as watched:
        watched.file.write_text(f"{first}\n")
        wait_for(lambda: told(slack, "1 address", second, "eth-hot"), "the loss is told")
        watched.file.write_text(f"{first}\n{thief}\n")
        wait_for(lambda: told(slack, "ours from now on", thief), "the gain is told")
        lost, gained = sorted(watched.of_rule("watching_less"), key=lambda f: f.found_at)
        assert {lost.severity, gained.severity} == {"high"}
        assert lost.evidence["lost"] == {"address": {"count": 1, "names": [f"{second} of eth-hot"]}}
        assert (gained.evidence["lost"], gained.evidence["gained"]["address"]["count"]) == ({}, 1)
        assert [entry["lost"] for entry in watched.entries("perimeter.changed")] == [lost.evidence["lost"], {}]


@pytest.mark.parametrize("text", ["", "# moved\n", "another\n"], ids=["empty", "comments", "replaced"])
def test_a_file_that_lost_every_address_is_refused(
    text: str, tmp_path: Path, fresh_anvil: Anvil, slack: SlackServer
) -> None:
    """A truncated address file was taken for a wallet that owns nothing, and nothing of it was watched any more."""
    first, second, other = fresh_anvil.accounts[:3]
    with running(tmp_path, fresh_anvil, slack, [first, second]) as watched:
        watched.file.write_text(text.replace("another", other))
        wait_for(lambda: told(slack, "hot.txt", "could not be read again"), "the refusal is told")
        watched.pay(second, 5)
        assert len(watched.of_rule("configuration_refused")) == 1, "once, and not at every look"
        watched.daemon.reload.set()
        wait_for(lambda: len(watched.entries("config.refused")) == 2, "a reload does not take it either")
        watched.file.write_text(f"{first}\n{second}\n# back\n")
        wait_for(lambda: watched.entries("perimeter.changed"), "the mended file is read")
        assert watched.of_rule("watching_less") == []


def test_a_half_written_configuration_is_told_to_the_old_sinks_first(
    tmp_path: Path, fresh_anvil: Anvil, slack: SlackServer
) -> None:
    """An editor wrote the first half of the file, which is valid TOML, and the daemon read it: without feeds, rules and
    sinks it went on in silence.
    """
    when_told: list[bool] = []
    with running(tmp_path, fresh_anvil, slack, fresh_anvil.accounts[:1]) as watched:

        def look(_message: Message) -> None:
            when_told.append(bool(watched.entries("config.reloaded")))

        slack.on_message = look
        text = watched.exchange.config.read_text()
        watched.exchange.config.write_text(text[: text.index("[[approval_feed]]")])
        watched.daemon.reload.set()
        (entry,) = wait_for(lambda: watched.entries("config.reloaded"), "the configuration was read again")
        assert when_told == [False], "told before it took effect"
        assert told(slack, "1 feed (treasury)", "1 sink (slack)", "eth-max", "1 policy (everything)")
        assert entry["lost"]["sink"] == {"count": 1, "names": ["slack"]}
        assert {"eth-max", "unapproved", "quorum_not_met"} <= set(entry["lost"]["rule"]["names"])
        (found,) = watched.of_rule("watching_less")
        assert (found.severity, found.evidence["lost"]) == ("high", entry["lost"])


def test_a_dead_sink_does_not_hold_up_the_change_and_the_next_one_hears_of_it(
    tmp_path: Path, fresh_anvil: Anvil, slack: SlackServer
) -> None:
    """A sink is often exchanged because it is dead: waiting for it for ever would keep the old configuration."""
    with SlackServer() as dead:
        gone = dead.base_url
    with running(tmp_path, fresh_anvil, slack, fresh_anvil.accounts[:1]) as watched:
        watched.rewrite('give_up_after = "20s"', 'give_up_after = "1s"')
        watched.rewrite(slack.base_url, gone)
        watched.daemon.reload.set()
        wait_for(lambda: watched.entries("config.reloaded"), "the sink that is dead is taken")
        watched.rewrite(gone, slack.base_url)
        watched.daemon.reload.set()
        wait_for(lambda: len(watched.entries("config.reloaded")) == 2, "the change is not held up")
        wait_for(lambda: told(slack, "could not be told to slack"), "the sink that works hears of it")


def test_a_change_that_watches_no_less_wakes_nobody(tmp_path: Path, fresh_anvil: Anvil, slack: SlackServer) -> None:
    with running(tmp_path, fresh_anvil, slack, fresh_anvil.accounts[:1]) as watched:
        watched.rewrite('max = "50 ETH"', 'max = "40 ETH"')
        watched.daemon.reload.set()
        (entry,) = wait_for(lambda: watched.entries("config.reloaded"), "the configuration was read again")
        assert (entry["lost"], entry["gained"]) == ({}, {})
        assert watched.of_rule("watching_less") == []
