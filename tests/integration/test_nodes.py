"""The real nodes themselves: each does what the other tests rely on, dies with its run, and is told of at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import zmq
from sqlalchemy import create_engine, text

from nodes import rpc
from nodes.anvils import CHAIN_ID, Anvil
from nodes.bitcoinds import Bitcoind
from nodes.contracts import OPERATION_DELEGATECALL, deploy_erc20, deploy_safe, safe, settle
from nodes.contracts import deploy as deploy_contract
from nodes.locations import PROJECT, MissingNode, find_bitcoind, find_postgres_bin
from nodes.processes import NodeDied, reserve_port

REGTEST_GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def test_bitcoind_is_regtest_with_index_and_rest(bitcoind: Bitcoind) -> None:
    assert bitcoind.cli("getblockhash", 0) == REGTEST_GENESIS
    assert "txindex" in bitcoind.cli("getindexinfo")
    with pytest.raises(rpc.RpcRefused) as refused:
        bitcoind.cli("getblockhash", 10**6)
    assert refused.value.code == -8


def test_bitcoind_pays_exactly(bitcoind: Bitcoind) -> None:
    bitcoind.mine(101)
    payee = bitcoind.wallet("payee").address("bech32m")
    txid = bitcoind.wallet("miner").pay({payee: "1.00000001"})
    block = bitcoind.cli("getblock", bitcoind.mine()[0], 3)
    outputs = {out["scriptPubKey"].get("address"): out["value"] for out in block["tx"][1]["vout"]}
    assert (block["tx"][1]["txid"], outputs[payee]) == (txid, Decimal("1.00000001"))


def test_bitcoind_rings_for_each_block(fresh_bitcoind: Bitcoind) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with context.socket(zmq.SUB) as bell:
        bell.connect(fresh_bitcoind.zmq_address)
        bell.subscribe(b"hashblock")
        poller = zmq.Poller()
        poller.register(bell, zmq.POLLIN)
        mined: list[str] = []
        while not poller.poll(200):  # a subscription takes effect some time after connect()
            mined += fresh_bitcoind.mine()
        topic, block_hash, _sequence = bell.recv_multipart()
    assert topic == b"hashblock"
    assert block_hash.hex() in mined


def test_bitcoind_killed_comes_back_with_its_chain(fresh_bitcoind: Bitcoind) -> None:
    fresh_bitcoind.mine(3)
    height, _ = fresh_bitcoind.tip()
    url = fresh_bitcoind.url
    fresh_bitcoind.kill()
    with pytest.raises(OSError, match="refused"):
        fresh_bitcoind.tip()
    fresh_bitcoind.start()
    assert (fresh_bitcoind.url, fresh_bitcoind.tip()[0] <= height) == (url, True)
    assert fresh_bitcoind.wallet("miner").address()


def test_bitcoind_reorganises(fresh_bitcoind: Bitcoind) -> None:
    abandoned = fresh_bitcoind.mine(3)
    fresh_bitcoind.cli("invalidateblock", abandoned[1])
    fresh_bitcoind.mine(4)
    assert fresh_bitcoind.tip()[0] == 5
    fresh_bitcoind.cli("reconsiderblock", abandoned[1])
    assert fresh_bitcoind.cli("getblockheader", abandoned[2])["confirmations"] == -1


def test_several_bitcoinds_are_apart(bitcoinds: Callable[..., Bitcoind]) -> None:
    one, other = bitcoinds(), bitcoinds(options=["-blocksonly"])
    one.mine()
    assert (one.tip()[0], other.tip()[0]) == (1, 0)


def test_anvil_moves_ether_and_tokens(anvil: Anvil) -> None:
    assert int(anvil.rpc("eth_chainId"), 16) == CHAIN_ID
    owner, friend = anvil.accounts[0], anvil.accounts[1]
    supply = 2**256 - 1
    token = deploy_erc20(anvil, "USDT", supply, owner)
    receipt = settle(anvil, token.send(owner, "transfer", friend, 7))
    assert [log["topics"][0] for log in receipt["logs"]] == [TRANSFER]
    assert (token.call("balanceOf", friend), token.call("balanceOf", owner)) == (7, supply - 7)


def test_anvil_mines_when_told(anvils: Callable[..., Anvil]) -> None:
    node = anvils(automine=False)
    tx = node.send(node.accounts[0], node.accounts[1], value=1)
    with pytest.raises(LookupError, match="not in a block"):
        node.receipt(tx)
    assert node.mine(2) == 2
    assert node.receipt(tx)["blockNumber"] == "0x1"
    node.automine(on=True)
    later = node.send(node.accounts[0], node.accounts[1], value=1)
    assert settle(node, later)["blockNumber"] == "0x3"


def test_anvil_reorganises_and_restarts_on_its_port(fresh_anvil: Anvil) -> None:
    fresh_anvil.mine(5)
    before = fresh_anvil.rpc("eth_getBlockByNumber", ["0x4", False])["hash"]
    fresh_anvil.reorg(3)
    assert fresh_anvil.rpc("eth_getBlockByNumber", ["0x4", False])["hash"] != before
    url = fresh_anvil.url
    fresh_anvil.kill()
    fresh_anvil.start()
    assert (fresh_anvil.url, fresh_anvil.rpc("eth_blockNumber")) == (url, "0x0")


def test_safe_executes_what_its_owners_signed(fresh_anvil: Anvil) -> None:
    owners = fresh_anvil.accounts[1:4]
    wallet = deploy_safe(fresh_anvil, owners, 2)
    settle(fresh_anvil, fresh_anvil.send(owners[0], wallet.address, value=10**18))
    payee = "0x" + "11" * 20
    settle(fresh_anvil, wallet.execute(payee, value=3, signers=owners[1:]))
    assert int(fresh_anvil.rpc("eth_getBalance", [payee, "latest"]), 16) == 3
    with pytest.raises(LookupError, match="failed"):
        settle(fresh_anvil, wallet.execute(payee, value=3, signers=owners[:1]))


def test_safe_delegates_to_multisend(fresh_anvil: Anvil) -> None:
    wallet = deploy_safe(fresh_anvil, fresh_anvil.accounts[:1], 1)
    settle(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[0], wallet.address, value=10))
    multisend = deploy_contract(fresh_anvil, safe("libraries/MultiSend"))
    payees = ["0x" + f"{n:02x}" * 20 for n in (0x21, 0x22)]
    calls = b"".join(
        b"\0" + bytes.fromhex(payee[2:]) + (5).to_bytes(32, "big") + (0).to_bytes(32, "big") for payee in payees
    )
    data = multisend.calldata("multiSend", calls)
    settle(fresh_anvil, wallet.execute(multisend.address, data=data, operation=OPERATION_DELEGATECALL))
    assert [int(fresh_anvil.rpc("eth_getBalance", [payee, "latest"]), 16) for payee in payees] == [5, 5]


def test_postgres_url_is_an_empty_database_of_psycopg_3(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        tables = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one()
        connection.execute(text("CREATE TABLE left_behind (amount NUMERIC(78,0))"))
        connection.execute(text("INSERT INTO left_behind VALUES (:amount)"), {"amount": 2**256 - 1})
        stored = connection.execute(text("SELECT amount FROM left_behind")).scalar_one()
    engine.dispose()
    assert (tables, int(stored), engine.driver) == (0, 2**256 - 1, "psycopg")


def test_each_test_has_a_database_of_its_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_ports_are_never_given_twice() -> None:
    ports = [reserve_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)


def test_missing_node_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nodes.locations.FETCHED", tmp_path)
    monkeypatch.delenv("BITCOIND", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingNode, match=r"\$BITCOIND.*make nodes"):
        find_bitcoind()


def test_variable_that_names_no_node_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITCOIND", str(tmp_path / "bitcoind"))
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    with pytest.raises(MissingNode, match=r"BITCOIND is .* no program"):
        find_bitcoind()
    with pytest.raises(MissingNode, match=r"POSTGRES_BIN is .* no postgres and initdb"):
        find_postgres_bin()


def test_node_that_cannot_start_shows_its_log(bitcoinds: Callable[..., Bitcoind]) -> None:
    with pytest.raises(NodeDied, match="nosuchoption"):
        bitcoinds(options=["-nosuchoption"])


_RUN_WITH_NODES = """
import time
def test_dies(bitcoind, anvil, postgres):
    with open({told!r}, "w") as told:
        told.write("\\n".join(str(node.process.pid) for node in (bitcoind, anvil, postgres)) + "\\nready")
    time.sleep(600)
