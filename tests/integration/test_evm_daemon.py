"""The installed command on a node without traces: the daemon finds the drain, the listing says so, the scan agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evm_proxies import EvmProxy, untraced
from evm_watches import ETH, ETHER, Deployed, OwnWallet, calldata, made_for_tests, settled

from nodes.anvils import Anvil
from nodes.contracts import deploy

pytestmark = pytest.mark.anvil

THIEF = "0x" + "7e" * 20


def command(config: Path, *arguments: str) -> Any:
    asked = [str(Path(sys.executable).with_name("walletwatch")), "--config", str(config), *arguments]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if "json" in arguments else None


def test_the_daemon_finds_by_the_balance_what_the_node_does_not_trace(fresh_anvil: Anvil, tmp_path: Path) -> None:
    payer = deploy(fresh_anvil, made_for_tests("payer"))
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[9], payer.address, value=100 * ETHER))
    start = fresh_anvil.mine(3)
    data = calldata("pay(address,uint256)", THIEF, 60 * ETHER)
    at = settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[5], payer.address, data=data))
    fresh_anvil.mine(12)
    with EvmProxy(fresh_anvil.url, untraced) as proxy:
        deployed = Deployed(
            tmp_path, [proxy.url], [OwnWallet("payout", [payer.address])], more=f"finality = 3\nstart = {start}"
        )
        config = deployed.exchange().config
        command(config, "run", "--until-synced")
        (found,) = command(config, "findings", "list", "--rule", "unexplained_balance", "--format", "json")
        tip = str(int(fresh_anvil.rpc("eth_blockNumber"), 16))
        scanned = command(config, "scan", "--chain", "anvil", "--from", str(start), "--to", tip, "--format", "json")
        (chain,) = command(config, "status", "--format", "json")["chains"]
    assert (found["wallet"], found["severity"], found["tx"]) == ("payout", "critical", None)
    assert (found["evidence"]["height"], found["evidence"]["difference"]) == (at, str(-60 * ETHER))
    assert (found["evidence"]["asset"], found["evidence"]["narrowed_to"]) == (ETH, "block")
    assert found["id"] in json.dumps(scanned)
    assert chain["state"] == "watching"
    assert chain["endpoints"][0]["last_error"].startswith("no traces: ")
    print(found["summary"])  # noqa: T201 - for a person
