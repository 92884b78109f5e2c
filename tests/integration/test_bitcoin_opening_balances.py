"""A long scan of unspent outputs, on a real node: what happens meanwhile is judged, and the books are exact."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bitcoin_exchanges import CHAIN, chain_toml
from exchanges import Exchange, wait_for

from chains.bitcoin.client import Client
from chains.errors import RpcError
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter
from walletwatch.watch import opening_balances as openings
from walletwatch.watch.opening_balances import AGAIN_AFTER, UtxoScan
from walletwatch.watch.worker import ChainWorker, Tick

pytestmark = pytest.mark.bitcoind


class HeldScans:
    """The node's scans, whose answers are kept back until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answered = threading.Event()
        self.let_go = threading.Event()
        self.begun = 0
        real = Client.scan_unspent

        def scan(client: Client, scripts: Any) -> Any:
            self.begun += 1
            answer = real(client, scripts)
            self.answered.set()
            assert self.let_go.wait(30)
            return answer

        monkeypatch.setattr(Client, "scan_unspent", scan)
        monkeypatch.setattr(openings, "PATIENCE_SECS", 0.0)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldScans]:
    scans = HeldScans(monkeypatch)
    yield scans
    scans.let_go.set()


@contextmanager
def worker_of(folder: Path, node: Bitcoind, hot: BitcoinWallet) -> Iterator[tuple[Application, ChainWorker]]:
    """The hot wallet by its addresses: a gap that moves with use would ask for another scan."""
    listed = ", ".join(f'"{row["address"]}"' for row in hot.cli("listreceivedbyaddress", 0, True))
    wallet = f'[[wallet]]\nname = "hot"\nrole = "hot"\nchain = "bitcoin"\naddresses = [{listed}]\n'
    exchange = Exchange(folder, chain_toml(node) + wallet)
    with Application.open(exchange.settings()) as app:
        worker = app.worker(app.settings.chains[0])
        yield app, worker
        worker.source.close()


def follow(worker: ChainWorker) -> None:
    """Tick until there is nothing to do but to wait."""
    for _ in range(50):
        done = worker.tick()
        assert done is not Tick.FAILED, worker.last_error
        if done is Tick.IDLE:
            return
    raise AssertionError("it does not come to rest")


def until_open(worker: ChainWorker, held: HeldScans) -> None:
    """Let the scan go, and tick until its coins are known."""
    held.let_go.set()

    def is_open() -> bool:
        follow(worker)
        return worker.synced and worker.memory.watch.complete

    wait_for(is_open, "the books are open")


def outflows(app: Application) -> list[Outflow]:
    with app.store.reading() as unit:
        return list(unit.outflows.find(Filter()))


def note_of(app: Application) -> str:
    with app.store.reading() as unit:
        note: str = unit.chain_state.reports()[str(CHAIN)][0]["note"]
    return note


def held_by_node(hot: BitcoinWallet) -> int:
    return int(hot.cli("getbalances")["mine"]["trusted"].scaleb(8))


def held_by_books(app: Application) -> int:
    with app.store.reading() as unit:
        return sum(output.value for output in unit.ledger.unspent(CHAIN).values())


def fund(node: Bitcoind) -> BitcoinWallet:
    """Nine coins' worth in three, at addresses the wallet gave out; with six more of these."""
    hot, miner = node.wallet("hot"), node.wallet("miner")
    node.mine(110)
    for _ in range(3):
        miner.pay({hot.address(): "3"})
    node.mine()
    for _ in range(6):
        hot.address()
    return hot


def pay(hot: BitcoinWallet, to: str, amount: str) -> None:
    """Its change goes to an address given out before."""
    own = hot.cli("listreceivedbyaddress", 0, True)[0]["address"]
    assert hot.cli("send", {to: amount}, None, "unset", 5, {"change_address": own})["complete"]


def test_blocks_are_judged_while_the_node_scans_and_the_books_are_exact_afterwards(
    tmp_path: Path, fresh_bitcoind: Bitcoind, held: HeldScans
) -> None:
    """The scan took minutes at first contact, and in these nothing was judged. Its answer is of the block it began at:
    coins spent, received and moved since then must be neither missing nor counted twice.
    """
    node, hot = fresh_bitcoind, fund(fresh_bitcoind)
    stranger = node.wallet("miner").address()
    with worker_of(tmp_path, node, hot) as (app, worker):
        assert worker.tick() is Tick.STARTED
        assert held.answered.wait(10)
        pay(hot, stranger, "2.5")  # spends a coin of the scan; its change is of a later block
        node.mine()
        follow(worker)
        assert [o.state for o in outflows(app)] == ["included"]
        assert note_of(app).startswith("opening balances not read yet")
        assert not worker.synced
        mine = [row["address"] for row in hot.cli("listreceivedbyaddress", 0, True)]
        pay(hot, mine[1], "4")
        node.wallet("miner").pay({mine[2]: "1"})
        node.mine()
        hot.cli("sendall", [stranger], None, "unset", 5, {"inputs": [_smallest(hot)]})
        node.mine(2)
        follow(worker)
        assert not worker.memory.watch.complete
        until_open(worker, held)
        assert held_by_books(app) == held_by_node(hot)
        assert worker.opening_balances.status() == ""
        assert (len(outflows(app)), held.begun) == (2, 1)


def _smallest(wallet: BitcoinWallet) -> dict[str, Any]:
    coin = min(wallet.cli("listunspent"), key=lambda found: found["amount"])
    return {"txid": coin["txid"], "vout": coin["vout"]}


def test_a_scan_of_an_abandoned_branch_is_made_anew(tmp_path: Path, fresh_bitcoind: Bitcoind, held: HeldScans) -> None:
    """The coin it told of stood in a block that is gone, and was spent otherwise on the new branch."""
    node, hot = fresh_bitcoind, fund(fresh_bitcoind)
    node.wallet("miner").pay({hot.cli("listreceivedbyaddress", 0, True)[0]["address"]: "7"})
    (told,) = node.mine()
    with worker_of(tmp_path, node, hot) as (app, worker):
        worker.tick()
        assert held.answered.wait(10)
        node.cli("invalidateblock", told)
        node.cli("generateblock", node.wallet("miner").address(), [])
        node.cli("generateblock", node.wallet("miner").address(), [])
        until_open(worker, held)
        assert held.begun == 2
        assert held_by_books(app) == held_by_node(hot) == 9 * 10**8


def test_a_node_that_scans_for_somebody_else_is_asked_again_later(
    tmp_path: Path, fresh_bitcoind: Bitcoind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bitcoind makes one scan at a time. Judging goes on, and status says why the books are not open."""
    node, hot = fresh_bitcoind, fund(fresh_bitcoind)
    now = [datetime(2026, 11, 22, tzinfo=UTC)]
    with worker_of(tmp_path, node, hot) as (_app, worker):
        desk = UtxoScan(worker.watched, worker.source, lambda: now[0])
        tip = worker.source.tip()
        with monkeypatch.context() as busy:
            busy.setattr(Client, "scan_unspent", _refuse)
            assert desk.holdings(tip) is None
        assert (
            desk.status() == 'opening balances not read yet: Scan already in progress, use action "abort" or "status"'
        )
        assert desk.holdings(tip) is None
        now[0] += AGAIN_AFTER + timedelta(seconds=1)
        holdings = desk.holdings(tip)
        assert holdings is not None
        assert sum(holdings.amounts.values()) == 9 * 10**8
        assert desk.status() == ""


def _refuse(_client: Client, _scripts: Any) -> Any:
    raise RpcError('Scan already in progress, use action "abort" or "status"', code=-8)
