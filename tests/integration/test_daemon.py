"""The daemon against real nodes: what is approved is silent, what is not is told at once, once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchanges import ANVIL, BTC, ETH, REGTEST, Exchange, wait_for, watching

from chains.model import ChainId
from nodes.anvils import Anvil
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from slack_server import SlackServer
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

PAYEE_ETH = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def hot(fresh_bitcoind: Bitcoind) -> BitcoinWallet:
    """A funded hot wallet with one address, which also takes the change."""
    wallet = fresh_bitcoind.wallet("hot")
    fresh_bitcoind.mine(110, wallet.address())
    return wallet


@pytest.fixture
def exchange(
    tmp_path: Path, fresh_bitcoind: Bitcoind, hot: BitcoinWallet, fresh_anvil: Anvil, slack: SlackServer
) -> Exchange:
    addresses = sorted({u["address"] for u in hot.cli("listunspent", 0)} | {hot.address() for _ in range(3)})
    change = [hot.cli("getrawchangeaddress") for _ in range(20)]
    listed = ", ".join(f'"{a}"' for a in [*addresses, *change])
    return Exchange(
        tmp_path / "exchange",
        f"""
[[chain]]
name = "bitcoin"
id = "{REGTEST}"
endpoints = [{bitcoin_endpoint(fresh_bitcoind)}]
confirmations = 3
poll = "1s"
[[chain]]
name = "anvil"
id = "{ANVIL}"
endpoints = ["{fresh_anvil.url}"]
finality = 3
poll = "1s"
[[wallet]]
name = "btc-hot"
role = "hot"
chain = "bitcoin"
addresses = [{listed}]
[[wallet]]
name = "eth-hot"
role = "hot"
chain = "anvil"
addresses = ["{fresh_anvil.accounts[0]}"]
""",
        slack=slack,
    )


def bitcoin_endpoint(node: Bitcoind) -> str:
    return f'{{ url = "{node.url}", cookie = "{node.cookie}", zmq = "{node.zmq_address}" }}'


def outflows(app: Application) -> list[Outflow]:
    with app.store.reading() as unit:
        return list(unit.outflows.find(Filter()))


def findings(app: Application, tx: str) -> list[Finding]:
    with app.store.reading() as unit:
        return list(unit.findings.find(Filter(tx=bytes.fromhex(tx.removeprefix("0x")))))


def started(app: Application, chain: str) -> bool:
    with app.store.reading() as unit:
        return unit.chain_state.cursor(ChainId.parse(chain)) is not None


def seen(app: Application, tx: str) -> bool:
    return any(o.tx.hex() == tx.removeprefix("0x") for o in outflows(app))


def pay_by_hand(hot: BitcoinWallet, address: str, btc: str, change: str) -> str:
    """A payment whose change goes back to a known address of the wallet."""
    made = hot.cli("send", {address: btc}, None, "unset", None, {"change_address": change})
    return str(made["txid"])


def test_approved_is_silent_and_unapproved_is_told_once_within_two_seconds(
    exchange: Exchange, fresh_bitcoind: Bitcoind, hot: BitcoinWallet, fresh_anvil: Anvil, slack: SlackServer
) -> None:
    payee = fresh_bitcoind.wallet("payee").address()
    thief = fresh_bitcoind.wallet("thief").address()
    change = min(u["address"] for u in hot.cli("listunspent"))
    with watching(exchange) as app:
        for chain in (REGTEST, ANVIL):
            wait_for(lambda chain=chain: started(app, chain), f"{chain} is watched")

        exchange.approve(REGTEST, BTC, 150_000_000, payee)
        approved_btc = pay_by_hand(hot, payee, "1.5", change)
        fresh_bitcoind.mine(1)
        wait_for(lambda: seen(app, approved_btc), "the approved payment is seen")
        exchange.approve(ANVIL, ETH, 10**18, PAYEE_ETH)
        approved_eth = fresh_anvil.send(fresh_anvil.accounts[0], PAYEE_ETH, value=10**18)
        wait_for(lambda: seen(app, approved_eth), "the approved ether is seen")

        stolen_btc = pay_by_hand(hot, thief, "2.25", change)
        fresh_bitcoind.mine(1)
        mined = time.monotonic()
        (message,) = wait_for(slack.top_messages, "Slack is told of the stolen coins")
        btc_secs = time.monotonic() - mined
        assert stolen_btc in str(message.arguments)
        assert "unapproved" in str(message.arguments)

        stolen_eth = fresh_anvil.send(fresh_anvil.accounts[0], fresh_anvil.accounts[7], value=7)
        mined = time.monotonic()
        wait_for(lambda: len(slack.top_messages()) == 2, "Slack is told of the stolen ether")
        eth_secs = time.monotonic() - mined
        print(f"told after {btc_secs:.2f} s on bitcoind and {eth_secs:.2f} s on anvil")  # noqa: T201 - for a person

        wrong = exchange.approve(ANVIL, ETH, 3 * 10**18, PAYEE_ETH, signed_amount=2 * 10**18)
        mismatched = fresh_anvil.send(fresh_anvil.accounts[0], PAYEE_ETH, value=3 * 10**18)
        wait_for(lambda: findings(app, mismatched), "the mismatch is found")

        # Anything said of the approved ones would have been said by now: later transactions of both chains were told.
        assert findings(app, approved_btc) == []
        assert findings(app, approved_eth) == []
        for stolen in (stolen_btc, stolen_eth):
            assert [(f.rule, f.severity) for f in findings(app, stolen)] == [("unapproved", "critical")]
        (found,) = findings(app, mismatched)
        assert found.rule in {"content_mismatch", "amount_mismatch"}
        assert wrong in str(found.evidence)
    told = [m for m in slack.top_messages() if stolen_btc in str(m.arguments)]
    assert len({m.alert_id for m in told}) == len(told) == 1
