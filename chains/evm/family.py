"""Ethereum and the networks with its virtual machine as a chain family."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from chains.evm.params import block_time_slack, native_asset, native_id
from chains.family import Bookkeeping, Family, NodeOptions, later

FAMILY: Final = Family(
    namespace="eip155",
    name="EVM",
    bookkeeping=Bookkeeping.ACCOUNTS,
    example="eip155:1",
    native_id=native_id,
    native_asset=native_asset,
    parse_address=later("chains.evm.fields", "parse_address"),
    source_opener=later("chains.evm.source", "open_source"),
    unsigned_reader=later("chains.evm.unsigned_transactions", "read_unsigned_transaction"),
    oracle_opener=later("chains.evm.price_oracle", "open_oracle"),
    decimals_reader=later("chains.evm.state", "read_token_decimals"),
    signature_reader=later("chains.evm.safe", "read_signature"),
    confirmations=1,
    finality="finalized",
    finality_tags=frozenset({"finalized", "safe", "latest"}),
    stale_after=timedelta(minutes=10),
    block_time_slack=block_time_slack,
    fee_unit="gwei",
    hash_prefix="0x",
    token_namespaces=frozenset({"erc20"}),
    options=NodeOptions(chain=frozenset({"prove"}), endpoint=frozenset({"ws"})),
)
