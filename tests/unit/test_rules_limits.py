"""Limits, shares and destinations beyond their three examples: batches, several wallets, fiat, evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.rules_examples import (
    BTC,
    CUSTOMER,
    DMM_PAYEE,
    DMM_THIEF,
    ETH,
    NAMES,
    ago,
    out,
    txid,
    usd,
    utxo_tx,
    world,
)
from unit.rules_facts import MemoryFacts, World
from walletwatch.domain.findings import Severity, Verdict, VerdictKind
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Payment
from walletwatch.rules.engine import examine
from walletwatch.rules.registry import configure


def ask(table: dict[str, Any], subject: Outflow, known: World) -> Verdict:
    raised: list[Exception] = []
    facts = MemoryFacts(known, subject)
    rules = [configure(table, amounts=NAMES)]
    (answer,) = examine(subject, facts, rules, on_error=lambda _, error: raised.append(error)).answers
    assert raised == []
    assert answer.verdict is not None
    return answer.verdict


def batch(*paid: tuple[Any, int], name: str = "now", wallet: str = "hot") -> Outflow:
    """One transaction that pays several addresses."""
    payments = tuple(Payment(n, place, units) for n, (place, units) in enumerate(paid))
    whole = out("1 BTC", name=name, wallet=wallet)
    return replace(whole, amount=sum(p.amount for p in payments), payments=payments)


def test_a_limit_per_destination_looks_at_each_payment_of_a_batch() -> None:
    table = {"type": "window_limit", "max": "0.00000010 BTC", "window": "24h", "per": "destination"}
    past = [out("0.00000004 BTC", DMM_PAYEE, at=ago(60), name="past")]
    assert ask(table, batch((CUSTOMER, 10), (DMM_PAYEE, 6)), world(past)).kind is VerdictKind.PASS
    broken = ask(table, batch((CUSTOMER, 10), (DMM_PAYEE, 7)), world(past))
    assert broken.evidence["destinations"] == [str(DMM_PAYEE)]
    assert broken.evidence["total"]["amount"] == "11"
    assert [row["amount"] for row in broken.evidence["counted"]] == ["7", "4"]


def test_a_payment_of_two_own_wallets_counts_once_for_its_destination() -> None:
    one, other = batch((CUSTOMER, 10)), batch((CUSTOMER, 10), wallet="warm")
    other = replace(other, id="out_other", amount=4)
    known = world([replace(one, amount=6), other])
    table = {"type": "window_limit", "max": "0.00000010 BTC", "window": "24h", "per": "destination"}
    assert ask(table, other, known).kind is VerdictKind.PASS


@pytest.mark.parametrize("state", [OutflowState.ORPHANED, OutflowState.REPLACED])
def test_what_left_the_chain_does_not_count(state: OutflowState) -> None:
    table = {"type": "window_limit", "max": "5 BTC", "window": "24h"}
    gone = out("5 BTC", at=ago(60), name="gone", state=state)
    assert ask(table, out("1 BTC"), world([gone])).kind is VerdictKind.PASS


def test_a_fiat_window_adds_up_assets_at_the_price_of_each_broadcast() -> None:
    table = {"type": "window_limit", "max": "100000 USD", "window": "24h", "per": "all"}
    past = [out("10 ETH", None, at=ago(3_600), name="ether", wallet="other")]
    prices = [usd("BTC", "95000"), replace(usd("ETH", "500"), at=ago(7_200)), replace(usd("ETH", "9000"), at=ago(60))]
    assert ask(table, out("1 BTC"), world(past, prices=prices)).kind is VerdictKind.PASS
    broken = ask(table, out("1.00000001 BTC"), world(past, prices=prices))
    parts = [int(row["usd_e8"]) for row in broken.evidence["counted"]]
    assert parts == [95_000 * 10**8 + 95_000, 5_000 * 10**8]
    assert int(broken.evidence["total"]["amount"]) == sum(parts) > int(broken.evidence["limit"]["amount"])


def test_a_window_says_its_bounds() -> None:
    table = {"type": "count_limit", "max": 0, "window": "1h", "per": "all"}
    assert ask(table, out(), world()).evidence["window"] == {
        "after": "2026-11-20T02:00:00.000000Z",
        "until": "2026-11-20T03:00:00.000000Z",
        "secs": 3600,
    }


def test_fiat_limits_are_exact_to_the_base_unit() -> None:
    """1 wei above a million dollars is a violation: a rounded value would be equal to the limit."""
    table = {"type": "transaction_limit", "max": "1000000 USD"}
    known = world(prices=[usd("ETH", "2000")])
    assert ask(table, out("500 ETH", None), known).kind is VerdictKind.PASS
    broken = ask(table, out("500.000000000000000001 ETH", None), known)
    assert broken.evidence["amount"]["amount"] == "500000000000000000001"
    assert broken.evidence["price"] == {"asset": str(ETH.id), "usd_e8": "200000000000", "source": "fixed"}


def test_a_floor_in_fiat_looks_at_what_is_left() -> None:
    table = {"type": "balance_floor", "min": "95000 USD"}
    known = world(held="2 BTC", prices=[usd("BTC", "95000")])
    assert ask(table, out("1 BTC"), known).kind is VerdictKind.PASS
    assert ask(table, out("1.00000001 BTC"), known).kind is VerdictKind.VIOLATION


def test_a_hot_share_of_nothing_is_undetermined() -> None:
    assert ask({"type": "hot_share", "max_percent": 5}, out(), world(holdings=[])).kind is VerdictKind.UNDETERMINED


def test_a_destination_is_new_again_after_the_history() -> None:
    paid = world([out(at=ago(30 * 86_400), name="past")])
    assert ask({"type": "new_destination"}, out(), paid).kind is VerdictKind.PASS
    assert ask({"type": "new_destination", "history": "30d"}, out(), paid).kind is VerdictKind.VIOLATION
    assert ask({"type": "new_destination", "history": "31d"}, out(), paid).kind is VerdictKind.PASS


def test_new_destinations_of_a_batch_are_all_named() -> None:
    broken = ask({"type": "new_destination"}, batch((CUSTOMER, 3), (DMM_THIEF, 4), (CUSTOMER, 5)), world())
    assert [(row["address"], row["amount"]) for row in broken.evidence["new"]] == [
        (str(CUSTOMER), "8"),
        (str(DMM_THIEF), "4"),
    ]


def test_a_doubtful_label_is_not_heard() -> None:
    doubtful = Label(str(BTC.id.chain), str(DMM_THIEF), "maybe", "scam", "a forum", 499)
    known = world(labels=[doubtful])
    assert ask({"type": "denied_destination"}, out(to=DMM_THIEF), known).kind is VerdictKind.PASS
    assert ask({"type": "denied_destination", "min_confidence": 49.9}, out(to=DMM_THIEF), known).kind is (
        VerdictKind.VIOLATION
    )


def test_first_receivers_are_told_to_be_that() -> None:
    broken = ask({"type": "new_destination"}, replace(out(), traced=False), world())
    assert "inner calls" in broken.evidence["destinations_are"]


def rates(count: int, sats: int) -> World:
    """`count` earlier transactions of 200 vB that paid `sats` each, and one of 2,000 sats now."""
    past = [out(at=ago(60 * (n + 1)), name=f"f{n}") for n in range(count)]
    transactions = {o.tx: utxo_tx(f"f{n}", fee=sats) for n, o in enumerate(past)}
    return world(past, transactions={**transactions, txid("now"): utxo_tx(fee=2_000)})


@pytest.mark.parametrize(("sats", "kind"), [(200, VerdictKind.PASS), (199, VerdictKind.VIOLATION)])
def test_a_fee_is_held_against_the_wallets_median(sats: int, kind: VerdictKind) -> None:
    assert ask({"type": "fee_anomaly"}, out(), rates(5, sats)).kind is kind


def test_too_few_fees_to_compare_are_told_quietly() -> None:
    answer = ask({"type": "fee_anomaly"}, out(), rates(4, 1))
    assert (answer.kind, answer.severity) == (VerdictKind.UNDETERMINED, Severity.INFO)


def test_a_fee_is_held_against_the_amount_in_either_asset() -> None:
    table = {"type": "fee_anomaly", "max_percent": 1}
    known = rates(5, 2_000)
    assert ask(table, out("0.1 BTC", fee=100_000), known).kind is VerdictKind.PASS
    assert ask(table, out("0.1 BTC", fee=100_001), known).kind is VerdictKind.VIOLATION
    known.prices = [usd("ETH", "2000"), usd("USDT", "1")]
    token = replace(out("100 USDT", None), fee=5 * 10**14)
    assert ask(table, token, known).kind is VerdictKind.PASS
    assert ask(table, replace(token, fee=6 * 10**14), known).kind is VerdictKind.VIOLATION
    known.prices = []
    assert ask(table, token, known).kind is VerdictKind.UNDETERMINED
