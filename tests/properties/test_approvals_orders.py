"""The book of requests says the same whatever the order in which acts came."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from properties.approvals_worlds import ASSET, CHAIN, PEOPLE, PLACES, START, make_act, make_intent
from walletwatch.approvals.request_book import RequestBook
from walletwatch.domain.withdrawals import Act, ActKind

_actors = st.sampled_from(["req", "both", "app-1", "none", "stranger"])


@st.composite
def acts(draw: st.DrawFn) -> Act:
    """Any act on one of two requests: conflicting contents, forged copies and duplicates in two feeds included."""
    kind = draw(st.sampled_from([ActKind.REQUEST, ActKind.REQUEST, ActKind.APPROVE, ActKind.BROADCAST]))
    request_id, actor = draw(st.sampled_from(["W-1", "W-2"])), draw(_actors)
    more: dict[str, Any] = {"refused": draw(st.sampled_from(["", "", "invalid_signature", "content_mismatch"]))}
    if kind is ActKind.REQUEST:
        intent = make_intent(draw(st.integers(0, 1)), draw(st.integers(1, 2)))
        more |= {"intent": intent, "intent_hash": intent.hash}
    elif kind is ActKind.BROADCAST:
        more |= {"txid": bytes([draw(st.integers(1, 2))]) * 32}
    act = make_act(kind, request_id, actor, draw(st.integers(0, 2)), draw(st.integers(1, 4)), **more)
    read_at = START + timedelta(hours=draw(st.integers(1, 2)))
    return replace(act, feed=draw(st.sampled_from(["feed-a", "feed-b"])), read_at=read_at)


def told(book: RequestBook) -> Any:
    """Everything the book answers, indexes included."""
    contents = [(place, amount) for place in PLACES for amount in (1, 2)]
    return (
        sorted((r for r in book), key=lambda r: r.id),
        len(book),
        [book.void(i) for i in ("W-1", "W-2")],
        book.conflicts(),
        [list(book.paying(ASSET, place)) for place in PLACES],
        [list(book.worth(ASSET, amount)) for amount in (1, 2)],
        [list(book.fitting(ASSET, place, amount)) for place, amount in contents],
        [list(book.broadcast_as(bytes([n]) * 32)) for n in (1, 2)],
        [list(book.naming(CHAIN, place)) for place in PLACES],
    )


@settings(deadline=None, max_examples=500)
@given(st.lists(acts(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_adds_changes_nothing(some: list[Act], chance: Any) -> None:
    shuffled = [*some, *some]
    chance.shuffle(shuffled)
    assert told(RequestBook(PEOPLE, shuffled)) == told(RequestBook(PEOPLE, some))


@settings(deadline=None, max_examples=300)
@given(st.lists(acts(), max_size=8))
def test_asking_in_between_changes_nothing(some: list[Act]) -> None:
    book = RequestBook(PEOPLE)
    for act in some:
        book.add(act)
        told(book)
    assert told(book) == told(RequestBook(PEOPLE, some))


@settings(deadline=None, max_examples=300)
@given(st.lists(acts(), max_size=8), st.lists(acts(), max_size=4))
def test_retiring_hides_a_request_from_the_open_ones_alone(some: list[Act], later: list[Act]) -> None:
    book = RequestBook(PEOPLE, some)
    book.retire("W-1")
    for act in later:
        book.add(act)
    book.retire("W-1")
    expected = RequestBook(PEOPLE, [*some, *later])
    assert book.get("W-1") == expected.get("W-1")
    for place in PLACES:
        assert set(book.naming(CHAIN, place)) == {r for r in expected if r.intent.destination == place}
        assert list(book.paying(ASSET, place)) == [r for r in expected.paying(ASSET, place) if r.id != "W-1"]
        for amount in (1, 2):
            retired = list(book.fitting(ASSET, place, amount, retired=True))
            assert retired == [r for r in expected.fitting(ASSET, place, amount) if r.id == "W-1"]
    book.reopen("W-1")
    assert told(book) == told(expected)
