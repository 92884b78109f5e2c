"""Reorgs of a real node through the whole pipeline: it ends where one ends that saw only the last chain."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evm_proxies import EvmProxy
from evm_watches import Deployed, OwnWallet, Watch, watch

from nodes.anvils import Anvil
from nodes.contracts import Contract, deploy_erc20

pytestmark = pytest.mark.anvil

FINALITY = 25
RULES = ("unexplained_balance", "wallet_control_changed", "allowance_granted")


class Branching:
    """A hot wallet with a token on a node that mines when told; each branch moves other amounts."""

    def __init__(self, node: Anvil, folder: Path, seed: int) -> None:
        self.node, self.dice = node, random.Random(seed)  # noqa: S311 - amounts, not keys
        self.hot, self.puller = node.accounts[0], node.accounts[5]
        self.token: Contract = deploy_erc20(node, "TKN", 10**24, self.hot)
        self.token.send(self.hot, "approve", self.puller, 10**23)
        node.automine(on=False)
        node.mine(3)
        start = int(node.rpc("eth_blockNumber"), 16) + 1
        self.deployed = Deployed(
            folder / "live",
            [node.url],
            [OwnWallet("eth-hot", [self.hot])],
            tokens=[("TKN", self.token.address)],
            rules=RULES,
            more=f'finality = {FINALITY}\ncheck_balances = "1ms"\nstart = {start}',
        )

    def moves(self) -> list[dict[str, str]]:
        """Transactions of one block: what they move depends on the dice."""
        amount, to = self.dice.randrange(1, 10**18), "0x" + self.dice.randbytes(20).hex()
        pulled = self.token.calldata("transferFrom", self.hot, to, amount)
        choices = [
            self._call(self.hot, to, b"", amount),
            self._call(self.hot, self.token.address, self.token.calldata("transfer", to, amount)),
            self._call(self.puller, self.token.address, pulled),
            self._call(self.puller, self.hot, b"", amount),
        ]
        return self.dice.sample(choices, self.dice.randrange(0, 3))

    @staticmethod
    def _call(sender: str, to: str, data: bytes, value: int = 0) -> dict[str, str]:
        return {"from": sender, "to": to, "data": "0x" + data.hex(), "value": hex(value), "gas": hex(100_000)}

    def grow(self, blocks: int, node: Anvil | None = None) -> None:
        node = node or self.node
        for _ in range(blocks):
            for tx in self.moves():
                node.rpc("eth_sendTransaction", [tx])
            node.mine()

    def reorganise(self, depth: int) -> None:
        by_block = [(tx, n) for n in range(depth) for tx in self.moves()]
        self.node.reorg(depth, by_block)

    def hold_to_a_quiet_life(self, desk: Watch, url: str) -> dict[str, Any]:
        with watch(replace(self.deployed, folder=self.deployed.folder.parent / "quiet", urls=[url])) as quiet:
            quiet.settle()
            state = quiet.end_state()
            assert desk.end_state() == state
            for one in (desk, quiet):
                one.worker.conservation.check()
                assert [(f.summary, dict(f.evidence)) for f in one.findings("unexplained_balance")] == []
        return state


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, 13, 20])
def test_after_a_reorg_only_the_last_chain_counts(fresh_anvil: Anvil, tmp_path: Path, depth: int) -> None:
    world = Branching(fresh_anvil, tmp_path, depth)
    with watch(world.deployed) as desk:
        for _ in range(3):
            world.grow(depth + 2)
            desk.settle()
            lost = {o.id for o in desk.outflows() if o.state == "included"}
            world.reorganise(depth)
            desk.settle()
            gone = {o.id for o in desk.outflows() if o.state in ("orphaned", "replaced")}
            assert lost & gone or depth < 3
        world.grow(2)
        fresh_anvil.mine(FINALITY)
        desk.settle()
        state = world.hold_to_a_quiet_life(desk, fresh_anvil.url)
        assert len(state["outflows"]) >= 2
        assert {o[1] for o in state["outflows"]} == {"final"}
        assert len(desk.outflows()) > len(state["outflows"])


def test_flipping_between_two_branches_ends_on_the_last(
    fresh_anvil: Anvil, anvils: Callable[..., Anvil], tmp_path: Path
) -> None:
    """A block orphaned, canonical again, and orphaned again. Two nodes hold one branch each, from a common block on;
    the endpoint is now the one, now the other.
    """
    world = Branching(fresh_anvil, tmp_path, 99)
    fork = int(fresh_anvil.rpc("eth_blockNumber"), 16)
    other = anvils(options=["--fork-url", fresh_anvil.url, "--fork-block-number", str(fork)])
    other.automine(on=False)
    for account in (world.hot, world.puller):
        # An anvil that forks gives its own accounts 10,000 ether anew.
        other.rpc("anvil_setBalance", [account, fresh_anvil.rpc("eth_getBalance", [account, hex(fork)])])
        other.rpc("anvil_impersonateAccount", [account])
    with EvmProxy(fresh_anvil.url) as proxy:
        world.deployed = replace(world.deployed, urls=[proxy.url])
        with watch(world.deployed) as desk:
            desk.settle()
            branches = [fresh_anvil, other]
            for turn in range(6):
                node = branches[turn % 2]
                world.grow(3, node)
                proxy.upstream = node.url
                desk.settle()
                tip = desk.worker.tip
                assert tip is not None
                assert "0x" + tip.hash.hex() == node.rpc("eth_getBlockByNumber", ["latest", False])["hash"]
            other.mine(FINALITY)
            desk.settle()
            state = world.hold_to_a_quiet_life(desk, other.url)
        assert len(state["outflows"]) >= 5
