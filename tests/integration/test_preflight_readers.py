"""A preflight on an approver's machine: a database role that may only read, and no node at all."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
import rlp
from evm_watches import ANVIL, ETH, Deployed, OwnWallet, settled
from exchanges import Exchange
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from nodes.anvils import Anvil
from walletwatch.cli.main import app
from walletwatch.service.application import Application

pytestmark = [pytest.mark.anvil, pytest.mark.postgres]

PAYEE = "0x" + "5e" * 20


def read_only(url: str) -> str:
    """A role of this database that may read its tables and nothing else."""
    plain = make_url(url).set(drivername="postgresql")
    name = f"approver_{plain.database}"
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{name}" LOGIN')
        connection.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{name}"')
    return make_url(url).set(username=name).render_as_string(hide_password=False)


def test_who_may_only_read_may_ask(tmp_path: Path, anvil: Anvil, postgres_url: str) -> None:
    hot = anvil.accounts[7]
    deployed = Deployed(tmp_path, [anvil.url], (OwnWallet("eth-hot", [hot]),))
    made = deployed.exchange()
    exchange = Exchange(tmp_path / "own", made.chains, rules=made.rules, database=postgres_url)
    request = exchange.approve(ANVIL, ETH, 2, PAYEE)
    with Application.open(exchange.settings()) as watching:
        worker = watching.worker(exchange.settings().chains[0])
        settled(anvil, anvil.send(anvil.accounts[0], PAYEE, value=1))
        while not worker.synced:
            worker.tick()
    text = exchange.config.read_text()
    exchange.config.write_text(
        text.replace(postgres_url, read_only(postgres_url)).replace(anvil.url, "http://127.0.0.1:9")
    )
    raw = "02" + rlp.encode([31337, 0, 1, 10**10, 21_000, bytes.fromhex(PAYEE[2:]), 2, b"", []]).hex()
    arguments = ["--config", str(exchange.config), "preflight", "-", "--chain", "anvil", "--format", "json"]
    done = CliRunner().invoke(app, [*arguments, "--wallet", "eth-hot"], input=raw)
    answer = json.loads(done.stdout)
    assert (answer["verdict"], answer["requests"], done.exit_code) == ("pass", [request], 0)
