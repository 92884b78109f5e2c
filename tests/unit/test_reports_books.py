"""The day's books, on movements in any order of block times: Bitcoin's may run backwards by two hours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chains.model import Asset, AssetId, BlockRef, ChainId
from walletwatch.domain.outflows import Movement
from walletwatch.reports.daily_limits import DailyBook, Days, Moved, WatchedWallet, book_of
from walletwatch.store.ledger import Balance

CHAIN = ChainId("bip122", "000000000019d6689c085ae165831e93")
BTC = Asset(AssetId(CHAIN, "slip44", "0"), "BTC", 8)
WALLET = WatchedWallet("btc-hot", "hot", CHAIN, (BTC,))
START, END = 1_000, 2_000


def moved(height: int, received: int, sent: int, fee: int) -> Moved:
    return Moved(height, Movement(WALLET.name, BTC.id, received, sent, fee))


def told(height: int, amount: int) -> Balance:
    return Balance(WALLET.name, BTC.id, BlockRef(height, bytes(32)), amount)


def split(history: list[tuple[int, Moved]]) -> Days:
    """By block time into before the day, the day, after it."""
    return Days(
        [m for time, m in history if time < START],
        [m for time, m in history if START <= time < END],
        [m for time, m in history if time >= END],
    )


AMOUNTS = st.integers(0, 2**256 - 1)
MOVEMENTS = st.builds(moved, st.integers(1, 50), AMOUNTS, AMOUNTS, st.integers(0, 2**64))
HISTORY = st.lists(st.tuples(st.integers(0, 3_000), MOVEMENTS), max_size=30)


def held(history: list[tuple[int, Moved]], height: int, first: int) -> int:
    return first + sum(m.net for _, m in history if m.height <= height)


@given(HISTORY, st.integers(0, 2**255), st.integers(0, 50), st.integers(0, 50), st.integers(-(2**40), 2**40))
def test_opening_and_movements_make_the_closing_and_an_honest_chain_agrees(
    history: list[tuple[int, Moved]], first: int, base: int, proof: int, lie: int
) -> None:
    low, high = sorted((base, proof))
    days = split(history)
    book = book_of(
        WALLET, BTC, days, [told(low, held(history, low, first)), told(high, held(history, high, first) + lie)]
    )
    assert book.opening == first + sum(m.net for m in days.before)
    assert book.opening is not None
    assert book.closing == book.opening + book.received - book.sent - book.fees
    assert book.closing == first + sum(m.net for m in [*days.before, *days.within])
    assert book.difference == -lie


def test_change_is_neither_in_nor_out() -> None:
    days = Days(within=[moved(5, 70, 100, 1), moved(6, 9, 0, 0)])
    book = book_of(WALLET, BTC, days, [told(1, 500)])
    assert (book.received, book.sent, book.fees, book.closing) == (9, 30, 1, 478)


def test_a_balance_that_was_told_once_proves_nothing() -> None:
    book = book_of(WALLET, BTC, Days(), [told(7, 500)])
    assert (book.closing, book.chain_balance, book.difference) == (500, None, None)
    assert book.reason == "the node told once only, at block 7, where these books begin"


def test_without_any_balance_the_movements_are_still_shown() -> None:
    book = book_of(WALLET, BTC, Days(within=[moved(5, 0, 100, 1)]), [])
    assert book == DailyBook("btc-hot", "hot", BTC, 0, 100, 1, reason="no node has told what this wallet holds")


def test_the_word_of_the_chain_nearest_after_the_day_is_taken() -> None:
    """A node that lied on the next day must not make the report of this one look wrong."""
    days = Days(within=[moved(5, 10, 0, 0)], after=[moved(9, 3, 0, 0)])
    book = book_of(WALLET, BTC, days, [told(1, 100), told(6, 110), told(12, 999)])
    assert (book.chain_balance, book.difference) == (110, 0)
