"""The toy family: accounts on a deterministic chain, written as small as a family can be."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

from chains.family import Bookkeeping, Family, later
from chains.model import Address, Asset, AssetId, ChainId

NETWORKS: Final = frozenset({"main", "test"})


def native_asset(chain: ChainId) -> Asset:
    """The toy coin. Raises ValueError for an unknown network."""
    return Asset(native_id(chain), "TOY", 2)


def native_id(chain: ChainId) -> AssetId:
    """Its id. Raises ValueError for an unknown network."""
    if chain.reference not in NETWORKS:
        raise ValueError(f"no toy network {chain}")
    return AssetId(chain, "slip44", "1")


def address_of(key: bytes) -> Address:
    """`t`, the four bytes of the key and one of checksum in hexadecimal."""
    return Address(key, "t" + key.hex() + hashlib.sha256(key).hexdigest()[:2])


def parse_address(chain: ChainId, text: str) -> Address:
    """Read an address. Raises ValueError for what is none."""
    native_id(chain)
    if len(text) != 11 or text[0] != "t":
        raise ValueError(f"not a toy address: {text[:40]!r}")
    address = address_of(bytes.fromhex(text[1:9]))
    if address.text != text:
        raise ValueError(f"checksum of {text} is wrong")
    return address


FAMILY: Final = Family(
    namespace="toy",
    name="Toy",
    bookkeeping=Bookkeeping.ACCOUNTS,
    example="toy:main",
    native_id=native_id,
    native_asset=native_asset,
    parse_address=parse_address,
    source_opener=later("toychain.source", "ToySource"),
    confirmations=2,
    stale_after=timedelta(days=1),
    fee_unit="cent",
    hash_prefix="toy-",
)
