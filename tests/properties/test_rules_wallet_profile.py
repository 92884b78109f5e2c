"""A past that was moved along is the past that would be added up anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chains.model import SigningFacts
from walletwatch.rules.facts import Periods, Spent
from walletwatch.rules.wallet_profile import Trait, WalletProfile

SIGNINGS = st.builds(
    SigningFacts,
    st.lists(st.sampled_from("ABC"), max_size=3, unique=True).map(tuple),
    st.tuples(st.tuples(st.just("version"), st.integers(1, 3)), st.tuples(st.just("gas_limit"), st.integers(1, 5_000))),
)
TRAITS = st.builds(Trait, st.none() | st.integers(0, 50), st.none() | SIGNINGS)


def told(past: WalletProfile, now: SigningFacts) -> tuple[Any, ...]:
    return past.signed, list(past.rates), dict(past.signers), past.values(), past.oddities(now)


@given(st.lists(TRAITS, max_size=30), st.integers(1, 12), SIGNINGS)
def test_adding_the_newest_and_taking_away_the_oldest(traits: list[Trait], limit: int, now: SigningFacts) -> None:
    moving = WalletProfile()
    for place, trait in enumerate(traits):
        moving.add(trait)
        if place >= limit:
            moving.remove(traits[place - limit])
        assert told(moving, now) == told(WalletProfile(traits[max(0, place + 1 - limit) : place + 1]), now)


@given(st.lists(st.builds(Spent, st.integers(0, 2**100), st.integers(1, 9)), max_size=20), st.data())
def test_periods_moved_along_stand_in_order(spent: list[Spent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(spent)))
    gone = data.draw(st.integers(0, cut))
    before = Periods(spent[:cut])
    if data.draw(st.booleans()):
        assert before.totals == sorted(before.totals)
        assert before.counts == sorted(before.counts)
    moved, anew = before.moved(gone, spent[cut:]), Periods(spent[gone:])
    assert (moved.spent, list(moved.totals), list(moved.counts)) == (anew.spent, anew.totals, anew.counts)
