"""Patterns beyond their three examples, and the incidents they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chains.model import AccountTransaction, SigningFacts
from unit.rules_examples import CUSTOMER, DMM_THIEF, ETH, NAMES, NOON, SAFE, SPENDER, ago, out, txid, usd, world
from unit.rules_facts import MemoryFacts, World
from walletwatch.domain.findings import Verdict, VerdictKind
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.withdrawals import Payment
from walletwatch.rules.engine import examine
from walletwatch.rules.expressions import MAX_ITEMS
from walletwatch.rules.registry import RuleErrors, configure
from walletwatch.rules.wallet_profile import Oddity, Trait, WalletProfile, fee_rate


def ask(table: dict[str, Any], subject: Outflow, known: World) -> Verdict:
    raised: list[Exception] = []
    rules = [configure(table, amounts=NAMES)]
    judgement = examine(subject, MemoryFacts(known, subject), rules, on_error=lambda _, error: raised.append(error))
    verdict = judgement.answers[0].verdict
    assert raised == []
    assert verdict is not None
    return verdict


def test_a_test_payment_and_six_payments_in_eight_minutes() -> None:
    """Coincheck 2018-01-26: 10 XEM at 00:02, then 520 M XEM in six transactions until 00:10. Noticed at 11:25."""
    start = NOON - timedelta(minutes=8)
    test = out("0.00000010 BTC", DMM_THIEF, at=start, name="test")
    drain = [out("0.86 BTC", DMM_THIEF, at=start + timedelta(minutes=2 + n), name=f"drain{n}") for n in range(6)]
    fired = []
    for n, subject in enumerate(drain):
        known = world([test, *drain[:n]])
        known.balances["hot", subject.asset] = 520_000_000 - n * 86_000_000
        fired.append(ask({"type": "test_then_drain"}, subject, known).kind)
    assert fired == [VerdictKind.VIOLATION] * 6


def test_a_customer_who_tries_before_is_no_drain() -> None:
    test = [out("0.01 BTC", CUSTOMER, at=ago(600), name="test")]
    assert ask({"type": "test_then_drain"}, out("2 BTC"), world(test, held="1000 BTC")).kind is VerdictKind.PASS


def test_an_old_payee_is_not_tested() -> None:
    past = [out("0.1 BTC", at=ago(90_000), name="old"), out("0.1 BTC", at=ago(600), name="small")]
    assert ask({"type": "test_then_drain"}, out("50 BTC"), world(past, held="60 BTC")).kind is VerdictKind.PASS


def test_several_assets_to_an_old_payee_are_no_drain_unless_asked_for() -> None:
    past = [out("1 ETH", SAFE, at=ago(7_200), name="old"), out("1 ETH", SAFE, at=ago(60), name="a")]
    past.append(out("5 USDT", SAFE, at=ago(30), name="b"))
    table = {"type": "multi_asset_drain"}
    assert ask(table, out("5 USDC", SAFE), world(past)).kind is VerdictKind.PASS
    assert ask({**table, "new_only": False}, out("5 USDC", SAFE), world(past)).kind is VerdictKind.VIOLATION


@pytest.mark.parametrize(
    ("moment", "because"),
    [
        (datetime(2026, 11, 20, 13, 0, tzinfo=UTC), ""),  # Friday 22:00 in Tokyo
        (datetime(2026, 11, 20, 20, 59, tzinfo=UTC), ""),  # Saturday 05:59: Friday's shift
        (datetime(2026, 11, 20, 21, 0, tzinfo=UTC), "Saturday"),
        (datetime(2026, 11, 20, 12, 59, tzinfo=UTC), "outside"),
        (datetime(2026, 11, 23, 14, 0, tzinfo=UTC), "holiday"),
        (datetime(2026, 12, 31, 14, 0, tzinfo=UTC), "closed"),
    ],
)
def test_a_night_shift_belongs_to_the_day_on_which_it_began(moment: datetime, because: str) -> None:
    table = {"type": "off_hours", "hours": "22:00-06:00", "closed": ["12-31", "2027-01-02"]}
    answer = ask(table, out(at=moment), world())
    assert (answer.kind is VerdictKind.VIOLATION) == bool(because)
    assert because in answer.evidence.get("because", "")


def test_the_end_of_business_is_excluded() -> None:
    closing = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    before = closing - timedelta(microseconds=1)
    assert ask({"type": "off_hours"}, out(at=before), world()).kind is VerdictKind.PASS
    assert ask({"type": "off_hours"}, out(at=closing), world()).kind is VerdictKind.VIOLATION


def built(**features: int | str) -> SigningFacts:
    return SigningFacts((), tuple(features.items()))


def oddities(now: SigningFacts, past: Sequence[SigningFacts]) -> tuple[Oddity, ...]:
    return WalletProfile(Trait(None, signing) for signing in past).oddities(now)


def test_what_changes_every_time_never_surprises() -> None:
    past = [built(nonce=n, gas_limit=60_000 + 7 * n) for n in range(100)]
    assert oddities(built(nonce=101, gas_limit=60_711), past) == ()


def test_round_gas_limits_surprise_where_they_never_were() -> None:
    """Bitget 2026-09-24: limits of 100,000 and 200,000, where the exchange's own stood near 63,000."""
    past = [built(gas_limit=63_001 + 11 * n) for n in range(0, 100, 2)]
    (found,) = oddities(built(gas_limit=200_000), past)
    assert (found.feature, found.value, found.bits) == ("gas_limit: zeros at the end", "5", 5)  # 1 in 51


