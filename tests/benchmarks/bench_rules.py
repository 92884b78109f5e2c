"""How many outflows a second the engine judges against 200 configured rules, on facts from memory.

Run: python tests/benchmarks/bench_rules.py. No two rules have the same parameters. Sums and histories are at hand,
beside an index of 20,000 payees: what is measured is the rules and the engine, not a list searched by brute force.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.rule_sets import rules
from chains.model import Address, AssetId, SigningFacts
from unit.rules_examples import CUSTOMER, DMM_PAYEE, DMM_THIEF, out, txid, usd, utxo_tx, world
from unit.rules_facts import MemoryFacts, World
from walletwatch.domain.outflows import Outflow
from walletwatch.rules.engine import judge
from walletwatch.rules.facts import Counted, Periods, Spent
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.registry import RuleConfig, rules_digest
from walletwatch.rules.wallet_profile import Trait, WalletProfile

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class QuickFacts(MemoryFacts):
    """Sums that a store would give by an index: fixed, so that the rules' own work is what takes the time."""

    def spent(self, window_secs: int, **_: object) -> Spent:
        return Spent(10**9 if window_secs > 600 else 10**8, 40)

    def counted(self, window_secs: int, **_: object) -> Sequence[Counted]:
        own = self.subject
        assert isinstance(own, Outflow)
        return (Counted(own.id, own.tx, own.wallet, own.asset, own.amount, own.broadcast_at, 10**12),)

    def active_periods(
        self,
        period_secs: int,
        history_secs: int,
        *,
        wallet: str,
        asset: AssetId | None = None,
    ) -> Periods:
        return PERIODS

    def first_paid(self, destination: Address, within_secs: int | None = None) -> bool:
        return destination is CUSTOMER

    def first_paid_at(self, destination: Address) -> datetime | None:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def last_moved_at(self, wallet: str) -> datetime | None:
        return self.at - timedelta(minutes=5)

    def has_moved_since(self, wallet: str, moment: datetime) -> bool:
        return self.at - timedelta(minutes=5) >= moment

    def past(self, wallet: str, limit: int) -> WalletProfile:
        return PAST


PERIODS = Periods(Spent(10**9 + n, 40) for n in range(720))
SIGNED = tuple(
    SigningFacts(("A", "B"), (("version", 2), ("locktime", 900_000 + n), ("sequence", "fffffffd"))) for n in range(100)
)
PAST = WalletProfile(Trait(5_000 + n, signing) for n, signing in enumerate(SIGNED))


def payees(count: int) -> list[Address]:
    """`count` random addresses; the seed is fixed."""
    dice = random.Random(7)  # noqa: S311 - a benchmark's data, not a secret
    texts = ("1" + "".join(dice.choices(BASE58, k=33)) for _ in range(count))
    return [Address(text.encode(), text) for text in texts]


def deployment() -> World:
    """One hot wallet with enough in it."""
    known = world(held="1000 BTC", prices=[usd("BTC", "95000")])
    known.transactions[txid("now")] = utxo_tx(fee=1_000, vsize=200, signing=SIGNED[0])
    return known


def measure_judging(configs: Sequence[RuleConfig], index: PayeeIndex, rounds: int = 7, size: int = 60) -> list[float]:
    """Outflows a second, once a round."""
    known, digest, now = deployment(), rules_digest(configs), datetime(2026, 11, 22, tzinfo=UTC)
    subjects = [out(to=place) for place in (CUSTOMER, DMM_PAYEE)] * (size // 2)
    speeds = []
    for _ in range(rounds):
        start = time.process_time()
        for subject in subjects:
            judge(subject, QuickFacts(known, subject, index), configs, digest, now)
        speeds.append(len(subjects) / (time.process_time() - start))
    return speeds


def measure_index(addresses: Sequence[Address]) -> tuple[float, float, float]:
    """Seconds to build the index, microseconds for a question to it, microseconds for comparing with each payee."""
    start = time.process_time()
    index = PayeeIndex(addresses)
    built = time.process_time() - start
    asked = payees(2_000)
    start = time.process_time()
    for address in asked:
        index.near(address)
    quick = (time.process_time() - start) / len(asked)
    start = time.process_time()
    for address in asked[:20]:
        index.near(address, 4)
    return built, quick * 1e6, (time.process_time() - start) / 20 * 1e6


def say(line: str) -> None:
    """One line of figures."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Print the figures."""
    addresses = payees(20_000)
    index = PayeeIndex([*addresses, DMM_PAYEE])
    assert index.near(DMM_THIEF)
    for count in (20, 200):
        speeds = measure_judging(rules(count), index)
        say(f"{count} rules: {statistics.median(speeds):,.0f} outflows/s (median of {len(speeds)}, CPU time)")
    built, quick, slow = measure_index(addresses)
    say(f"20,000 payees: index built in {built:.2f} s, a question {quick:.1f} µs, comparing with each {slow:,.0f} µs")


if __name__ == "__main__":
    main()
