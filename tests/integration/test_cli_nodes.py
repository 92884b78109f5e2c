"""The commands that speak with nodes, as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exchanges import ANVIL, Exchange

from nodes.anvils import Anvil

THIEF, NEXT = 7, 8
"""Accounts of anvil that play the thief and whom the thief pays."""


def command(exchange: Exchange, *args: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "walletwatch.cli.main", "--config", str(exchange.config), *args]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env={**os.environ})


def answer(exchange: Exchange, *args: str) -> Any:
    done = command(exchange, *args, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def exchange(tmp_path: Path, fresh_anvil: Anvil) -> Exchange:
    return Exchange(
        tmp_path / "exchange",
        f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = [{{ url = "{fresh_anvil.url}", ws = "{fresh_anvil.ws_url}" }}]
finality = 2
poll = "200ms"
start = 1
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{fresh_anvil.accounts[0]}"]
[[sink]]
type = "console"
""",
    )


def test_a_theft_from_check_to_story(exchange: Exchange, fresh_anvil: Anvil) -> None:
    accounts = fresh_anvil.accounts
    checked = command(exchange, "check", "--live")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"follows {ANVIL}" in checked.stdout
    assert "BAD" not in checked.stdout

    theft = fresh_anvil.send(accounts[0], accounts[THIEF], value=5 * 10**18)
    fresh_anvil.mine(2)
    ran = command(exchange, "run", "--until-synced")
    assert ran.returncode == 0, ran.stderr
    assert "5 ETH" in ran.stdout

    (outflow,) = answer(exchange, "outflows", "list")
    assert (outflow["tx"], outflow["amount"], outflow["state"]) == (theft, str(5 * 10**18), "final")
    (chain,) = answer(exchange, "status")["chains"]
    assert (chain["lag"], chain["last_error"]) == (0, "")
    assert {row["rule"] for row in answer(exchange, "findings", "list", "--severity", "critical")} == {"unapproved"}

    opened = command(exchange, "trace", "start", "--chain", "anvil", "--tx", theft, "--case", "theft", "--by", "me")
    assert opened.returncode == 0, opened.stderr
    (case,) = answer(exchange, "trace", "list")
    assert (case["name"], case["stolen"], case["live"]) == ("theft", str(5 * 10**18), True)

    fresh_anvil.send(accounts[THIEF], accounts[NEXT], value=4 * 10**18)
    assert command(exchange, "run", "--until-synced").returncode == 0
    shown = answer(exchange, "trace", "show", "theft", "--model", "tiho")
    holding = {node["address"]: int(node["holding"]) for node in shown["nodes"]}
    assert holding[accounts[NEXT]] == 4 * 10**18
    assert [row["id"] for row in answer(exchange, "audit", "why", theft)["outflows"]] == [outflow["id"]]
    assert command(exchange, "audit", "verify").returncode == 0


def test_a_theft_that_was_never_seen_needs_its_block(exchange: Exchange, fresh_anvil: Anvil) -> None:
    theft = fresh_anvil.send(fresh_anvil.accounts[0], fresh_anvil.accounts[THIEF], value=5 * 10**18)
    fresh_anvil.mine(1)
    height = int(fresh_anvil.receipt(theft)["blockNumber"], 16)
    start = ("trace", "start", "--chain", ANVIL, "--tx", theft)
    blind = command(exchange, *start)
    assert (blind.returncode, "--height" in blind.stderr) == (2, True)
    elsewhere = command(exchange, *start, "--height", str(height), "--address", fresh_anvil.accounts[NEXT])
    assert (elsewhere.returncode, "1 outputs or transfers" in elsewhere.stderr) == (2, True)
    opened = command(exchange, *start, "--height", str(height), "--address", fresh_anvil.accounts[THIEF])
    assert opened.returncode == 0, opened.stderr
    (case,) = answer(exchange, "trace", "list")
    assert (case["seeds"], case["cursor"]) == (1, int(fresh_anvil.rpc("eth_blockNumber"), 16))


def test_a_node_of_another_chain_is_told_and_ends_with_3(exchange: Exchange) -> None:
    exchange.config.write_text(exchange.config.read_text().replace(ANVIL, "eip155:1"))
    for words in (("check", "--live"), ("run", "--until-synced")):
        done = command(exchange, *words)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert "31337" in command(exchange, "check", "--live").stdout


def test_a_node_that_does_not_answer_is_told_and_ends_with_3(exchange: Exchange, fresh_anvil: Anvil) -> None:
    fresh_anvil.stop()
    exchange.config.write_text(exchange.config.read_text().replace('give_up_after = "20s"', 'give_up_after = "1s"'))
    for words in (
        ("check", "--live"),
        ("run", "--until-synced"),
        ("trace", "start", "--chain", "anvil", "--tx", "0" * 64),
    ):
        done = command(exchange, *words)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
