"""CPU time of matching one transaction against thousands of open requests: `python tests/benchmarks/bench_matching.py`.

Every figure is the median of single runs, authorisation of the requests included, nothing remembered between runs.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chains.model import Address, AssetId, ChainId
from walletwatch.approvals.matching import match
from walletwatch.approvals.policies import PolicyHistory
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.people import People, Person
from walletwatch.domain.policies import Group, Policy
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Act, ActKind, Intent, MatchResult, Payment, Spending

CHAIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
ASSET = AssetId.parse(f"{CHAIN}/slip44:0")
START = datetime(2026, 11, 22, tzinfo=UTC)
TX = b"\x01" * 32
PEOPLE = People(
    (
        Person("req", "treasury", ("requester",)),
        Person("tre", "treasury", ("approver",)),
        Person("com", "compliance", ("approver",)),
    )
)
POLICIES = PolicyHistory.of(
    [Policy("two", quorum=2, groups=(Group(1, department="compliance"),), max_age=timedelta(days=1))]
)
BUDGET_MS = 50
OPEN, BATCH = 5_000, 200


@dataclass(frozen=True)
class Case:
    """Which destination and amount request n, and payment n, have; how many approvals each request has."""

    name: str
    asked: Callable[[int], tuple[int, int]]
    paid: Callable[[int], tuple[int, int]]
    approvals: int = 2


CASES = (
    Case("batch of approved withdrawals, all different", lambda n: (n, 10_000 + n), lambda n: (7 * n, 10_000 + 7 * n)),
    Case("all of one amount, different payees", lambda n: (n, 100), lambda n: (7 * n, 100)),
    Case("all alike: one payee, one amount", lambda _: (0, 100), lambda _: (0, 100)),
    Case("a batch nobody asked for", lambda n: (n, 10_000 + n), lambda n: (-1 - n, 1 + n)),
    Case("all destinations swapped, amounts of their own", lambda n: (n, 10_000 + n), lambda n: (-1 - n, 10_000 + n)),
    Case("all destinations swapped, one amount for all", lambda n: (n, 100), lambda n: (-1 - n, 100)),
    Case("the same, and nothing is approved", lambda n: (n, 100), lambda n: (-1 - n, 100), approvals=0),
    Case("half exact, half swapped, ten amounts", lambda n: (n, n % 10), lambda n: (n if n % 2 else -1 - n, n % 10)),
    Case("all amounts wrong, one payee for all", lambda n: (0, 10_000 + 2 * n), lambda n: (0, 10_001 + 50 * n)),
    Case("twenty payees, many wrong amounts", lambda n: (n % 20, 1_000 + n), lambda n: (n % 20, 1_003 + n % 50)),
    Case("all alike, and one of two approvals each", lambda _: (0, 100), lambda _: (0, 100), approvals=1),
    Case("wrong amounts, one of two approvals each", lambda n: (0, 10_000 + 2 * n), lambda n: (0, 10_001 + 50 * n), 1),
    Case("absurd: all fight for the same nearest amounts", lambda n: (0, 10**6 + n), lambda n: (0, 1 + n)),
)


def address(n: int) -> Address:
    """A P2WPKH script of its own."""
    return Address(b"\x00\x14" + hashlib.sha256(b"%d" % n).digest()[:20], f"bc1q{n}")


def acts_of(case: Case, n: int) -> list[Act]:
    """Request n with its approvals."""
    place, amount = case.asked(n)
    at, request_id = START + timedelta(seconds=n), f"W-{n}"
    digest = "sha256:" + hashlib.sha256(b"%d %d" % (place, amount)).hexdigest()
    intent = Intent(CHAIN, ASSET, amount, address(place), digest)

    def act(kind: ActKind, actor: str, minutes: int, asked: Intent | None = None) -> Act:
        name = hashlib.sha256(f"{kind} {actor} {request_id}".encode()).digest()
        when = at + timedelta(minutes=minutes)
        return Act(kind, request_id, actor, when, name, "feed", n, intent=asked, intent_hash=digest)

    approvals = [act(ActKind.APPROVE, actor, 5) for actor in ("tre", "com")[: case.approvals]]
    return [act(ActKind.REQUEST, "req", 0, intent), *approvals]


def run_once(case: Case) -> tuple[float, MatchResult]:
    """CPU milliseconds of matching the batch against a fresh book, and the answer."""
    book = RequestBook(PEOPLE, (act for n in range(OPEN) for act in acts_of(case, n)))
    payments = tuple(Payment(n, address(case.paid(n)[0]), case.paid(n)[1]) for n in range(BATCH))
    spending = Spending(CHAIN, TX, ASSET, ("hot",), payments, START + timedelta(hours=3))
    judged = authoriser(spending, policies=POLICIES, people=PEOPLE, price_of=no_price)
    gc.collect()
    gc.freeze()
    started = time.process_time()
    answer = match(spending, book, {}, judged)
    return (time.process_time() - started) * 1_000, answer


def no_price(asset: AssetId) -> Price:
    """No policy here is told by a value in USD."""
    raise AssertionError(f"a price of {asset} was asked for")


def say(line: str) -> None:
    """Print a line; a benchmark's output is its result."""
    sys.stdout.write(line + "\n")


def main(runs: int = 5) -> None:
    """Print a row a case: milliseconds, and what became of the payments."""
    say(f"{OPEN:,} open requests, one transaction of {BATCH} payments, CPU ms (budget {BUDGET_MS})")
    for case in CASES:
        results = [run_once(case) for _ in range(runs)]
        answer = results[0][1]
        told = "stopped: " if answer.stopped or answer.blind else ""
        told += f"{len(answer.matches)} matched, {len(answer.near)} near, {len(answer.reused)} reused"
        spent_ms = statistics.median(ms for ms, _ in results)
        say(f"{spent_ms:8.1f}  {case.name}: {told}, {len(answer.unexplained)} unexplained")


def test_a_batch_of_real_shape_is_matched_within_budget() -> None:
    """For `make bench`: the table, and the answer of the usual case."""
    main(runs=3)
    assert len(run_once(CASES[0])[1].matches) == BATCH


if __name__ == "__main__":
    main()
