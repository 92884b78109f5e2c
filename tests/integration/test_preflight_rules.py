"""Every rule that looks at the past says the same of a payment before it is signed as when the daemon sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bitcoin_exchanges import BitcoinExchange, Watch, open_exchange
from exchanges import wait_for
from typer.testing import CliRunner

from nodes.bitcoinds import Bitcoind
from slack_server import SlackServer
from walletwatch.cli.main import app

pytestmark = pytest.mark.bitcoind

SATS = 100_000_000
PRICE = """
[[price]]
asset = "BTC"
usd = "50000"
"""
RULES = f"""{PRICE}
[[rule]]
id = "day"
type = "window_limit"
max = "2 BTC"
window = "24h"
per = "wallet"
[[rule]]
id = "day-usd"
type = "window_limit"
max = "100000 USD"
window = "24h"
per = "all"
[[rule]]
id = "day-payee"
type = "window_limit"
max = "1.5 BTC"
window = "24h"
per = "destination"
[[rule]]
id = "count"
type = "count_limit"
max = 2
window = "1h"
[[rule]]
id = "share"
type = "balance_share"
max_percent = 2
window = "1h"
[[rule]]
id = "floor"
type = "balance_floor"
min = "99 BTC"
[[rule]]
id = "new"
type = "new_destination"
[[rule]]
id = "burst"
type = "burst"
factor = 2
[[rule]]
id = "fee"
type = "fee_anomaly"
max_rate = "4"
[[rule]]
id = "when"
type = "expression"
when = "usd > 1.0 && new"
"""
TIMES = {"at", "after", "until", "first_seen", "broadcast_at", "found_at", "outflow", "since", "last_at"}


@pytest.fixture
def watched(tmp_path: Path, fresh_bitcoind: Bitcoind) -> Iterator[tuple[BitcoinExchange, Watch]]:
    with SlackServer() as slack:
        made = open_exchange(tmp_path, fresh_bitcoind, slack, rules=RULES)
        with made.watched() as watch:
            yield made, watch


def timeless(value: Any) -> Any:
    """Without what names a moment: the two are judged some seconds apart."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def preflight(made: BitcoinExchange, psbt: str) -> dict[str, Any]:
    arguments = ["--config", str(made.exchange.config), "preflight", "-", "--chain", "bitcoin", "--format", "json"]
    done = CliRunner().invoke(app, arguments, input=psbt)
    assert done.exit_code in (0, 1), done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_each_payment_of_a_row_is_judged_alike_before_and_after(watched: tuple[BitcoinExchange, Watch]) -> None:
    """Limits in coins and dollars, per wallet and payee, counts, shares, floors, first payments, bursts, fees."""
    made, watch = watched
    first, second = made.strangers.address(), made.strangers.address()
    fired: set[str] = set()
    for sats, address in ((SATS, first), (SATS, first), (SATS // 2, second)):
        made.approve(sats, address)
        amount = f"{sats // SATS}.{sats % SATS:08d}"
        psbt = made.hot.cli("walletcreatefundedpsbt", [], {address: amount}, 0, {"fee_rate": 5})["psbt"]
        before = preflight(made, psbt)
        final = made.hot.cli("finalizepsbt", made.hot.cli("walletprocesspsbt", psbt)["psbt"])["hex"]
        txid = str(made.hot.cli("sendrawtransaction", final))
        watch.until(txid, "seen")
        wait_for(lambda txid=txid: watch.findings(txid), "it is judged")
        seen = {f.rule_id: (str(f.verdict), f.summary, timeless(dict(f.evidence))) for f in watch.findings(txid)}
        told = {r["rule_id"]: (r["verdict"], r["summary"], timeless(r["evidence"])) for r in before["reasons"]}
        assert told.keys() == seen.keys()
        for rule, said in told.items():
            assert said == seen[rule], rule
        fired |= {rule for rule, (verdict, _, _) in seen.items() if verdict == "violation"}
    assert fired >= {"day", "day-usd", "day-payee", "count", "share", "floor", "new", "when"}, (
        "each of them had to look"
    )


def test_a_replacement_counts_once_and_not_beside_what_it_replaces(watched: tuple[BitcoinExchange, Watch]) -> None:
    made, watch = watched
    address = made.strangers.address()
    for _ in range(2):
        made.approve(SATS, address)
    txid = made.pay(SATS, address)
    watch.until(txid, "seen")
    bumped = preflight(made, str(made.hot.cli("psbtbumpfee", txid)["psbt"]))
    assert "day-payee" not in {r["rule_id"] for r in bumped["reasons"]}
    another = str(made.hot.cli("walletcreatefundedpsbt", [], {address: "1"}, 0, {"fee_rate": 5})["psbt"])
    assert "day-payee" in {r["rule_id"] for r in preflight(made, another)["reasons"]}


def test_what_a_policy_lets_the_receiver_bear_is_explained_before_signing_too(
    tmp_path: Path, fresh_bitcoind: Bitcoind
) -> None:
    with SlackServer() as slack:
        made = open_exchange(tmp_path, fresh_bitcoind, slack, rules=PRICE)
        with made.watched():
            pass
        address = made.strangers.address()
        request = made.approve(SATS, address)
        options = {"fee_rate": 5, "subtractFeeFromOutputs": [0]}
        psbt = str(made.hot.cli("walletcreatefundedpsbt", [], {address: "1"}, 0, options)["psbt"])
        strict = preflight(made, psbt)
        assert [r["rule"] for r in strict["reasons"]] == ["amount_mismatch"]
        assert (strict["payments"][0]["request"], strict["payments"][0]["differs"]) == (request, "amount")
        assert strict["shown_hash"] != [strict["payments"][0]["intent_hash"]]
        text = made.exchange.config.read_text()
        made.exchange.config.write_text(text.replace("quorum = 2\n", "quorum = 2\nfee_deducted = true\n"))
        assert preflight(made, psbt)["verdict"] == "violation", "the policy in force when it was approved counts"
        with made.watched():
            pass
        address = made.strangers.address()
        request = made.approve(SATS, address)
        psbt = str(made.hot.cli("walletcreatefundedpsbt", [], {address: "1"}, 0, options)["psbt"])
        lenient = preflight(made, psbt)
        assert (lenient["verdict"], lenient["requests"]) == ("pass", [request])
        assert lenient["shown_hash"] == [lenient["payments"][0]["intent_hash"]]


def test_a_deducted_fee_does_not_explain_what_was_given_to_the_miner(tmp_path: Path, fresh_bitcoind: Bitcoind) -> None:
    """39 of 40 approved BTC went to the miner as the fee of a payment whose receiver was to bear it: every satoshi of
    the request was explained, and the payment approved.
    """
    with SlackServer() as slack:
        made = open_exchange(tmp_path, fresh_bitcoind, slack, rules=PRICE)
        text = made.exchange.config.read_text()
        made.exchange.config.write_text(text.replace("quorum = 2\n", "quorum = 2\nfee_deducted = true\n"))
        with made.watched() as watch:
            address = made.strangers.address()
            made.approve(40 * SATS, address)
            coins = [{"txid": c["txid"], "vout": c["vout"]} for c in made.hot.cli("listunspent")[:4]]
            psbt = str(made.hot.cli("createpsbt", coins, [{address: "1"}]))
            signed = made.hot.cli("walletprocesspsbt", psbt)
            before = preflight(made, str(made.hot.cli("walletprocesspsbt", psbt, False)["psbt"]))
            assert [r["rule"] for r in before["reasons"]] == ["amount_mismatch"]
            final = made.hot.cli("finalizepsbt", signed["psbt"])["hex"]
            txid = str(made.hot.cli("sendrawtransaction", final, 0))
            assert watch.until(txid, "seen").fee == 39 * SATS
            wait_for(lambda: watch.findings(txid), "it is judged")
            assert [(f.rule, str(f.severity)) for f in watch.findings(txid)] == [("amount_mismatch", "critical")]
