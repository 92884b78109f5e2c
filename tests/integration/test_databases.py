"""The whole deployment on PostgreSQL says what it says on SQLite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
from exchanges import ANVIL, ETH, Exchange

from nodes.anvils import Anvil


def run(exchange: Exchange, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("walletwatch")), "--config", str(exchange.config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_databases_one_answer(tmp_path: Path, fresh_anvil: Anvil, postgres_url: str) -> None:
    hot, payee, thief = fresh_anvil.accounts[0], fresh_anvil.accounts[4], fresh_anvil.accounts[5]
    chains = f"""
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 2
start = 1
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{hot}"]
"""
    lite = Exchange(tmp_path / "lite", chains)
    lite.approve(ANVIL, ETH, 5 * 10**18, payee)
    fresh_anvil.send(hot, payee, value=5 * 10**18)
    fresh_anvil.send(hot, thief, value=10**18)
    fresh_anvil.mine(3)
    big = Exchange(tmp_path / "big", chains, database=postgres_url)
    big.log.write_bytes(lite.log.read_bytes())
    people = lite.config.read_text()
    big.config.write_text(people.replace(lite.database, postgres_url))
    answers = []
    for exchange in (lite, big):
        run(exchange, "run", "--until-synced")
        found = orjson.loads(run(exchange, "findings", "list", "--format", "json"))
        left = orjson.loads(run(exchange, "outflows", "list", "--format", "json"))
        timeless = [{k: v for k, v in row.items() if k not in {"found_at", "first_seen"}} for row in (*found, *left)]
        answers.append(timeless)
        run(exchange, "audit", "verify")
        run(exchange, "report", "daily")
        assert [f["rule"] for f in found] == ["unapproved"]
    assert answers[0] == answers[1]
