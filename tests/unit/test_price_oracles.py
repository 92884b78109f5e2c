"""Rounds of a feed remembered between looks: the price of any moment is that of the last round written by then."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import ChainError, Unreachable, Unsupported
from chains.family import PriceRound
from chains.model import BlockRef
from walletwatch.domain.prices import Unknown
from walletwatch.service.prices import MOST_ROUNDS, PAUSE_SECS, REFRESH, STEP, OraclePrices
from walletwatch.settings import SecretMissing

START = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def at(secs: int) -> datetime:
    return START + timedelta(seconds=secs)


class ScriptedFeed:
    """A port with a contract's memory: `rounds` are all that was written, in order."""

    def __init__(self, *times: int) -> None:
        self.rounds = [self.made(n, secs) for n, secs in enumerate(times, 1)]
        self.fault: ChainError | None = None
        self.asked = 0
        self.hold: threading.Event | None = None
        self.closed = False

    def made(self, number: int, secs: int, answer: int | None = None) -> PriceRound:
        return PriceRound(number, answer or 10**8 * number, 8, at(secs), BlockRef(number, bytes(32)))

    def write(self, secs: int) -> None:
        self.rounds.append(self.made(len(self.rounds) + 1, secs))

    def latest(self) -> PriceRound:
        self.asked += 1
        if self.hold is not None:
            assert self.hold.wait(30)
        if self.fault is not None:
            raise self.fault
        return self.rounds[-1]

    def before(self, later: PriceRound, count: int) -> Sequence[PriceRound]:
        if self.fault is not None:
            raise self.fault
        place = self.rounds.index(later)
        return self.rounds[max(0, place - count) : place][::-1]

    def close(self) -> None:
        self.closed = True


class Clocks:
    """Both clocks, moved by the test."""

    def __init__(self, secs: int = 0) -> None:
        self.secs = secs

    def now(self) -> datetime:
        return at(self.secs)

    def monotonic(self) -> float:
        return float(self.secs)


def prices_of(feed: ScriptedFeed, clocks: Clocks, max_age: timedelta = DAY * 3650) -> OraclePrices:
    return OraclePrices("feed", lambda: feed, max_age, clocks.now, clocks.monotonic)


def answer(prices: OraclePrices, moment: datetime) -> int | None:
    """The round in force, by its price; None for unknown."""
    try:
        return prices.quote(moment)[0] // 10**8
    except Unknown:
        return None


@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=40, unique=True),
    st.lists(st.integers(0, 5_000), max_size=10),
    st.lists(st.integers(0, 5_000), min_size=1, max_size=20),
)
def test_whenever_it_was_looked_at_every_moment_has_its_round(
    written: list[int], looks: list[int], moments: list[int]
) -> None:
    times = sorted(written)
    clocks = Clocks()
    feed = ScriptedFeed(times[0])
    prices = prices_of(feed, clocks)
    for secs in sorted({*times[1:], *looks}):
        clocks.secs = secs
        if secs in times[1:]:
            feed.write(secs)
        if secs in looks:
            prices.read()
    clocks.secs = 6_000
    for secs in moments:
        expected = bisect_right(times, secs) or None
        assert answer(prices, at(6_000)) == len(times)
        assert answer(prices, at(secs)) == expected


def test_a_moment_soon_after_a_look_asks_nobody() -> None:
    clocks, feed = Clocks(100), ScriptedFeed(10, 20)
    prices = prices_of(feed, clocks)
    prices.read()
    assert answer(prices, at(100) + REFRESH) == 2
    assert feed.asked == 1
    clocks.secs += int(REFRESH.total_seconds()) + 1
    assert answer(prices, clocks.now()) == 2
    assert feed.asked == 2


def test_a_node_that_failed_is_left_alone_for_a_while_by_whoever_judges() -> None:
    clocks, feed = Clocks(100), ScriptedFeed(10)
    prices = prices_of(feed, clocks)
    feed.fault = Unreachable("no route")
    assert answer(prices, clocks.now()) is None
    assert answer(prices, clocks.now()) is None
    assert feed.asked == 1
    clocks.secs += int(PAUSE_SECS)
    feed.fault = None
    assert answer(prices, clocks.now()) == 1


def test_whoever_judges_does_not_wait_for_whoever_looks() -> None:
    """A node that hangs for its whole timeout holds up the look, and no judgement."""
    clocks, feed = Clocks(100), ScriptedFeed(10)
    prices = prices_of(feed, clocks)
    prices.read()
    feed.hold = threading.Event()
    looking = threading.Thread(target=prices.read)
    looking.start()
    while feed.asked < 2:
        pass
    clocks.secs = 1_000
    assert answer(prices, clocks.now()) == 1, "by what is known"
    feed.hold.set()
    looking.join(30)
    assert not looking.is_alive()


def test_a_feed_that_is_broken_now_has_no_price_from_its_last_good_look_on() -> None:
    clocks, feed = Clocks(100), ScriptedFeed(10)
    prices = prices_of(feed, clocks)
    prices.read()
    clocks.secs = 200
    feed.fault = Unsupported("its answer is -1")
    prices.read()
    assert answer(prices, at(100)) == 1
    with pytest.raises(Unknown, match="its answer is -1"):
        prices.quote(at(101))
    assert prices.edition() is None
    feed.fault = None
    prices.read()
    assert answer(prices, at(150)) == 1
    assert prices.edition() is not None


def test_a_round_another_branch_wrote_instead_is_the_one_that_counts() -> None:
    """A reorg: the same number, another answer; what was remembered of the old branch is forgotten."""
    clocks, feed = Clocks(100), ScriptedFeed(10, 50)
    prices = prices_of(feed, clocks)
    prices.read()
    assert answer(prices, at(60)) == 2
    feed.rounds[1] = feed.made(2, 55, 7 * 10**8)
    clocks.secs = 200
    prices.read()
    assert [answer(prices, at(secs)) for secs in (54, 60)] == [1, 7]


def test_a_pause_of_more_rounds_than_are_asked_for_at_once_is_read_back_when_needed() -> None:
    clocks, feed = Clocks(1), ScriptedFeed(0)
    prices = prices_of(feed, clocks)
    prices.read()
    for secs in range(1, 3 * STEP):
        feed.write(secs)
    clocks.secs = 1_000
    prices.read()
    assert answer(prices, at(5)) == 6
    assert answer(prices, at(0)) == 1
    with pytest.raises(Unknown, match="no round at or before"):
        prices.quote(at(-1))


def test_memory_is_bounded() -> None:
    clocks, feed = Clocks(0), ScriptedFeed(*range(MOST_ROUNDS + 3 * STEP))
    prices = prices_of(feed, clocks)
    clocks.secs = 10**6
    prices.read()
    assert answer(prices, at(0)) is None
    first, last = prices.edition() if isinstance(prices.edition(), tuple) else (0, 0)
    assert last - first < MOST_ROUNDS + STEP


def test_a_missing_secret_is_a_reason_and_no_error() -> None:
    def refuse() -> ScriptedFeed:
        raise SecretMissing("the environment variable NODE is not set")

    with pytest.raises(Unknown, match="NODE is not set"):
        OraclePrices("feed", refuse, None, Clocks(9).now, Clocks(9).monotonic).quote(at(9))


def test_an_earlier_price_that_cannot_be_read_is_a_reason() -> None:
    clocks, feed = Clocks(100), ScriptedFeed(10, 50)
    prices = prices_of(feed, clocks)
    prices.read()
    feed.fault = Unreachable("gone")
    with pytest.raises(Unknown, match="earlier prices of feed cannot be read: gone"):
        prices.quote(at(20))
