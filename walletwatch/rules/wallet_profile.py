"""What the last transactions of a wallet add up to: how they were signed and what they paid for room.

Kept by adding the newest and taking away the oldest, so that a question does not cost a hundred transactions.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Self

from chains.model import ChainTransaction, SigningFacts
from walletwatch.rules.fee_rates import fee_rate
from walletwatch.rules.signing_features import signing_features_of


class Trait(NamedTuple):
    """What is remembered of one transaction; None for what is not known. `rate` is as `fee_rate` gives it."""

    rate: int | None
    signing: SigningFacts | None

    @classmethod
    def of(cls, tx: ChainTransaction) -> Self:
        """The trait of a transaction."""
        return cls(fee_rate(tx), tx.signing)


@dataclass(frozen=True, slots=True)
class Oddity:
    """One feature that does not fit: `bits` = how many times its odds halve, rounded down."""

    feature: str
    value: str
    usual: str
    usual_count: int
    seen: int
    of: int
    bits: int


@dataclass(slots=True)
class _Values:
    """How often each value of one feature was seen, how many were seen in all, and how many values just once."""

    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0
    once: int = 0


class WalletProfile:
    """The last transactions of a wallet. `signed` of them are known with how they were signed; `rates` are the known
    fee rates in order of size; `signers` counts the sets of signers that are known.
    """

    def __init__(self, traits: Iterable[Trait] = ()) -> None:
        self.signed = 0
        self.rates: list[int] = []
        self.signers: Counter[tuple[str, ...]] = Counter()
        self._features: dict[str, _Values] = {}
        for trait in traits:
            self.add(trait)

    def add(self, trait: Trait) -> None:
        """One transaction more."""
        if trait.rate is not None:
            insort(self.rates, trait.rate)
        if trait.signing is not None:
            self._change(trait.signing, 1)

    def remove(self, trait: Trait) -> None:
        """One transaction less; it was added before."""
        if trait.rate is not None:
            del self.rates[bisect_left(self.rates, trait.rate)]
        if trait.signing is not None:
            self._change(trait.signing, -1)

    def _change(self, signing: SigningFacts, by: int) -> None:
        self.signed += by
        if signing.signers:
            who = _set_of(signing.signers)
            self.signers[who] += by
            if not self.signers[who]:
                del self.signers[who]
        # No call for each: an outflow changes seven pasts by two transactions of five habits.
        for habit, text in signing_features_of(signing):
            seen = self._features.get(habit)
            if seen is None:
                seen = self._features[habit] = _Values()
            before = seen.counts.get(text, 0)
            now = before + by
            if now:
                seen.counts[text] = now
            else:
                del seen.counts[text]
            seen.total += by
            if before == 1:
                seen.once -= 1
            if now == 1:
                seen.once += 1

    def values(self) -> dict[str, dict[str, int]]:
        """How often each value of each feature was seen."""
        return {name: dict(seen.counts) for name, seen in self._features.items() if seen.total}

    def median_rate(self) -> int:
        """The lower median of the known rates. Raises IndexError without one."""
        return self.rates[(len(self.rates) - 1) // 2]

    def oddities(self, now: SigningFacts) -> tuple[Oddity, ...]:
        """What in `now` surprises who knows this past, most surprising first.

        A value seen n times of N has odds (n + 1) of (N + 1). An unseen value has at least the odds of *any* unseen
        value: as many as values were seen just once (Good and Turing). A feature that changes every time, such as a
        nonce or a lock time at the tip, therefore never surprises; a version that was always 2 and now is 1 does.
        """
        found = []
        for name, value in signing_features_of(now):
            known = self._features.get(name, _NONE)
            seen = known.counts.get(value, 0)
            bits = ((known.total + 1) // (1 + max(seen, known.once))).bit_length() - 1
            if bits > 0:
                usual, times = min(known.counts.items(), key=lambda item: (-item[1], item[0]))
                found.append(Oddity(name, value, usual, times, seen, known.total, bits))
        return tuple(sorted(found, key=lambda o: (-o.bits, o.feature)))


_NONE = _Values()


@lru_cache(maxsize=1_000)
def _set_of(signers: tuple[str, ...]) -> tuple[str, ...]:
    """The signers without order or repetition."""
    return tuple(sorted(frozenset(signers)))
