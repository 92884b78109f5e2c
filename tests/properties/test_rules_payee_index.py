"""The index of payees finds exactly what comparing with each of them finds."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chains.model import Address
from walletwatch.rules.lookalikes import THRESHOLDS, PayeeIndex, compare, free_characters

ALPHABETS = {
    "1": ("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 33),
    "0x": ("0123456789abcdef", 40),
    "bc1q": ("qpzry9x8gf2tvdw0s3jn54khce6mua7l", 38),
}


def address(text: str) -> Address:
    return Address(text.encode(), text)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Address, list[Address]]:
    """An address, and payees that share ends of random length with it: two letters make chance matches likely."""
    prefix = draw(st.sampled_from(sorted(ALPHABETS)))
    letters, length = ALPHABETS[prefix]
    few = st.text(st.sampled_from(letters[:2]), min_size=length, max_size=length)
    many = st.text(st.sampled_from(letters), min_size=length, max_size=length)
    body = draw(few | many)
    payees = []
    for _ in range(draw(st.integers(0, 8))):
        first, last = draw(st.integers(0, 9)), draw(st.integers(0, 9))
        middle = draw(few | many)[: length - first - last]
        payees.append(address(prefix + body[:first] + middle + body[length - last :]))
    payees += [address(draw(st.sampled_from(["3", "0x", "bc1p"])) + draw(many)) for _ in range(2)]
    return address(prefix + body), payees


def alike(one: str, other: str) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def brute_force(one: Address, payees: list[Address], threshold: int | None) -> set[tuple[str, int]]:
    """Compare with every payee of the same alphabet, each step as the trap is told: both ends, without the prefix."""
    found = set()
    mine = free_characters(one.text)
    for payee in payees:
        theirs = free_characters(payee.text)
        if mine is None or theirs is None or mine[0] is not theirs[0] or mine[1] == theirs[1]:
            continue
        first = alike(mine[1], theirs[1])
        last = alike(mine[1][::-1], theirs[1][::-1])
        score = min(first + last, len(mine[1]), len(theirs[1]))
        if score >= (THRESHOLDS[mine[0]] if threshold is None else threshold):
            found.add((payee.text, score))
    return found


@settings(max_examples=400, deadline=None)
@given(neighbours(), st.none() | st.integers(3, 12))
@example((address("1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P"), [address("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")]), None)
def test_the_index_equals_brute_force(near: tuple[Address, list[Address]], threshold: int | None) -> None:
    one, payees = near
    found = PayeeIndex(payees).near(one, threshold)
    assert {(r.payee.text, r.score) for r in found} == brute_force(one, payees, threshold)
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)


@given(neighbours())
def test_resemblance_is_mutual_and_never_with_oneself(near: tuple[Address, list[Address]]) -> None:
    one, payees = near
    assert PayeeIndex([one]).near(one, 3) == ()
    for payee in payees:
        there = [(r.first, r.last) for r in PayeeIndex([payee]).near(one)]
        assert there == [(r.first, r.last) for r in PayeeIndex([one]).near(payee)]


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_character_is_counted_twice(one: str, other: str) -> None:
    first, last = compare(one, other)
    assert first + last <= min(len(one), len(other))
    assert one[:first] == other[:first]
    assert one[len(one) - last :] == other[len(other) - last :]
