"""The header's 2048-bit bloom (yellow paper §4.3.1): what is not in it is in no log of the block."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import lru_cache

from eth_utils.crypto import keccak

_BITS = 2048
_EXPECTED_FALSE = 3
"""With more accounts expected in the bloom by chance than this, searching it is worth nothing."""


@lru_cache(maxsize=16384)
def bloom_mask(item: bytes) -> int:
    """The three bits of an address or topic."""
    digest = keccak(item)
    mask = 0
    for at in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[at : at + 2], "big") & (_BITS - 1))
    return mask


def may_hold(bloom: int, mask: int) -> bool:
    """False only if the item is certainly in no log."""
    return bloom & mask == mask


class AccountIndex:
    """Watched accounts by one of their bits, as padded log topics, so that a search looks at few of them.

    A search over n accounts costs n x (share of bits set) and is given up where chance alone would find one: at 100,000
    accounts beyond 64 bits set, which is 3,000 comparisons at most.
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._by_bit: dict[int, list[int]] = {}

    def may_concern(self, bloom: int, accounts: AbstractSet[bytes]) -> bool:
        """True if a log topic of `bloom` may be one of `accounts`."""
        share = bloom.bit_count() / _BITS
        if len(accounts) * share**3 >= _EXPECTED_FALSE:
            return True
        self._learn(accounts)
        return any(may_hold(bloom, mask) for bit, masks in self._by_bit.items() if bloom >> bit & 1 for mask in masks)

    def _learn(self, accounts: AbstractSet[bytes]) -> None:
        """Accounts that are no longer watched stay: they can only make the answer `True` once too often."""
        if accounts <= self._known:
            return
        for account in accounts - self._known:
            mask = bloom_mask(account.rjust(32, b"\0"))
            self._by_bit.setdefault(mask.bit_length() - 1, []).append(mask)
        self._known |= accounts


def masks_of(items: Iterable[bytes]) -> tuple[int, ...]:
    """The masks of several items."""
    return tuple(bloom_mask(item) for item in items)
