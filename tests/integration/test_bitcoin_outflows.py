"""What an exchange does and what a thief does, on a real node and through the whole daemon: each is told for what it
is, once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from bitcoin_exchanges import BitcoinExchange, Watch, open_exchange
from exchanges import wait_for

from nodes.bitcoinds import Bitcoind
from slack_server import SlackServer
from walletwatch.domain.findings import Severity

pytestmark = pytest.mark.bitcoind

SLACK_PACE_SECS = 1.1
"""Slack takes a message a second in a channel, and the dispatcher sends no more."""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, fresh_bitcoind: Bitcoind, slack: SlackServer) -> BitcoinExchange:
    return open_exchange(tmp_path, fresh_bitcoind, slack)


def told_once(watch: Watch, slack: SlackServer) -> str:
    """The id of the only alert, of which every sink got one message."""
    (message,) = wait_for(slack.top_messages, "Slack is told")
    (alert,) = watch.alerts()
    assert message.alert_id == alert.id
    assert alert.severity is Severity.CRITICAL
    return alert.id


def text_of(slack: SlackServer) -> str:
    return "\n".join(str(m.arguments) for m in slack.top_messages())


def test_a_batch_payout_with_change_is_one_outflow_of_a_hundred_requests(
    house: BitcoinExchange, slack: SlackServer
) -> None:
    payments = {house.strangers.address(): 1_000_000 + n for n in range(100)}
    with house.watched() as watch:
        wanted = {house.approve(sats, address) for address, sats in payments.items()}
        amounts = {address: Decimal(sats).scaleb(-8) for address, sats in payments.items()}
        txid = house.hot.cli("sendmany", "", {a: str(v) for a, v in amounts.items()})
        outflow = watch.until(txid, "seen")
        assert outflow.amount == sum(payments.values())
        assert {p.address.text: p.amount for p in outflow.payments} == payments
        assert watch.requests_of(txid) == wanted
        watch.mine(3)
        assert watch.until(txid, "final").fee == outflow.fee > 0
        assert watch.findings(txid) == []
        assert watch.alerts() == []
    assert slack.top_messages() == []


def test_consolidation_and_moves_to_cold_are_no_outflows(house: BitcoinExchange, slack: SlackServer) -> None:
    with house.watched() as watch:
        everything = house.hot.cli("sendall", [house.hot.address()], None, "unset", 5)["txid"]
        watch.mine()
        to_cold = house.pay(2_000_000_000, house.cold.address())
        watch.mine()
        stolen = house.pay(100_000_000, house.strangers.address())
        watch.until(stolen, "seen")
        assert all(watch.stored(txid) for txid in (everything, to_cold))
        assert set(watch.outflows()) == {stolen}
        told_once(watch, slack)


def test_a_bumped_fee_is_the_same_payment_and_tells_nobody_again(house: BitcoinExchange, slack: SlackServer) -> None:
    with house.watched() as watch:
        payee = house.strangers.address()
        request = house.approve(150_000_000, payee)
        approved = house.pay(150_000_000, payee)
        watch.until(approved, "seen")
        stolen = house.pay(200_000_000, house.strangers.address())
        watch.until(stolen, "seen")
        alert = told_once(watch, slack)
        for first, requests in ((approved, {request}), (stolen, set())):
            bumped = house.hot.cli("bumpfee", first)["txid"]
            assert watch.until(bumped, "seen").family == watch.until(first, "replaced").family
            assert watch.requests_of(bumped) == requests
        watch.mine(3)
        watch.until(bumped, "final")
        assert watch.findings(approved) == []
        assert told_once(watch, slack) == alert
        wait_for(lambda: "final in block" in text_of(slack), "the message is brought up to date in place")
        assert bumped in text_of(slack)


def test_a_replacement_that_pays_somebody_else_joins_the_alert(house: BitcoinExchange, slack: SlackServer) -> None:
    with house.watched() as watch:
        payee, thief = house.strangers.address(), house.strangers.address()
        house.approve(150_000_000, payee)
        first = house.pay(150_000_000, payee)
        watch.until(first, "seen")
        spent = house.node.cli("getrawtransaction", first, 1)["vin"][0]
        inputs = [{"txid": spent["txid"], "vout": spent["vout"]}]
        second = house.pay(150_000_000, thief, inputs=inputs, fee_rate=50)
        watch.until(second, "seen")
        assert watch.until(first, "replaced").family == watch.until(second, "seen").family
        assert watch.findings(first) == []
        (finding,) = watch.findings(second)
        assert (finding.rule, finding.severity) == ("destination_mismatch", "critical")
        alert = told_once(watch, slack)
        third = house.pay(150_000_000, house.strangers.address(), inputs=inputs, fee_rate=150)
        watch.until(third, "seen")
        watch.until(second, "replaced")
        assert watch.findings(third)
        assert told_once(watch, slack) == alert
        wait_for(lambda: third in text_of(slack), "the message names the transaction that stands")


def test_a_child_that_pays_for_its_parent_is_no_second_outflow(house: BitcoinExchange, slack: SlackServer) -> None:
    with house.watched() as watch:
        parent = house.pay(300_000_000, house.strangers.address(), fee_rate=2)
        watch.until(parent, "seen")
        vouts = house.node.cli("getrawtransaction", parent, 1)["vout"]
        change = next(o["n"] for o in vouts if house.hot.cli("getaddressinfo", o["scriptPubKey"]["address"])["ismine"])
        options = {"inputs": [{"txid": parent, "vout": change}]}
        child = house.hot.cli("sendall", [house.hot.address()], None, "unset", 80, options)["txid"]
        watch.mine()
        watch.until(parent, "included")
        assert watch.stored(child)
        assert set(watch.outflows()) == {parent}
        told_once(watch, slack)


def test_a_double_spend_after_a_reorg_replaces_what_was_included(house: BitcoinExchange, slack: SlackServer) -> None:
    with house.watched() as watch:
        payee, thief = house.strangers.address(), house.strangers.address()
        house.approve(150_000_000, payee)
        first = house.pay(150_000_000, payee)
        watch.mine()
        watch.until(first, "included")
        spent = house.node.cli("getrawtransaction", first, 1)["vin"][0]
        house.node.cli("invalidateblock", house.node.tip()[1])
        inputs = [{"txid": spent["txid"], "vout": spent["vout"]}]
        made = house.hot.cli(
            "send", {thief: "1.5"}, None, "unset", 60, {"inputs": inputs, "add_to_wallet": False, "psbt": False}
        )
        # Straight into a block, past the mempool: the branch of the same height is a reorg.
        to = house.node.wallet("miner").address()
        house.node.cli("generateblock", to, [made["hex"]])
        second = house.node.cli("decoderawtransaction", made["hex"])["txid"]
        watch.mine()
        watch.until(second, "included")
        watch.until(first, "replaced")
        assert [f.rule for f in watch.findings(second)] == ["destination_mismatch"]
        told_once(watch, slack)


def test_an_outflow_in_the_mempool_is_told_within_a_second_and_followed_in_place(
    house: BitcoinExchange, slack: SlackServer
) -> None:
    """Ten payments, each timed from `sendrawtransaction` to the message at the door of Slack, for a person to read."""
    made_secs, told_secs = [], []
    with house.watched() as watch:
        for number in range(1, 11):
            options = {"add_to_wallet": False, "psbt": False}
            made = house.hot.cli("send", {house.strangers.address(): "0.5"}, None, "unset", 5, options)
            started = time.monotonic()
            txid = house.node.cli("sendrawtransaction", made["hex"])
            wait_for(lambda number=number: len(watch.alerts()) == number, "the alert is made")
            made_secs.append(time.monotonic() - started)
            wait_for(lambda number=number: len(slack.top_messages()) == number, "Slack is told")
            told_secs.append(time.monotonic() - started)
            assert txid in str(slack.top_messages()[-1].arguments)
            wait_for(lambda since=started: time.monotonic() - since > SLACK_PACE_SECS, "Slack takes another message")
        print("sendrawtransaction to alert, seconds:", *(f"{secs:.3f}" for secs in made_secs))  # noqa: T201 - for a person
        print("sendrawtransaction to Slack, seconds:", *(f"{secs:.3f}" for secs in told_secs))  # noqa: T201 - the same
        first = str(slack.top_messages()[0].arguments)
        assert "possible (it signals so, BIP 125), from 5." in first
        assert "in about 1 block (10 minutes)" in first
        watch.mine()
        wait_for(lambda: text_of(slack).count("1 confirmation") == 10, "every message says that it is included")
        watch.mine(2)
        wait_for(lambda: text_of(slack).count("final in block") == 10, "every message says that it is final")
        assert len(slack.top_messages()) == len(watch.alerts()) == 10
        assert "BIP 125" not in text_of(slack)
