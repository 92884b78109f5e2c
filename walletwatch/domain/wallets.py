"""The exchange's perimeter: which addresses are its own, and in which wallet they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chains.model import Address, ChainId


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet of the exchange on one chain. `role` is hot, warm, cold or deposit; `kind` is `""` or `safe`."""

    name: str
    role: str
    chain: ChainId
    kind: str = ""


@dataclass(slots=True)
class Perimeter:
    """The own addresses of one chain. Grows when a descriptor's gap moves; one instance a chain worker."""

    chain: ChainId
    wallets: dict[bytes, Wallet] = field(default_factory=dict)
    """By `Address.key`."""
    texts: dict[bytes, str] = field(default_factory=dict)
    """The usual text of each key."""

    def add(self, wallet: Wallet, addresses: Iterable[Address]) -> None:
        """Count `addresses` as `wallet`'s."""
        for address in addresses:
            self.wallets[address.key] = wallet
            self.texts[address.key] = address.text

    def wallet_of(self, address: Address | None) -> Wallet | None:
        """The own wallet that holds `address`, None for a stranger's or an unknown one."""
        return None if address is None else self.wallets.get(address.key)

    def addresses_of(self, wallet: str) -> list[Address]:
        """The addresses of one own wallet."""
        return [Address(key, self.texts[key]) for key, own in self.wallets.items() if own.name == wallet]

    def names(self) -> tuple[str, ...]:
        """The own wallets' names, in the order of configuration."""
        return tuple(dict.fromkeys(own.name for own in self.wallets.values()))

    def keys(self) -> Iterator[bytes]:
        """Every own address key."""
        return iter(self.wallets)