"""


@pytest.mark.bitcoind
@pytest.mark.anvil
@pytest.mark.postgres
def test_nodes_die_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """A run that was killed left its nodes behind, and the next one met full disks and taken ports."""
    told = tmp_path / "told"
    run = _start_pytest(tmp_path, _RUN_WITH_NODES.format(told=str(told)))
    _wait(lambda: told.exists() and told.read_text().endswith("ready"), run)
    pids = [int(line) for line in told.read_text().split()[:-1]]
    assert all(_is_alive(pid) for pid in pids)
    run.send_signal(signal.SIGKILL)
    run.wait()
    _wait(lambda: not any(_is_alive(pid) for pid in pids), None)


_COUNTED = """
import pytest
@pytest.fixture(params=["sqlite", "postgres"])
def store(request):
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else "sqlite://"
def test_asks_by_name(store): pass
def test_names_it(postgres_url): pass
def test_fails(postgres_url): assert False
"""


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "workers"])
@pytest.mark.postgres
def test_run_says_how_many_tests_passed_on_real_nodes(tmp_path: Path, workers: list[str]) -> None:
    said = _finish(_start_pytest(tmp_path, _COUNTED, *workers))
    assert "real nodes: 0 tests on bitcoind, 0 on anvil, 2 on PostgreSQL" in said
    assert "1 failed, 3 passed" in said


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_skips(): pytest.skip('no node here')\ndef test_passes(): pass",
        "import pytest\n@pytest.mark.skip('no node here')\ndef test_skips(): pass\ndef test_passes(): pass",
        "import pytest\npytest.skip('no node here', allow_module_level=True)",
    ],
    ids=["call", "mark", "file"],
)
def test_run_with_a_skip_fails(tmp_path: Path, source: str) -> None:
    run = _start_pytest(tmp_path, source)
    said = _finish(run)
    assert "no node here. A skipped test proves nothing" in said
    assert "skipped" not in said.splitlines()[-1]
    assert run.returncode != 0


def _start_pytest(folder: Path, source: str, *options: str) -> subprocess.Popen[str]:
    (folder / "test_planted.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    bitcoind\n    anvil\n    postgres\n")
    plugins = ["-p", "nodes.fixtures", "-p", "nodes.reports", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, *options, str(folder)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(PROJECT / "tests")
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(run: subprocess.Popen[str]) -> str:
    said, _ = run.communicate(timeout=120)
    return said


def _wait(until: Callable[[], bool], run: subprocess.Popen[str] | None) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert run is None or run.poll() is None, _finish(run)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
