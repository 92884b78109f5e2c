"""Between us and an EVM node stands a proxy that lies, lags and drops, the whole pipeline behind it: nothing is lost,
nothing is judged on a lie, and each fault is shown where `status` looks.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from evm_proxies import EvmProxy, untraced
from evm_watches import Deployed, OwnWallet, Watch, calldata, made_for_tests, settled, watch

from nodes.anvils import Anvil
from nodes.contracts import deploy, deploy_erc20

pytestmark = pytest.mark.anvil

RULES = ("unexplained_balance", "wallet_control_changed", "allowance_granted")


@dataclass
class Stage:
    """Twelve blocks with every way out, an honest node, and a proxy before it; `truth` is what the honest one tells."""

    node: Anvil
    proxy: EvmProxy
    deployed: Deployed
    truth: dict[str, Any]
    start: int

    def behind(
        self,
        folder: Path,
        *,
        urls: tuple[str, ...] = (),
        more: str = "",
        timeout_secs: float = 20,
    ) -> Deployed:
        own = self.deployed
        told = f'finality = 1\ncheck_balances = "1ms"\nstart = {self.start}\n{more}'
        return replace(own, folder=folder, urls=urls or (self.proxy.url,), more=told, timeout_secs=timeout_secs)


@pytest.fixture(scope="module")
def stage(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    hot, stranger, payee = anvil.accounts[0], anvil.accounts[5], "0x" + "7e" * 20
    token = deploy_erc20(anvil, "TKN", 10**20, hot)
    payer = deploy(anvil, made_for_tests("payer"))
    settled(anvil, anvil.send(anvil.accounts[9], payer.address, value=10_000))
    settled(anvil, token.send(hot, "approve", stranger, 10**18))
    start = int(anvil.rpc("eth_blockNumber"), 16) + 1
    for n in range(1, 4):
        settled(anvil, anvil.send(hot, payee, value=n))
        settled(anvil, token.send(hot, "transfer", payee, 100 + n))
        settled(anvil, token.send(stranger, "transferFrom", hot, payee, 200 + n))
        settled(anvil, anvil.send(stranger, payer.address, data=calldata("pay(address,uint256)", payee, 300 + n)))
    folder = tmp_path_factory.mktemp("lies")
    deployed = Deployed(
        folder / "truth",
        [anvil.url],
        [OwnWallet("eth-hot", [hot]), OwnWallet("payout", [payer.address])],
        tokens=[("TKN", token.address)],
        rules=RULES,
        more=f'finality = 1\ncheck_balances = "1ms"\nstart = {start}',
    )
    with watch(deployed) as desk:
        desk.settle()
        truth = desk.end_state()
        assert len(truth["outflows"]) == 12
        assert desk.findings("unexplained_balance") == []
    with EvmProxy(anvil.url) as proxy:
        yield Stage(anvil, proxy, deployed, truth, start)


@pytest.fixture(autouse=True)
def honest_again(stage: Stage) -> Iterator[None]:
    yield
    stage.proxy.honest()
    stage.proxy.played.clear()


def lies_about(stage: Stage, fault: str, method: str, most: int = 12) -> None:
    """Lie about every block, `most` times: the second try that heals a race does not heal this."""

    def choose(call: dict[str, Any], _number: int) -> str:
        # A question for the tip or for a header is no question for a block.
        asked = call["method"] == method and call["params"][-1:] != [False]
        return fault if asked and len(stage.proxy.played) < most else "pass"

    stage.proxy.fault = choose


def hold_to_the_truth(stage: Stage, desk: Watch) -> list[str]:
    """The same end as without a liar; and what `status` showed on the way."""
    desk.settle()
    assert desk.end_state() == stage.truth
    desk.worker.conservation.check()
    assert desk.findings("unexplained_balance") == []
    states = [e["state"] for shown in desk.shown for e in shown["endpoints"]]
    assert all(shown["state"] == "failing" and shown["last_error"] for shown in desk.shown)
    return states


@pytest.mark.parametrize(
    ("fault", "method", "state"),
    [
        ("null", "eth_getBlockByNumber", "ok"),
        ("other-height", "eth_getBlockByNumber", "lying"),
        ("other-height", "eth_getLogs", "lying"),
        ("null", "eth_getTransactionReceipt", "behind"),
        ("other-height", "trace_block", "lying"),
        ("null", "trace_block", "behind"),
        ("empty", "trace_block", "lying"),
        ("other-question", "eth_getBlockByNumber", "lying"),
    ],
)
def test_a_lie_is_not_believed_and_shown(stage: Stage, tmp_path: Path, fault: str, method: str, state: str) -> None:
    lies_about(stage, fault, method)
    with watch(stage.behind(tmp_path)) as desk:
        states = hold_to_the_truth(stage, desk)
    assert set(stage.proxy.played) == {fault}
    assert state in states, states


@pytest.mark.parametrize(("fault", "method"), [("empty", "eth_getLogs"), ("hide", "eth_getBlockByNumber")])
def test_what_was_left_out_is_noticed(stage: Stage, tmp_path: Path, fault: str, method: str) -> None:
    lies_about(stage, fault, method)
    with watch(stage.behind(tmp_path, more="prove = true")) as desk:
        hold_to_the_truth(stage, desk)


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        ("hide", "eth_getBlockByNumber"),
        ("hide", "eth_getBlockReceipts"),
        ("other-height", "eth_getBlockReceipts"),
        ("null", "eth_getBlockReceipts"),
        ("empty", "eth_getBlockReceipts"),
    ],
)
def test_a_node_that_is_not_ones_own_is_held_to_its_roots(
    stage: Stage, tmp_path: Path, fault: str, method: str
) -> None:
    lies_about(stage, fault, method)
    with watch(stage.behind(tmp_path, more="prove = true")) as desk:
        states = hold_to_the_truth(stage, desk)
    assert set(stage.proxy.played) == {fault}
    assert {"lying", "behind"} & set(states)


def test_a_receipt_with_another_amount_is_refused_by_its_root(stage: Stage, tmp_path: Path) -> None:
    """Only the root tells: everything else about the receipt fits."""
    stage.proxy.fault = lambda call, _number: "forge-receipts" if call["method"] == "eth_getBlockReceipts" else "pass"
    with watch(stage.behind(tmp_path, more="prove = true")) as desk:
        for _ in range(8):
            desk.worker.tick()
            desk.clock.pass_quarantine()
        assert desk.losses().keys() == {("eth-hot", "eip155:31337/slip44:60", 1)}, "that block has no log to forge"
        assert desk.report()["endpoints"][0]["state"] == "lying"
        assert "not those that the header commits to" in desk.report()["last_error"]
        assert [f.rule for f in desk.findings("node_disagreement")] == ["node_disagreement"]
        stage.proxy.honest()
        hold_to_the_truth(stage, desk)


@pytest.mark.parametrize("fault", ["truncate", "garble", "drop", "late", "busy"])
def test_what_breaks_on_the_way_is_asked_again_and_shown(stage: Stage, tmp_path: Path, fault: str) -> None:
    played = stage.proxy.played
    stage.proxy.fault = lambda _call, number: fault if number % 4 < 3 and len(played) < 6 else "pass"
    with watch(stage.behind(tmp_path, timeout_secs=0.5)) as desk:
        desk.settle()
        assert desk.end_state() == stage.truth
        assert desk.report()["endpoints"][0]["last_error"]
    assert set(played) == {fault}


def test_a_node_exchanged_for_one_of_another_chain_is_noticed(stage: Stage, tmp_path: Path) -> None:
    """The connection broke, and behind the same address there is now another network."""
    plan = iter(["drop", "other-chain", "other-chain"])

    def exchanged(call: dict[str, Any], number: int) -> str:
        return next(plan, "pass") if number > 12 and (call["method"] == "eth_chainId" or not played) else "pass"

    played = stage.proxy.played
    stage.proxy.fault = exchanged
    with watch(stage.behind(tmp_path)) as desk:
        states = hold_to_the_truth(stage, desk)
        assert [f.severity for f in desk.findings("wrong_chain")] == ["critical"]
    assert played[:2] == ["drop", "other-chain"]
    assert "wrong-chain" in states


@pytest.mark.parametrize(
    ("fault", "method", "state"),
    [
        ("other-height", "eth_getBlockByNumber", "lying"),
        ("other-height", "eth_getLogs", "lying"),
        ("null", "trace_block", "ok"),
    ],
)
def test_beside_an_honest_node_a_liar_delays_nothing(
    stage: Stage, tmp_path: Path, fault: str, method: str, state: str
) -> None:
    lies_about(stage, fault, method, most=10_000)
    with watch(stage.behind(tmp_path, urls=(stage.proxy.url, stage.node.url))) as desk:
        desk.settle()
        assert desk.end_state() == stage.truth
        assert desk.shown == []
        liar, honest = desk.report()["endpoints"]
        assert liar["state"] == state
        assert liar["last_error"]
        assert (honest["state"], honest["last_error"]) == ("ok", "")


def test_traces_come_from_the_node_that_has_them(stage: Stage, tmp_path: Path) -> None:
    stage.proxy.fault = untraced
    with watch(stage.behind(tmp_path, urls=(stage.proxy.url, stage.node.url))) as desk:
        hold_to_the_truth(stage, desk)


def test_a_random_mixture_loses_nothing(stage: Stage, tmp_path: Path) -> None:
    dice = random.Random(11)  # noqa: S311 - a test that repeats itself
    by_method = {
        "eth_getBlockByNumber": ("null", "other-height", "other-question"),
        "eth_getBlockReceipts": ("null", "hide", "other-height", "empty"),
        "trace_block": ("null", "empty", "other-height"),
    }

    def any_fault(call: dict[str, Any], _number: int) -> str:
        if len(stage.proxy.played) >= 60 or dice.random() > 0.4:
            return "pass"
        own = by_method.get(call["method"], ()) if call["params"][-1:] != [False] else ()
        return dice.choice(["truncate", "garble", "drop", "busy", *own])

    stage.proxy.fault = any_fault
    with watch(stage.behind(tmp_path, more="prove = true")) as desk:
        states = hold_to_the_truth(stage, desk)
    assert len(stage.proxy.played) == 60
    assert {"lying", "down", "behind"} & set(states)


def test_the_status_command_shows_the_liar(stage: Stage, tmp_path: Path) -> None:
    stage.proxy.fault = lambda call, _number: "other-height" if call["method"] == "eth_getLogs" else "pass"
    with watch(stage.behind(tmp_path)) as desk:
        for _ in range(4):
            desk.worker.tick()
        config = str(desk.exchange.config)
    command = [str(Path(sys.executable).with_name("walletwatch")), "--config", config, "status", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (row,) = json.loads(done.stdout)["chains"]
    assert (row["state"], row["endpoints"][0]["state"]) == ("failing", "lying")
    assert "logs" in row["last_error"]
