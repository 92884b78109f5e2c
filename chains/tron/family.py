"""TRON as a chain family: its addresses and its coin are known, its blocks are not followed."""

from __future__ import annotations

from typing import Final

from chains.family import Bookkeeping, Family, later
from chains.tron.addresses import native_asset

FAMILY: Final = Family(
    namespace="tron",
    name="TRON",
    bookkeeping=Bookkeeping.ACCOUNTS,
    example="tron:0x2b6653dc",
    native_id=lambda chain: native_asset(chain).id,
    native_asset=native_asset,
    parse_address=later("chains.tron.addresses", "parse_address"),
    fee_unit="sun",
)
