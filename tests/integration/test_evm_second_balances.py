"""A missing balance is asked of a second endpoint too: two nodes that agree prove more than one, and one may lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from evm_proxies import EvmProxy, untraced
from evm_watches import ETHER, Deployed, OwnWallet, Watch, calldata, made_for_tests, settled, watch
from lying_proxies import Call

from nodes.anvils import Anvil
from nodes.contracts import Contract, deploy

pytestmark = pytest.mark.anvil


@dataclass
class Poorer(EvmProxy):
    """Knows another fault: `poorer` (7 ether less than there are)."""

    def distort(self, fault: str, call: Call, said: bytes, authorization: str) -> bytes:
        if fault != "poorer":
            return super().distort(fault, call, said, authorization)
        answers: list[dict[str, Any]] = json.loads(said)
        for row in answers:
            if row["id"] == call["id"]:
                row["result"] = hex(int(row["result"], 16) - 7 * ETHER)
        return json.dumps(answers).encode()


def makes_poor(call: Call, _number: int) -> str:
    return "poorer" if call["method"] == "eth_getBalance" else "pass"


@pytest.fixture
def payer(fresh_anvil: Anvil) -> Contract:
    made = deploy(fresh_anvil, made_for_tests("payer"))
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[9], made.address, value=100 * ETHER))
    return made


@pytest.fixture
def proxies(fresh_anvil: Anvil) -> Iterator[tuple[Poorer, Poorer]]:
    with Poorer(fresh_anvil.url, untraced) as first, Poorer(fresh_anvil.url, untraced) as second:
        yield first, second


@pytest.fixture
def desk(payer: Contract, proxies: tuple[Poorer, Poorer], tmp_path: Path) -> Iterator[Watch]:
    urls = [proxy.url for proxy in proxies]
    with watch(Deployed(tmp_path, urls, [OwnWallet("payout", [payer.address])])) as made:
        made.settle()
        yield made


def test_a_drain_that_both_endpoints_tell_of_says_that_they_agree(
    fresh_anvil: Anvil, payer: Contract, desk: Watch
) -> None:
    data = calldata("pay(address,uint256)", "0x" + "7e" * 20, 7 * ETHER)
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[5], payer.address, data=data))
    fresh_anvil.mine(3)
    desk.settle()
    (found,) = desk.findings("unexplained_balance")
    assert (found.verdict, found.evidence["second_endpoint"]) == ("violation", "agrees")


def test_a_balance_of_which_one_endpoint_lies_is_undetermined_and_says_so(
    fresh_anvil: Anvil, proxies: tuple[Poorer, Poorer], desk: Watch
) -> None:
    """The money was there all the time, and the alert of a theft named one node as its only witness."""
    proxies[0].fault = makes_poor
    fresh_anvil.mine(3)
    desk.settle()
    (found,) = desk.findings("unexplained_balance")
    assert (found.severity, found.verdict) == ("critical", "undetermined")
    assert found.summary.endswith("another endpoint tells of another balance")
    assert found.evidence["second_endpoint"] == f"says 0, not {-7 * ETHER}"


def test_a_second_endpoint_that_does_not_answer_delays_no_finding(
    fresh_anvil: Anvil, payer: Contract, proxies: tuple[Poorer, Poorer], desk: Watch
) -> None:
    proxies[1].fault = lambda call, _number: "refuse" if call["method"] == "eth_getBalance" else untraced(call, 0)
    data = calldata("pay(address,uint256)", "0x" + "7e" * 20, 7 * ETHER)
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[5], payer.address, data=data))
    fresh_anvil.mine(3)
    desk.settle()
    (found,) = desk.findings("unexplained_balance")
    assert (found.verdict, found.evidence["second_endpoint"]) == ("violation", "none that can tell")
