"""The exchange's perimeter: its own addresses, by wallet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from chains.model import Address, ChainId


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet of the exchange on one chain. `role` is hot, warm, cold or deposit; `kind` is `""` or `safe`."""

    name: str
    role: str
    chain: ChainId
    kind: str = ""


Derive = Callable[[int, int], Sequence[Address]]
"""(start, count) to `count` consecutive addresses."""


@dataclass(slots=True)
class AddressRange:
    """The addresses of one ranged descriptor, derived to at least `gap_limit` beyond the last used one.

    They are derived half a gap at a time, so that not every use changes the perimeter; how far depends on `used` alone,
    so that all processes with the same `used` watch the same addresses.
    """

    wallet: Wallet
    derive: Derive
    gap_limit: int
    used: int = -1
    """The highest index used, -1 for none."""
    derived: int = 0

    @property
    def wanted(self) -> int:
        """How many addresses are to be derived."""
        stride = max(1, self.gap_limit // 2)
        return -(-(self.used + 1) // stride) * stride + self.gap_limit


@dataclass(slots=True)
class Perimeter:
    """The own addresses of one chain. Grows when a descriptor's gap moves; one instance for each chain worker."""

    chain: ChainId
    wallets: dict[bytes, Wallet] = field(default_factory=dict)
    """By `Address.key`."""
    addresses: dict[bytes, Address] = field(default_factory=dict)
    """By key. The objects given are kept, not copies: a million take 200 MB."""
    ranges: list[AddressRange] = field(default_factory=list)
    indices: dict[bytes, tuple[AddressRange, int]] = field(default_factory=dict)
    """The range and index of each derived key."""
    _digest: tuple[int, str] = field(default=(-1, ""), init=False)

    def add(self, wallet: Wallet, addresses: Iterable[Address]) -> None:
        """Add `addresses` to `wallet`."""
        for address in addresses:
            self.wallets[address.key] = wallet
            self.addresses[address.key] = address

    def replace_with(self, other: Perimeter) -> None:
        """Take the contents of `other`, after the address files were read again. Uses of ranges must be given again."""
        self.wallets, self.addresses = other.wallets, other.addresses
        self.ranges, self.indices = other.ranges, other.indices
        self._digest = (-1, "")

    def add_range(self, wallet: Wallet, derive: Derive, gap_limit: int) -> None:
        """Add the addresses of a ranged descriptor to `wallet`, up to its gap limit."""
        row = AddressRange(wallet, derive, gap_limit)
        self.ranges.append(row)
        self._extend(row)

    def use(self, keys: Iterable[bytes]) -> tuple[Address, ...]:
        """Mark these addresses as used. Returns the addresses that are added to the perimeter because of it."""
        moved: dict[int, AddressRange] = {}
        for key in keys:
            row, index = self.indices.get(key, (None, -1))
            if row is not None and index > row.used:
                row.used = index
                moved[id(row)] = row
        return tuple(address for row in moved.values() for address in self._extend(row))

    def _extend(self, row: AddressRange) -> list[Address]:
        """Derive the wanted addresses. An address already listed for another wallet stays with it."""
        start, row.derived = row.derived, max(row.derived, row.wanted)
        found = row.derive(start, row.derived - start)
        self.indices.update((address.key, (row, n)) for n, address in enumerate(found, start))
        new = [address for address in found if address.key not in self.wallets]
        self.add(row.wallet, new)
        return new

    def wallet_of(self, address: Address | None) -> Wallet | None:
        """The own wallet of `address`, None for a foreign or unknown address."""
        return None if address is None else self.wallets.get(address.key)

    def addresses_of(self, wallet: str) -> list[Address]:
        """The addresses of one own wallet."""
        return [self.addresses[key] for key, own in self.wallets.items() if own.name == wallet]

    def names(self) -> tuple[str, ...]:
        """The own wallets' names, in the order of configuration."""
        return tuple(dict.fromkeys(own.name for own in self.wallets.values()))

    def digest(self) -> str:
        """SHA-256 (hexadecimal) over the sorted keys, computed again when the perimeter grew: 0.8 s for a million."""
        if self._digest[0] != len(self.wallets):
            digest = hashlib.sha256()
            for key in sorted(self.wallets):
                digest.update(len(key).to_bytes(4, "big") + key)
            self._digest = (len(self.wallets), digest.hexdigest())
        return self._digest[1]

    def keys(self) -> Iterator[bytes]:
        """Every own address key."""
        return iter(self.wallets)
