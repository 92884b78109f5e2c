"""What people meant, what was judged, and who was told."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from walletwatch.store.columns import BaseUnits, Hash, JsonText, UtcTime
from walletwatch.store.tables.base import RowId, metadata, text

acts = Table(
    "acts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    text("feed"),
    Column("digest", Hash, nullable=False),
    Column("line", BigInteger, nullable=False),
    text("request_id"),
    text("kind"),
    text("actor"),
    text("kid"),
    text("refused"),
    Column("at", UtcTime, nullable=False),
    Column("read_at", UtcTime, nullable=False),
    Column("act", JsonText, nullable=False),
    UniqueConstraint("feed", "digest", "kid", "refused"),
    Index(None, "request_id"),
)

malformed_lines = Table(
    "malformed_lines",
    metadata,
    text("feed"),
    Column("line", BigInteger, nullable=False),
    text("error"),
    Column("raw", LargeBinary, nullable=False),
    Column("read_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("feed", "line"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("position", JsonText, nullable=False),
    Column("read_at", UtcTime, nullable=False),
    Column("grew_at", UtcTime, nullable=False),
    Column("looked_at", UtcTime),
    text("trouble"),
)

allocations = Table(
    "allocations",
    metadata,
    text("chain"),
    Column("txid", Hash, nullable=False),
    text("asset"),
    Column("ordinal", BigInteger, nullable=False),
    text("request_id"),
    Column("family", Hash, nullable=False),
    Column("amount", BaseUnits),
    PrimaryKeyConstraint("chain", "txid", "asset", "ordinal"),
    Index(None, "request_id"),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("id", RowId, primary_key=True),
    text("digest"),
    Column("document", JsonText, nullable=False),
    Column("since", UtcTime),
    Column("kept_at", UtcTime, nullable=False),
)


findings = Table(
    "findings",
    metadata,
    Column("id", Text, primary_key=True),
    text("rule"),
    text("rule_id"),
    text("verdict"),
    text("severity"),
    text("mode"),
    text("chain"),
    Column("txid", Hash),
    text("wallet"),
    text("asset"),
    Column("outflow", Text),
    text("summary"),
    Column("evidence", JsonText, nullable=False),
    text("rules_digest"),
    Column("found_at", UtcTime, nullable=False),
    Column("resolved", JsonText),
    Column("history", JsonText),
    Index(None, "chain", "txid"),
    Index(None, "outflow"),
    Index(None, "found_at"),
    Index(None, "wallet", "severity"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    text("severity"),
    text("state"),
    text("title"),
    Column("findings", JsonText, nullable=False),
    Column("outflows", JsonText, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("acknowledged", JsonText),
    Column("closed", JsonText),
    Column("changes", JsonText, nullable=False),
    Index(None, "state"),
    Index(None, "opened_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", RowId, primary_key=True),
    text("alert"),
    text("sink"),
    text("state"),  # due, delivered, failed, muted
    Column("version", BigInteger, nullable=False),  # to tell
    Column("told_version", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("leased_until", UtcTime),
    text("remote_id"),
    text("last_error"),
    Column("changed_at", UtcTime, nullable=False),
    UniqueConstraint("alert", "sink"),
    Index(None, "state", "due_at"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Text, primary_key=True),
    text("by"),
    text("reason"),
    Column("created_at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("matchers", JsonText, nullable=False),
)
