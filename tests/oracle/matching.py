"""Every assignment of payments to requests, and what a payment without one is: CONTRACT §4 "Matching" and "Spent"."""

from __future__ import annotations

from collections.abc import Iterator

from oracle.hearings import Hearing, moment_of, names_all, paid_by_others
from oracle.lives import Life
from oracle.netting import Loss, Payment
from oracle.standings import Standing
from oracle.worlds import PRICES, Act

NO_REQUEST = frozenset({"unapproved", "destination_mismatch", "amount_mismatch", "approval_reused"})
Pairs = tuple[str | None, ...]
"""For each payment the request that explains it."""


def pairings(
    hearing: Hearing,
    life: Life,
    loss: Loss,
    view: tuple[Payment, ...],
    known: dict[str, Standing],
    borne: int,
    pairs: Pairs,
) -> Iterator[Pairs]:
    """Every assignment of payments to requests: "one transaction may pay many requests; one request is spent once"."""
    if len(pairs) == len(view):
        yield pairs
        return
    payment = view[len(pairs)]
    yield from pairings(hearing, life, loss, view, known, borne, (*pairs, None))
    for request_id, request in hearing.requests.items():
        if request_id in pairs:
            continue
        lacks = _lacks(hearing, life, loss, payment, request, known[request_id])
        if lacks is not None and borne + lacks <= loss.fee:
            yield from pairings(hearing, life, loss, view, known, borne + lacks, (*pairs, request_id))


def _lacks(hearing: Hearing, life: Life, loss: Loss, payment: Payment, request: Act, answer: Standing) -> int | None:
    """By how much the fee was taken from what arrives; None if the request does not explain the payment.

    "`fee_deducted` explains at most `max_deduction` (default 1 % and 100 USD)."
    """
    intent = request.intent
    assert intent is not None
    if (intent.asset, intent.destination) != (loss.asset, payment.to) or not names_all(intent.wallet, loss):
        return None
    paid = paid_by_others(hearing, life, request)
    left = intent.amount - sum(amount for _, amount in paid)
    parts = min((p.parts for p in answer.policies), default=1)
    if (paid and parts == 1) or len(paid) >= max(parts, 1) or left <= 0:
        return None
    short = left - payment.amount
    if short == 0 or (short > 0 and len(paid) + 1 <= parts and parts > 1):
        return 0
    deducted = bool(answer.policies) and all(p.fee_deducted for p in answer.policies)
    return short if deducted and 0 < short <= max_deduction(loss.asset, intent.amount) else None


def max_deduction(asset: str, amount: int) -> int:
    """ "1 % and 100 USD": the smaller of them."""
    price, one = PRICES.get(asset, (0, 1))
    return min(amount // 100, 100 * one // price) if price else 0


def near_types(hearing: Hearing, life: Life, loss: Loss, payment: Payment, pairs: Pairs) -> frozenset[str]:
    """What a payment without a request is.

    "A payment whose only fitting request is spent is `approval_reused`"; "a request that agrees in all but destination
    or amount, and no better one exists, makes it `destination_mismatch` or `amount_mismatch` instead"; "only requests
    dated before the broadcast can be near misses".
    """
    found: set[str] = set()
    spent_near = False
    for request_id, request in hearing.requests.items():
        intent = request.intent
        assert intent is not None
        if intent.asset != loss.asset or not names_all(intent.wallet, loss):
            continue
        same_place, same_amount = intent.destination == payment.to, intent.amount == payment.amount
        used = request_id in pairs or bool(paid_by_others(hearing, life, request))
        if same_place and same_amount and used:
            return frozenset({"approval_reused"})
        moment = moment_of(hearing, life, request)
        if same_place is same_amount or request.at > max(moment.held_at, moment.deadline):
            continue
        # Within the slack of a block's time it may have been asked for before the broadcast, or not.
        spent_near |= used or request.at > moment.held_at
        found.add("amount_mismatch" if same_place else "destination_mismatch")
    if not found or spent_near:
        found.add("unapproved")
    return frozenset(found)