def test_bits_can_be_counted_by_hand() -> None:
    past = [built(version=2)] * 96 + [built(version=1)] * 3
    (found,) = oddities(built(version=1), past)
    assert (found.usual, found.usual_count, found.seen, found.of) == ("2", 96, 3, 99)
    assert found.bits == 4  # odds of 4 in 100: halved four times, not five
    assert oddities(built(version=2), past) == ()


def evm(fee: int, **features: int) -> AccountTransaction:
    return AccountTransaction(txid("evm"), 0, SAFE, SPENDER, 1, True, fee, (), True, built(**features))


@pytest.mark.parametrize(
    ("tx", "milli_gwei"),
    [
        (evm(21_000 * 30 * 10**9, gas_used=21_000), 30_000),
        (evm(0, gas_price_wei=1_500_000_000), 1_500),
        (evm(0, max_fee_wei=60 * 10**9), 60_000),
        (evm(21_000 * 30 * 10**9, max_fee_wei=60 * 10**9, gas_used=21_000), 30_000),
        (evm(21_000 * 30 * 10**9), None),
    ],
)
def test_the_price_of_gas(tx: AccountTransaction, milli_gwei: int | None) -> None:
    assert fee_rate(tx) == milli_gwei


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("", "1 to 1000 characters"),
        ("true || " * 200 + "true", "1 to 1000 characters"),
        ("whole >", "not a CEL expression: 1:8"),
        ("amounts > 3", "no variable is called 'amounts'"),
        ("math.pow(2, 9) > 1", "no variable is called 'math'"),
        ("symbol.replace('B', 'BB') == 'x'", "the function 'replace' may not be used"),
        ("destinations.exists(d, destinations.exists(e, e == d))", "may not be named again"),
        ("destinations.exists(d, d in (destinations + destinations))", "may not be named again"),
        ("(destinations + destinations).exists(d, d.whole > 1)", "only be applied to destinations"),
        ("destinations.filter(d, true).exists(e, e.whole > 1)", "only be applied to destinations"),
        ("[destinations, destinations, destinations, destinations].size() > 4", "name destinations 3 times"),
        ("destinations.map(d, [d, d]).size() > 1", "map may not be used"),
        ("destinations. // all\nall(whole, whole > 1)", "no comments"),
        ("destinations.exists(d, d.whole > 1) && e > 1", "no variable is called 'e'"),
        ("(" * 300 + "true" + ")" * 300, "not a CEL expression"),
    ],
)
def test_an_expression_that_is_refused(when: str, says: str) -> None:
    with pytest.raises(RuleErrors) as caught:
        configure({"type": "expression", "when": when}, amounts=NAMES)
    assert says in dict(caught.value.errors)["when"]


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ("destinations.exists(d, d.address.startsWith('1B6'))", VerdictKind.VIOLATION),
        ("destinations.all(d, d.whole < 10) && new", VerdictKind.VIOLATION),
        ("symbol == 'BTC' && wallet in ['hot', 'warm'] && role == 'hot'", VerdictKind.VIOLATION),
        ("at.getHours() == 3 && at.getDayOfWeek() == 5", VerdictKind.VIOLATION),
        ("usd >= 95000 && exceeds_usd('94999.99999999')", VerdictKind.VIOLATION),
        ("exceeds_usd('95000') || exceeds('1')", VerdictKind.PASS),
        ("wallet == 'all(x, (' || whole > 1", VerdictKind.PASS),
        ("whole", VerdictKind.UNDETERMINED),
        ("exceeds('a lot')", VerdictKind.UNDETERMINED),
        ("1 / (whole - 1) > 0", VerdictKind.UNDETERMINED),
        ("whole > 'x'", VerdictKind.UNDETERMINED),
    ],
)
def test_expressions(when: str, kind: VerdictKind) -> None:
    known = world(prices=[usd("BTC", "95000")])
    assert ask({"type": "expression", "when": when}, out(to=DMM_THIEF), known).kind is kind


def test_amounts_beyond_64_bits_compare_exactly() -> None:
    most = replace(out("1 ETH", None), amount=2**256 - 1)
    digits = str(2**256 - 1)
    text = f"{digits[:-18]}.{digits[-18:]}"
    less = str(int(digits) - 1)
    assert ask({"type": "expression", "when": f"exceeds('{text}')"}, most, world()).kind is VerdictKind.PASS
    nearly = f"exceeds('{less[:-18]}.{less[-18:]}')"
    assert ask({"type": "expression", "when": nearly}, most, world()).kind is VerdictKind.VIOLATION
    assert ask({"type": "expression", "when": "whole > 1"}, most, world()).kind is VerdictKind.UNDETERMINED
    assert ETH.decimals == 18


def test_too_many_destinations_are_undetermined() -> None:
    crowd = replace(out(), payments=tuple(Payment(n, CUSTOMER, 1) for n in range(MAX_ITEMS + 1)))
    answer = ask({"type": "expression", "when": "destinations.exists(d, d.whole > 1)"}, crowd, world())
    assert answer.kind is VerdictKind.UNDETERMINED
