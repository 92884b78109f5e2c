"""What counts as the hand behind a transaction, and what only follows from what is paid."""

from __future__ import annotations

from typing import Any

import pytest

from chains.model import SigningFacts
from unit.rules_examples import NAMES, ago, out, usd, world
from unit.rules_facts import MemoryFacts
from walletwatch.domain.findings import VerdictKind
from walletwatch.rules.engine import examine
from walletwatch.rules.registry import configure
from walletwatch.rules.wallet_profile import Trait, WalletProfile, signing_features_of

BATCH: dict[str, int | str] = {
    "version": 2,
    "locktime": 912_411,
    "locktime_kind": "height",
    "sequence": "fffffffd",
    "rbf": 1,
    "input_types": "p2wpkh",
    "output_types": "p2pkh,p2tr,p2wpkh",
    "inputs": 1,
    "outputs": 12,
    "inputs_sorted": 1,
    "outputs_sorted": 0,
    "own_outputs": "7",
    "signatures": 1,
    "low_r": 1,
    "feerate_milli": 14_000,
}
CALL: dict[str, int | str] = {"type": 2, "nonce": 81_204, "selector": "", "gas_limit": 21_000, "calldata_bytes": 0}


def score(now: dict[str, int | str], past: list[dict[str, int | str]]) -> int:
    known = WalletProfile(Trait(None, SigningFacts((), tuple(f.items()))) for f in past)
    return sum(o.bits for o in known.oddities(SigningFacts((), tuple(now.items()))))


def test_another_payment_by_the_same_hand_is_nothing_odd() -> None:
    """A month of ordinary batches: two inputs instead of one, other receivers, a dearer hour and a round lock time each
    scored, and together they told somebody of 148 of 868 payments.
    """
    other = {"inputs": 3, "outputs": 4, "output_types": "p2sh", "own_outputs": "0", "signatures": 3, "low_r": 3}
    other |= {"inputs_sorted": 0, "locktime": 913_000, "feerate_milli": 96_000}
    assert score({**BATCH, **other}, [BATCH] * 100) == 0


def test_another_hand_is_odd_in_each_of_its_habits() -> None:
    """DMM Bitcoin 2024-05-31: version 1, final sequence numbers, no lock time, no change."""
    other = {"version": 1, "sequence": "ffffffff", "rbf": 0, "locktime": 0, "locktime_kind": "none", "own_outputs": ""}
    assert score({**BATCH, **other}, [BATCH] * 100) == 4 * 6


def test_calls_are_compared_with_calls_of_their_kind() -> None:
    """Bitget 2026-09-24: gas limits of 100,000 and 200,000. A batch is another call, no other hand."""
    batches = [{**CALL, "selector": "0xe63d38ed", "gas_limit": 500_000 + 34_117 * n, "nonce": n} for n in range(8)]
    past = [{**CALL, "nonce": n} for n in range(92)] + batches
    batch = {**CALL, "selector": "0xe63d38ed", "gas_limit": 1_011_755, "calldata_bytes": 0}
    assert score(batch, past) < 10
    assert score({**CALL, "gas_limit": 100_000}, past) >= 10


def test_order_is_a_habit_only_of_three_and_more() -> None:
    few = dict(signing_features_of(SigningFacts((), (("outputs", 2), ("outputs_sorted", 1)))))
    many = dict(signing_features_of(SigningFacts((), (("outputs", 3), ("outputs_sorted", 1)))))
    assert (few, many) == ({}, {"outputs_sorted": "1"})


def spike(now: str, **table: Any) -> VerdictKind | None:
    past = [out("1 BTC", at=ago(3600 * (n + 2)), name=f"h{n}") for n in range(20)]
    subject = out(now)
    known = world(past, prices=[] if table.pop("unpriced", False) else [usd("BTC", "95000")])
    config = configure({"type": "baseline_spike", "factor": 3, "history": "30d", **table}, amounts=NAMES)
    (answer,) = examine(subject, MemoryFacts(known, subject), [config]).answers
    return None if answer.verdict is None else answer.verdict.kind


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({}, VerdictKind.VIOLATION),
        ({"min": "3.5 BTC"}, VerdictKind.VIOLATION),
        ({"min": "4 BTC"}, VerdictKind.PASS),
        ({"min": "379999 USD"}, VerdictKind.VIOLATION),
        ({"min": "380000 USD"}, VerdictKind.PASS),
        ({"min": "1 ETH"}, VerdictKind.PASS),
        ({"min": "1 USD", "unpriced": True}, VerdictKind.UNDETERMINED),
    ],
)
def test_a_spike_may_need_a_least_amount(table: dict[str, Any], kind: VerdictKind) -> None:
    """300,000 USDT, approved by two, were a spike of a coin of which 8,000 an hour are usual."""
    assert spike("4 BTC", **table) is kind
