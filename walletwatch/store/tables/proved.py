"""What is proved, and what is followed."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from walletwatch.store.columns import BaseUnits, Hash, JsonText, Key, UtcTime
from walletwatch.store.tables.base import RowId, metadata, text

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    text("recorded_at"),  # the very text that was hashed
    text("actor"),
    text("action"),
    text("subject"),
    text("payload"),  # the very text that was hashed
    Column("leaf_hash", Hash, nullable=False),
    Index(None, "subject"),
    Index(None, "action"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("root", Hash, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    text("note"),
    Column("made_at", UtcTime, nullable=False),
)


cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    text("chain"),
    text("state"),
    Column("case", JsonText, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("start_height", BigInteger, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("hash", Hash, nullable=False),
    Column("live", Boolean, nullable=False),
    Index(None, "chain", "state"),
)

case_transactions = Table(
    "case_transactions",
    metadata,
    text("case_id"),
    Column("height", BigInteger, nullable=False),
    Column("tx_index", BigInteger, nullable=False),
    Column("block_hash", Hash, nullable=False),
    Column("block_time", UtcTime, nullable=False),
    Column("facts", JsonText, nullable=False),
    PrimaryKeyConstraint("case_id", "height", "tx_index"),
)

case_openings = Table(
    "case_openings",
    metadata,
    text("case_id"),
    text("asset"),
    Column("address", Key, nullable=False),
    text("address_text"),
    Column("height", BigInteger, nullable=False),
    Column("amount", BaseUnits),
    PrimaryKeyConstraint("case_id", "asset", "address", "height"),
)

labels = Table(
    "labels",
    metadata,
    Column("id", RowId, primary_key=True),
    text("chain"),
    text("address"),
    text("label"),
    text("category"),
    text("source"),
    Column("confidence_milli", Integer, nullable=False),
    Column("valid_from", UtcTime),
    Column("expires_at", UtcTime),
    UniqueConstraint("chain", "address", "label", "category", "source"),
    Index(None, "address"),
)
