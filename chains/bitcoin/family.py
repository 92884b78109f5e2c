"""Bitcoin and its test networks as a chain family."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from chains.bitcoin.params import NAMESPACE, native_asset
from chains.family import Bookkeeping, Family, NodeOptions, later

FAMILY: Final = Family(
    namespace=NAMESPACE,
    name="Bitcoin",
    bookkeeping=Bookkeeping.COINS,
    example="bip122:000000000019d6689c085ae165831e93",
    native_id=lambda chain: native_asset(chain).id,
    native_asset=native_asset,
    parse_address=later("chains.bitcoin.addresses", "parse_address"),
    source_opener=later("chains.bitcoin.source", "open_source"),
    address_parser_maker=later("chains.bitcoin.addresses", "address_parser"),
    descriptor_reader=later("chains.bitcoin.descriptors", "open_branches"),
    unsigned_reader=later("chains.bitcoin.unsigned_transactions", "read_unsigned_transaction"),
    confirmations=6,
    stale_after=timedelta(hours=2),
    # A block's time may be two hours off (MAX_FUTURE_BLOCK_TIME, Bitcoin Core, chain.h).
    block_time_slack=lambda _: timedelta(hours=2),
    fee_unit="sat/vB",
    options=NodeOptions(chain=frozenset({"history"}), endpoint=frozenset({"zmq", "cookie", "rest"})),
)
