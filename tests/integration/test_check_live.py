"""`check --live` warns of what a node, a feed or the database contradicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bitcoin_exchanges import open_exchange
from exchanges import ANVIL, Exchange
from test_chainlink_prices import FIRST, USD, Feed
from typer.testing import CliRunner

from nodes.anvils import Anvil
from nodes.bitcoinds import Bitcoind
from nodes.contracts import deploy_erc20
from slack_server import SlackServer
from walletwatch.cli.main import app


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


def warnings_of(exchange: Exchange) -> list[dict[str, object]]:
    answer = CliRunner().invoke(app, ["--config", str(exchange.config), "check", "--live", "--format", "json"])
    assert answer.exit_code == 0, answer.output
    return [row for row in json.loads(answer.stdout) if row["level"] == "warning"]


def line_of(exchange: Exchange, text: str) -> int:
    return next(n for n, line in enumerate(exchange.config.read_text().splitlines(), 1) if line.startswith(text))


@pytest.mark.anvil
def test_decimals_and_prices_are_held_to_the_chain(tmp_path: Path, fresh_anvil: Anvil) -> None:
    """A token of 18 decimals entered with 6 made a limit of 50,000 one of 0.00000005."""
    holder = fresh_anvil.accounts[0]
    token = deploy_erc20(fresh_anvil, "TKN", 10**24, holder).address.lower()
    feed = Feed(fresh_anvil)
    feed.write(FIRST, USD, age=60)
    exchange = Exchange(
        tmp_path / "exchange",
        f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 2
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{holder}"]
[[asset]]
id = "{ANVIL}/erc20:{token}"
symbol = "TKN"
decimals = 6
[[price]]
asset = "ETH"
source = "chainlink"
feed = "{feed.contract.address}"
[[price]]
asset = "TKN"
usd = "1"
""",
    )
    (found,) = warnings_of(exchange)
    assert (found["line"], found["key"], found["remedy"]) == (
        line_of(exchange, "decimals"),
        "asset[1].decimals",
        "decimals = 18",
    )
    text = exchange.config.read_text().replace("decimals = 6", "decimals = 18")
    exchange.config.write_text(text)
    assert warnings_of(exchange) == []
    text = text.replace('symbol = "TKN"', 'symbol = "ETH"').replace('asset = "ETH"', f'asset = "{ANVIL}/slip44:60"')
    exchange.config.write_text(text.replace('asset = "TKN"', f'asset = "{ANVIL}/erc20:{token}"'))
    (found,) = warnings_of(exchange)
    assert (found["line"], found["key"]) == (line_of(exchange, "usd"), "price[2].usd")
    assert "ETH is worth a hundred times more or less by" in str(found["what"])


@pytest.mark.bitcoind
def test_a_gap_below_what_was_used_is_named(tmp_path: Path, fresh_bitcoind: Bitcoind, slack: SlackServer) -> None:
    """A deposit came to an address behind 60 that nobody used. Later somebody made the gap limit 20, as other wallets
    have it, and the deposit was no longer ours.
    """
    made = open_exchange(tmp_path, fresh_bitcoind, slack)
    late = [made.hot.address() for _ in range(60)][-1]
    made.strangers.node.wallet("miner").pay({late: "1"})
    with made.watched() as watch:
        watch.mine()
    wide = made.exchange.config.read_text()
    assert [row["key"] for row in warnings_of(made.exchange)] == []
    made.exchange.config.write_text(wide.replace("gap_limit = 200", "gap_limit = 20"))
    (found,) = warnings_of(made.exchange)
    assert found["key"] == "wallet[1].gap_limit"
    assert found["line"] == line_of(made.exchange, "gap_limit")
    assert re.search(r"\d+ addresses lie between two that were used", str(found["what"]))
