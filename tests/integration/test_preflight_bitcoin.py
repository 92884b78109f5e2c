"""PSBTs of a real wallet, judged before they are signed, against what the daemon says once they are sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bitcoin_exchanges import BitcoinExchange, open_exchange
from exchanges import wait_for
from typer.testing import CliRunner

from nodes.bitcoinds import Bitcoind
from slack_server import SlackServer
from walletwatch.cli.main import app

pytestmark = pytest.mark.bitcoind

SATS = 100_000_000
LIMIT = '[[rule]]\nid = "btc-max"\ntype = "transaction_limit"\nmax = "3 BTC"\n'


@pytest.fixture
def paying(tmp_path: Path, fresh_bitcoind: Bitcoind) -> Iterator[BitcoinExchange]:
    with SlackServer() as slack:
        yield open_exchange(tmp_path, fresh_bitcoind, slack, rules=LIMIT)


def preflight(made: BitcoinExchange, content: str | bytes, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of the command."""
    raw = content.encode() if isinstance(content, str) else content
    arguments = ["--config", str(made.exchange.config), "preflight", "-", "--chain", "bitcoin", "--format", "json"]
    done = CliRunner().invoke(app, [*arguments, *more], input=raw)
    return done.exit_code, json.loads(done.stdout)


def psbt_to(made: BitcoinExchange, sats: int, address: str, **options: object) -> str:
    amount = f"{sats // SATS}.{sats % SATS:08d}"
    found = made.hot.cli("walletcreatefundedpsbt", [], {address: amount}, 0, {"fee_rate": 5} | options)
    return str(found["psbt"])


def test_an_approved_payment_passes_and_names_its_request_and_hash(paying: BitcoinExchange) -> None:
    """The daemon is not running: what the log holds beyond the database is read for the answer alone."""
    address = paying.strangers.address()
    with paying.watched():
        pass
    request = paying.approve(SATS, address)
    psbt = psbt_to(paying, SATS, address)
    code, answer = preflight(paying, psbt)
    assert (code, answer["verdict"], answer["reasons"]) == (0, "pass", [])
    assert answer["requests"] == [request]
    (payment,) = answer["payments"]
    assert (payment["destination"], payment["amount"], payment["approved"]) == (address, str(SATS), True)
    acts = [
        json.loads(base64.urlsafe_b64decode(json.loads(line)["payload"] + "==")) for line in paying.exchange.log.open()
    ]
    hashes = {act["intent_hash"] for act in acts if act["request_id"] == request and "intent_hash" in act}
    assert hashes == set(answer["shown_hash"]), "what approvers signed is what the bytes say"
    signed = paying.hot.cli("walletprocesspsbt", psbt)["hex"]
    assert paying.hot.cli("decoderawtransaction", signed)["txid"] == answer["txid"]


def test_the_same_is_found_before_signing_as_when_it_is_seen(paying: BitcoinExchange) -> None:
    """An unapproved payment over the limit: the same rules, verdicts and evidence but for times and ids."""
    psbt = psbt_to(paying, 4 * SATS, paying.strangers.address())
    with paying.watched() as watch:
        code, before = preflight(paying, psbt)
        final = paying.hot.cli("finalizepsbt", paying.hot.cli("walletprocesspsbt", psbt)["psbt"])["hex"]
        txid = str(paying.hot.cli("sendrawtransaction", final))
        watch.until(txid, "seen")
        wait_for(lambda: bool(watch.findings(txid)), "it is judged")
        seen = {f.rule: (str(f.verdict), f.summary) for f in watch.findings(txid)}
    assert code == 1
    assert before["txid"] == txid
    assert {r["rule"]: (r["verdict"], r["summary"]) for r in before["reasons"]} == seen
    assert {"unapproved", "transaction_limit"} <= seen.keys()


def test_change_is_what_the_perimeter_says_and_not_what_the_file_says(paying: BitcoinExchange) -> None:
    """Every output of the wallet's PSBT that claims to be change is ours; one to a stranger is paid out whole."""
    with paying.watched():
        pass
    psbt = psbt_to(paying, SATS, paying.hot.address())
    code, answer = preflight(paying, psbt)
    assert (code, answer["outflows"], answer["payments"]) == (0, [], []), "to itself nothing leaves"
    change = paying.strangers.address()
    code, answer = preflight(
        paying, psbt_to(paying, SATS, paying.hot.address(), changeAddress=change, changePosition=1)
    )
    assert code == 1
    assert [d["address"] for o in answer["outflows"] for d in o["destinations"]] == [change]


def test_a_stranger_s_psbt_is_not_called_fine(paying: BitcoinExchange) -> None:
    with paying.watched():
        pass
    paying.node.wallet("miner").pay({paying.strangers.address(): "2"})
    paying.node.mine()
    found = paying.strangers.cli("walletcreatefundedpsbt", [], {paying.hot.address(): "0.5"}, 0, {"fee_rate": 5})
    code, answer = preflight(paying, found["psbt"])
    assert (code, answer["verdict"]) == (1, "undetermined")
    assert "no watched wallet" in answer["reasons"][-1]["summary"]


def test_a_replacement_shares_the_request_of_what_it_replaces(paying: BitcoinExchange) -> None:
    address = paying.strangers.address()
    with paying.watched() as watch:
        request = paying.approve(SATS, address)
        txid = paying.pay(SATS, address)
        watch.until(txid, "seen")
        again = paying.hot.cli("psbtbumpfee", txid)["psbt"]
        code, answer = preflight(paying, again)
    assert (code, answer["requests"]) == (0, [request])


def test_what_was_spent_already_is_a_violation(paying: BitcoinExchange) -> None:
    address = paying.strangers.address()
    with paying.watched() as watch:
        for _ in range(2):
            paying.approve(SATS, address)
        psbt = psbt_to(paying, SATS, address)
        final = paying.hot.cli("finalizepsbt", paying.hot.cli("walletprocesspsbt", psbt)["psbt"])["hex"]
        decoded = paying.hot.cli("decoderawtransaction", final)
        inputs = [{"txid": i["txid"], "vout": i["vout"]} for i in decoded["vin"]]
        rival = paying.hot.cli("walletcreatefundedpsbt", inputs, {address: "1"}, 0, {"fee_rate": 9})["psbt"]
        txid = str(paying.hot.cli("sendrawtransaction", final))
        watch.until(txid, "seen")
        watch.mine()
        watch.until(txid, "included")
        code, answer = preflight(paying, rival)
    assert (code, answer["verdict"]) == (1, "violation")
    assert f"spent already, by {txid}" in answer["reasons"][0]["summary"]


def test_nothing_is_kept_and_nothing_sent(paying: BitcoinExchange) -> None:
    with paying.watched() as watch:
        with watch.app.store.reading() as unit:
            before = unit.audit.head().size
        preflight(paying, psbt_to(paying, 4 * SATS, paying.strangers.address()))
        with watch.app.store.reading() as unit:
            kept = [e for e in unit.audit.entries(before) if e.action.startswith(("finding", "outflow", "alert"))]
        assert kept == []
        assert watch.outflows() == {}
