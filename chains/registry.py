"""From a CAIP-2 namespace to its chain family. A new family is its package and one entry in `FAMILIES`."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from chains.family import Family
from chains.model import Address, Asset, ChainId
from chains.source import ChainSource, SourceSpec

FAMILIES = {"bip122": "chains.bitcoin.family", "eip155": "chains.evm.family", "tron": "chains.tron.family"}
"""The module of each family, which has a `FAMILY`; imported when first needed."""


def family_of(chain: ChainId) -> Family:
    """The family that `chain` belongs to. Raises ValueError for a namespace that none serves."""
    family = find_family(chain)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"no chain family for {chain} (known namespaces: {known})")
    return family


def find_family(chain: ChainId) -> Family | None:
    """As `family_of`; None for a namespace that none serves."""
    module = FAMILIES.get(chain.namespace)
    return None if module is None else _load(module)


@cache
def _load(module: str) -> Family:
    family: Family = import_module(module).FAMILY
    return family


# What is called most, by chain.


def open_source(spec: SourceSpec) -> ChainSource:
    """As `Family.open_source`. Raises ValueError for a chain that no family serves."""
    return family_of(spec.chain).open_source(spec)


def native_asset(chain: ChainId) -> Asset:
    """As `Family.native_asset`. Raises ValueError for a chain that no family serves."""
    return family_of(chain).native_asset(chain)


def parse_address(chain: ChainId, text: str) -> Address:
    """Read an address of `chain` in its usual text form, without a node. Raises ValueError that says what is wrong."""
    return family_of(chain).parse_address(chain, text)


def format_hash(chain: ChainId, value: bytes) -> str:
    """A hash or transaction id in its chain's usual text: bare hex, or with `0x` before it."""
    return family_of(chain).hash_prefix + value.hex()
