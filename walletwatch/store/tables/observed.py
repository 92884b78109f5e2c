"""What was seen on chain, and our place there."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from walletwatch.store.columns import BaseUnits, Hash, JsonText, Key, UtcTime
from walletwatch.store.tables.base import RowId, metadata, text

chains = Table(
    "chains",
    metadata,
    Column("chain", Text, primary_key=True),  # CAIP-2
    text("name"),
    Column("first_contact", UtcTime, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("height", BigInteger, nullable=False),
    Column("hash", Hash, nullable=False),
    Column("start_height", BigInteger, nullable=False),  # the first block judged
    Column("final_height", BigInteger, nullable=False),
    text("complete_for"),  # digest of the addresses whose unspent outputs are all known, or empty
    Column("moved_at", UtcTime, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    text("chain"),
    Column("height", BigInteger, nullable=False),
    Column("hash", Hash, nullable=False),
    Column("parent_hash", Hash, nullable=False),
    Column("time", UtcTime, nullable=False),
    Column("gaps", JsonText, nullable=False),
    PrimaryKeyConstraint("chain", "height"),
)

worker_reports = Table(
    "worker_reports",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("report", JsonText, nullable=False),
    Column("reported_at", UtcTime, nullable=False),
)

unwatched_intervals = Table(
    "unwatched_intervals",
    metadata,
    Column("id", RowId, primary_key=True),
    text("chain"),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("from_height", BigInteger, nullable=False),
    Column("to_height", BigInteger, nullable=False),
    text("reason"),
)


transactions = Table(
    "transactions",
    metadata,
    text("chain"),
    Column("txid", Hash, nullable=False),
    text("state"),
    Column("height", BigInteger),
    Column("block_hash", Hash),
    Column("block_time", UtcTime),
    Column("first_seen", UtcTime, nullable=False),
    Column("family", Hash, nullable=False),
    Column("facts", JsonText, nullable=False),
    PrimaryKeyConstraint("chain", "txid"),
    Index(None, "chain", "height"),
    Index(None, "chain", "family"),
    Index(None, "chain", "state"),
)

spend_keys = Table(
    "spend_keys",
    metadata,
    text("chain"),
    Column("key", LargeBinary, nullable=False),
    Column("txid", Hash, nullable=False),
    PrimaryKeyConstraint("chain", "key", "txid"),
)

unspent_outputs = Table(
    "unspent_outputs",
    metadata,
    text("chain"),
    Column("txid", Hash, nullable=False),
    Column("vout", BigInteger, nullable=False),
    Column("address", Key, nullable=False),
    text("address_text"),
    Column("value", BaseUnits, nullable=False),
    Column("created_height", BigInteger, nullable=False),
    Column("spent_height", BigInteger),
    PrimaryKeyConstraint("chain", "txid", "vout"),
    Index(None, "chain", "spent_height"),
    Index(None, "chain", "created_height"),
)

movements = Table(
    "movements",
    metadata,
    text("chain"),
    Column("txid", Hash, nullable=False),
    text("wallet"),
    text("asset"),
    Column("height", BigInteger, nullable=False),
    Column("block_time", UtcTime, nullable=False),
    Column("received", BaseUnits, nullable=False),
    Column("sent", BaseUnits, nullable=False),
    Column("fee", BaseUnits, nullable=False),
    PrimaryKeyConstraint("chain", "txid", "wallet", "asset"),
    Index(None, "chain", "height"),
    Index(None, "wallet", "asset", "height"),
    Index(None, "wallet", "block_time"),
)

balances = Table(
    "balances",
    metadata,
    text("chain"),
    text("wallet"),
    text("asset"),
    Column("height", BigInteger, nullable=False),
    Column("hash", Hash, nullable=False),
    Column("amount", BaseUnits, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("chain", "wallet", "asset", "height"),
)

outflows = Table(
    "outflows",
    metadata,
    Column("id", Text, primary_key=True),
    text("chain"),
    Column("txid", Hash, nullable=False),
    text("state"),
    text("wallet"),
    text("asset"),
    Column("amount", BaseUnits, nullable=False),
    Column("fee", BaseUnits, nullable=False),
    Column("payments", JsonText, nullable=False),
    Column("first_seen", UtcTime, nullable=False),
    Column("broadcast_at", UtcTime, nullable=False),
    Column("height", BigInteger),
    Column("block_hash", Hash),
    Column("block_time", UtcTime),
    Column("family", Hash, nullable=False),
    Column("foreign_inputs", Boolean, nullable=False),
    Column("traced", Boolean, nullable=False),
    Column("ordinal", BigInteger, nullable=False, server_default="0"),  # the order of judging
    Column("changed", BigInteger, nullable=False, server_default="0"),  # grows with every change of any row
    Index(None, "chain", "txid"),
    Index(None, "chain", "height"),
    Index(None, "wallet", "asset", "broadcast_at"),
    Index(None, "wallet", "broadcast_at"),
    Index(None, "asset", "broadcast_at"),
    Index(None, "broadcast_at"),
    Index(None, "ordinal"),
    Index(None, "changed"),
)

destinations = Table(
    "destinations",
    metadata,
    text("chain"),
    Column("txid", Hash, nullable=False),
    text("asset"),
    Column("ordinal", BigInteger, nullable=False),
    Column("address", Key, nullable=False),
    text("address_text"),
    Column("amount", BaseUnits, nullable=False),
    Column("broadcast_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("chain", "txid", "asset", "ordinal"),
    Index(None, "chain", "address", "broadcast_at"),
)
