"""What a matching may cost at most, counted in steps, and what it says when it is cut short."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benchmarks.bench_matching import (
    ASSET,
    BATCH,
    CASES,
    CHAIN,
    OPEN,
    PEOPLE,
    POLICIES,
    START,
    TX,
    Case,
    acts_of,
    address,
    no_price,
)
from walletwatch.approvals import searches
from walletwatch.approvals.matching import match
from walletwatch.approvals.quorums import authoriser
from walletwatch.approvals.request_book import RequestBook
from walletwatch.approvals.searches import Effort, assign
from walletwatch.domain.withdrawals import MatchResult, Payment, Request, Spending


def matched(case: Case) -> tuple[MatchResult, int]:
    """The answer, and how many requests were judged for it."""
    book = RequestBook(PEOPLE, (act for n in range(OPEN) for act in acts_of(case, n)))
    payments = tuple(Payment(n, address(case.paid(n)[0]), case.paid(n)[1]) for n in range(BATCH))
    spending = Spending(CHAIN, TX, ASSET, ("hot",), payments, START + timedelta(hours=3))
    judge, judged = authoriser(spending, policies=POLICIES, people=PEOPLE, price_of=no_price), 0

    def counted(request: Request) -> Any:
        nonlocal judged
        judged += 1
        return judge(request)

    return match(spending, book, {}, counted), judged


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_case_judges_more_requests_than_the_bound_and_what_the_payments_need(case: Case) -> None:
    answer, judged = matched(case)
    # Beyond the bound each payment may still read its few nearest of either kind.
    assert judged <= searches._MOST_JUDGED + 6 * BATCH
    explained = [*answer.matches, *answer.near, *answer.reused]
    assert len(explained) + len(answer.unexplained) == BATCH
    if case in CASES[:9]:
        assert (answer.stopped, answer.blind) == ("", ""), "a case of real shape is searched to the end"


def test_a_search_that_is_cut_short_says_so() -> None:
    """200 payments that fight for the same few nearest of 5,000 requests took a second of the judge's time."""
    absurd = next(case for case in CASES if case.name.startswith("absurd"))
    answer, _ = matched(absurd)
    assert "stopped" in answer.stopped
    assert answer.matches == ()
    flood = next(case for case in CASES if case.name.startswith("all alike, and one of two"))
    answer, _ = matched(flood)
    assert "which of them is approved is not known" in answer.blind


def test_an_assignment_without_effort_left_gives_what_is_free() -> None:
    rows = [[(0, 1), (1, 5)], [(0, 1), (1, 2)], [(0, 1)]]
    best, cut = assign(rows), assign(rows, effort=Effort(0))
    assert best.settled
    assert not cut.settled
    assert dict(best.column_of) == {0: 0, 1: 1}
    assert len(set(cut.column_of.values())) == len(cut.column_of)
