"""Addresses that look like a known payee's: the eye reads the first and the last characters.

DMM Bitcoin's thief paid `1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P`; the real payee was `1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P`:
four characters alike after the fixed `1`, two at the end, so a rule of "four and four" misses it. What every address of
a kind has in common (`1`, `3`, `bc1q`, `0x`) tells nothing and is left out; what is alike at both ends is added up.

With n payees, a random address of an alphabet of a characters reaches a score of k by chance with about
n * (k + 1) / a**k. For n = 10,000: base58, k = 5: 9e-5. Hexadecimal, k = 7: 3e-4. Bech32 has 32 characters: k = 5 would
be 2e-3 and k = 6 is 7e-5, so 6 is the threshold that errs as seldom as base58's 5.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chains.model import Address

_HEX = re.compile(r"0x([0-9a-f]{40})")
_BECH32 = re.compile(r"(?:bc|tb|bcrt)1[qp]([02-9ac-hj-np-z]{6,})")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]([1-9A-HJ-NP-Za-km-z]{24,})")


class Alphabet(StrEnum):
    """The kinds of text an address has; only addresses of one alphabet are compared."""

    BASE58 = "base58"
    HEX = "hex"
    BECH32 = "bech32"


THRESHOLDS = {Alphabet.BASE58: 5, Alphabet.HEX: 7, Alphabet.BECH32: 6}
"""Characters alike at both ends together, from which on two addresses are look-alikes."""


_MOST_ANSWERS = 1_000


@dataclass(frozen=True, slots=True)
class Lookalike:
    """`payee` is alike in `first` characters after the fixed prefix and in `last` characters at the end."""

    payee: Address
    alphabet: Alphabet
    first: int
    last: int

    @property
    def score(self) -> int:
        """Characters alike."""
        return self.first + self.last


def free_characters(text: str) -> tuple[Alphabet, str] | None:
    """The alphabet and what follows the fixed prefix; None for what is no address text (`script:…`).

    Hexadecimal and bech32 are read in lower case. On base58 chains the fixed prefix is the first character (`1`, `3`,
    TRON's `T`).
    """
    lower = text.lower()
    if match := _HEX.fullmatch(lower):
        return Alphabet.HEX, match[1]
    if match := _BECH32.fullmatch(lower):
        return Alphabet.BECH32, match[1]
    if match := _BASE58.fullmatch(text):
        return Alphabet.BASE58, match[1]
    return None


def compare(one: str, other: str) -> tuple[int, int]:
    """Characters alike at the beginning and at the end; none is counted twice where the lengths differ."""
    shorter = min(len(one), len(other))
    first = next((i for i in range(shorter) if one[i] != other[i]), shorter)
    last = next((i for i in range(shorter) if one[-1 - i] != other[-1 - i]), shorter)
    return first, min(last, shorter - first)


class PayeeIndex:
    """Known payees, found by what they look like without comparing with each.

    Two addresses that agree in p characters at the beginning and s at the end with p + s >= k agree, for some i from 0
    to k, in the first i and the last k - i: k + 1 buckets a payee, k + 1 look-ups a question.
    """

    def __init__(self, payees: Iterable[Address] = (), allowlisted: Iterable[Address] = ()) -> None:
        self._by_key: dict[bytes, tuple[Address, Alphabet, str]] = {}
        self._buckets: dict[tuple[Alphabet, str, str], list[bytes]] = defaultdict(list)
        self._allowlisted: set[bytes] = set()
        self._answers: dict[tuple[Address, int | None], tuple[Lookalike, ...]] = {}
        """Several rules ask about one address; good until another payee is added."""
        for address in allowlisted:
            self.add(address, allowlisted=True)
        for address in payees:
            self.add(address)

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, address: Address, *, allowlisted: bool = False) -> None:
        """Know `address` from now on. An allowlisted one was checked by people: it is never taken for a look-alike."""
        if allowlisted:
            self._allowlisted.add(address.key)
        free = free_characters(address.text)
        if free is None or address.key in self._by_key:
            return
        alphabet, text = free
        self._answers = {}
        self._by_key[address.key] = (address, alphabet, text)
        for first, last in _ends(text, THRESHOLDS[alphabet]):
            self._buckets[alphabet, first, last].append(address.key)

    def trusts(self, address: Address) -> bool:
        """Whether `address` is allowlisted."""
        return address.key in self._allowlisted

    def near(self, address: Address, threshold: int | None = None) -> tuple[Lookalike, ...]:
        """Payees other than `address` that look like it, most alike first (ties: by text).

        `threshold` takes the place of the alphabet's own; below that every payee is compared.
        """
        asked = (address, threshold)
        found = self._answers.get(asked)
        if found is None:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers = {}
            found = self._answers[asked] = self._near(address, threshold)
        return found

    def _near(self, address: Address, threshold: int | None) -> tuple[Lookalike, ...]:
        free = free_characters(address.text)
        if free is None:
            return ()
        alphabet, text = free
        least = THRESHOLDS[alphabet] if threshold is None else threshold
        found = []
        for key in self._candidates(alphabet, text, least):
            payee, kind, other = self._by_key[key]
            first, last = compare(text, other)
            if kind is alphabet and key != address.key and other != text and first + last >= least:
                found.append(Lookalike(payee, alphabet, first, last))
        return tuple(sorted(found, key=lambda r: (-r.score, r.payee.text)))

    def _candidates(self, alphabet: Alphabet, text: str, least: int) -> Iterable[bytes]:
        indexed = THRESHOLDS[alphabet]
        if least < indexed:
            return self._by_key
        return {key for first, last in _ends(text, indexed) for key in self._buckets.get((alphabet, first, last), ())}


def _ends(text: str, length: int) -> Iterable[tuple[str, str]]:
    """Every way to take `length` characters from both ends together."""
    return ((text[:i], text[len(text) - (length - i) :]) for i in range(length + 1))
