"""Two nodes that disagree: told when a critical finding or a reorg hangs on one, and waited for, but not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bitcoin_exchanges import CHAIN, descriptors_of, wallet_toml
from exchanges import Exchange

from nodes.bitcoinds import Bitcoind
from walletwatch.domain.findings import Finding
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter
from walletwatch.watch.second_opinions import PATIENCE
from walletwatch.watch.worker import ChainWorker, Tick

pytestmark = pytest.mark.bitcoind


def hand_on(giver: Bitcoind, taker: Bitcoind) -> None:
    """Every block of one node to the other."""
    for height in range(taker.tip()[0] + 1, giver.tip()[0] + 1):
        raw = giver.cli("getblock", giver.cli("getblockhash", height), 0)
        assert taker.cli("submitblock", raw) is None


def two_nodes(*nodes: Bitcoind) -> str:
    listed = ", ".join(f'{{ url = "{node.url}", cookie = "{node.cookie}" }}' for node in nodes)
    return f'[[chain]]\nname = "bitcoin"\nid = "{CHAIN}"\nendpoints = [{listed}]\nconfirmations = 3\n'


def findings(app: Application, rule: str) -> list[Finding]:
    with app.store.reading() as unit:
        return [f for f in unit.findings.find(Filter()) if f.rule == rule]


def run(worker: ChainWorker) -> None:
    for _ in range(20):
        worker.tick()
        if worker.synced:
            return
    raise AssertionError(worker.last_error)


def cursor_of(app: Application) -> str:
    with app.store.reading() as unit:
        cursor = unit.chain_state.cursor(CHAIN)
    assert cursor is not None
    return cursor.ref.hash.hex()


def test_a_second_node_is_heard_on_critical_findings_and_on_reorgs(
    tmp_path: Path, bitcoinds: Callable[[], Bitcoind]
) -> None:
    here, there = bitcoinds(), bitcoinds()
    hot = here.wallet("hot")
    here.mine(101, hot.address())
    hand_on(here, there)
    exchange = Exchange(tmp_path, two_nodes(here, there) + wallet_toml("hot", "hot", descriptors_of(hot)))
    now = [datetime(2026, 11, 22, 12, tzinfo=UTC)]
    with Application.open(exchange.settings(), clock=lambda: now[0]) as app:
        worker = app.worker(app.settings.chains[0])
        run(worker)
        assert [e.state for e in worker.source.health()] == ["ok", "ok"]

        # Both see the theft: one critical finding, and nothing about the nodes.
        hot.pay({there.wallet("thief").address(): "1"})
        here.mine()
        hand_on(here, there)
        run(worker)
        assert len(findings(app, "unapproved")) == 1
        assert findings(app, "node_disagreement") == []

        # Another theft, in a block that the other node has another in place of.
        stolen = hot.pay({there.wallet("thief").address(): "2"})
        (ours,) = here.mine()
        (theirs,) = there.mine()
        run(worker)
        assert any(f.tx is not None and f.tx.hex() == stolen for f in findings(app, "unapproved"))
        (told,) = findings(app, "node_disagreement")
        assert ours in told.summary
        assert theirs in told.summary

        # The first node leaves that block; the second still has none of its new one: it is waited for, and told.
        here.cli("invalidateblock", ours)
        (new,) = here.mine()
        assert worker.tick() is Tick.FAILED
        assert "disagree" in worker.last_error
        assert cursor_of(app) == ours
        assert len(findings(app, "node_disagreement")) == 1  # of the same two: the other node's block is the same
        now[0] += PATIENCE + timedelta(seconds=1)
        run(worker)
        assert cursor_of(app) == new


def test_nodes_that_agree_on_a_reorg_delay_nothing(tmp_path: Path, bitcoinds: Callable[[], Bitcoind]) -> None:
    here, there = bitcoinds(), bitcoinds()
    hot = here.wallet("hot")
    here.mine(101, hot.address())
    hand_on(here, there)
    exchange = Exchange(tmp_path, two_nodes(here, there) + wallet_toml("hot", "hot", descriptors_of(hot)))
    with Application.open(exchange.settings()) as app:
        worker = app.worker(app.settings.chains[0])
        run(worker)
        last = here.tip()[1]
        for node in (here, there):
            node.cli("invalidateblock", last)
        here.mine(2)
        hand_on(here, there)
        assert worker.tick() is Tick.ROLLED_BACK
        run(worker)
        assert cursor_of(app) == here.tip()[1] == there.tip()[1]
        assert findings(app, "node_disagreement") == []
