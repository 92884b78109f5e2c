"""`[[wallet]]`: the exchange's own addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from walletwatch.settings.fields import Items, LocalPath, Name, Table
from walletwatch.settings.problems import Fault

ROLES = ("hot", "warm", "cold", "deposit")


class WalletSettings(Table):
    """A wallet on one chain, by addresses, a file of them, or output descriptors."""

    name: Name
    role: Literal["hot", "warm", "cold", "deposit"]
    chain: str
    """A configured chain's name or CAIP-2 id."""
    addresses: Items[str] = ()
    addresses_file: LocalPath | None = None
    """One address a line, `#` begins a comment; read again when it changes."""
    descriptors: Items[str] = ()
    """BIP 380, a multipath step `<0;1>` included; only public keys."""
    gap_limit: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many addresses beyond the last used one of a ranged descriptor are watched."""
    kind: Literal["", "safe"] = ""

    def faults(self) -> Iterator[Fault]:
        """A wallet without addresses."""
        if not self.addresses and self.addresses_file is None and not self.descriptors:
            sources = ("addresses", "addresses_file", "descriptors")
            hint = 'addresses = ["…"], addresses_file = "…" or descriptors = ["…"]'
            yield Fault("the wallet has no address", hint, involves=sources)
