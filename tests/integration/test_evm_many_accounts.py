"""Wallets of thousands of accounts, as deposit wallets are: their books are held to the chain too, up to a bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from evm_proxies import EvmProxy, untraced
from evm_watches import ETHER, Deployed, OwnWallet, calldata, made_for_tests, settled, watch

from nodes.anvils import Anvil
from nodes.contracts import deploy
from walletwatch.watch import opening_balances as balances

pytestmark = pytest.mark.anvil


def deposits(count: int) -> list[str]:
    return [f"0x{number:040x}" for number in range(0xDE9051700, 0xDE9051700 + count)]


def test_a_drain_of_one_account_of_thousands_is_found_in_its_block(fresh_anvil: Anvil, tmp_path: Path) -> None:
    """A wallet of more than a thousand accounts was never held to its balance."""
    payer = deploy(fresh_anvil, made_for_tests("payer"))
    settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[9], payer.address, value=100 * ETHER))
    wallets = [OwnWallet("deposits", [*deposits(3_000), payer.address])]
    with (
        EvmProxy(fresh_anvil.url, untraced) as node,
        watch(Deployed(tmp_path, [node.url], wallets)) as desk,
    ):
        desk.settle()
        fresh_anvil.mine(5)
        data = calldata("pay(address,uint256)", "0x" + "7e" * 20, 7 * ETHER)
        at = settled(fresh_anvil, fresh_anvil.send(fresh_anvil.accounts[5], payer.address, data=data))
        fresh_anvil.mine(5)
        desk.settle()
        (found,) = desk.findings("unexplained_balance")
        assert (found.evidence["difference"], found.evidence["height"]) == (str(-7 * ETHER), at)
        (account,) = found.evidence["accounts"]
        assert account["address"].lower() == payer.address.lower()


def test_a_wallet_of_more_accounts_than_are_read_is_said_to_be_unread(
    fresh_anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "MAX_ACCOUNTS", 2)
    with watch(Deployed(tmp_path, [fresh_anvil.url], [OwnWallet("deposits", deposits(3))])) as desk:
        desk.settle()
        fresh_anvil.mine(3)
        desk.settle()
        (found,) = desk.findings("unexplained_balance")
        assert found.verdict == "undetermined"
        assert (
            found.summary == "what deposits holds of ETH cannot be read: has 3 accounts, more than the 2 that are read"
        )
