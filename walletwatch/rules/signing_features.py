"""The hand behind a transaction: of all that is known of how it was made, what its builder chose by habit.

How many are paid, of which kinds, at what price and after how many others lies in the payment, the market and the
chain, not in the hand: by such features 148 of 868 ordinary outflows of two hot wallets scored 14 bits and more. Each
habit is one reading, and what follows from it is none: `sequence` already says whether fees may be raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from chains.model import SigningFacts

ROUNDNESS_FROM = 1_000
"""Integers below this are counts and versions; above, they are sizes and prices, whose roundness is a habit too."""

_NO_HABIT = frozenset(
    {"inputs", "outputs", "output_types", "signatures", "rbf", "nonce", "memo", "gas_used", "inputs_sorted"}
    | {"outputs_sorted", "own_outputs", "low_r"}
)
"""The last four are read together with a count, below."""
_PRICES = frozenset({"feerate_milli", "max_fee_wei", "gas_price_wei"})
"""Follow the market; whether they are round does not."""
_OF_THE_CALL = frozenset({"gas_limit", "calldata_bytes"})
"""Hang on what is called: compared among calls of the same kind."""
_SORTED_FROM = 3
"""Two things stand in order by chance every other time."""

Reading = tuple[str, str]
"""(habit, value)."""


@lru_cache(maxsize=20_000)
def signing_features_of(signing: SigningFacts) -> tuple[Reading, ...]:
    """The habits of whoever built and signed the transaction."""
    return tuple(_read(signing.as_dict()))


def _read(features: dict[str, int | str]) -> Iterator[Reading]:
    called = features.get("selector")
    for name, value in features.items():
        if name in _NO_HABIT or (name == "locktime" and "locktime_kind" in features):
            continue
        habit = name
        if name in _OF_THE_CALL and called is not None:
            habit = f"{name} of {called or 'a plain payment'}"
        if name not in _PRICES:
            yield habit, str(value)
        if isinstance(value, int) and abs(value) >= ROUNDNESS_FROM:
            text = str(value)
            yield f"{habit}: zeros at the end", str(len(text) - len(text.rstrip("0")))
    yield from _read_counted(features)


def _read_counted(features: dict[str, int | str]) -> Iterator[Reading]:
    for many in ("inputs", "outputs"):
        count, in_order = features.get(many), features.get(f"{many}_sorted")
        if in_order is not None and isinstance(count, int) and count >= _SORTED_FROM:
            yield f"{many}_sorted", str(in_order)
    if "own_outputs" in features:
        yield "change", "some" if features["own_outputs"] != "" else "none"
    if "low_r" in features and "signatures" in features:
        yield "low_r", "all" if features["low_r"] == features["signatures"] else "some"
