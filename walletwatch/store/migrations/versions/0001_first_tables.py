"""The first tables, and the triggers that seal the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from walletwatch.store.columns import BaseUnits, JsonText, UtcTime
from walletwatch.store.tables.base import create_guards

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "acts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("read_at", UtcTime(), nullable=False),
        sa.Column("act", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acts")),
        sa.UniqueConstraint("feed", "digest", "kid", "refused", name=op.f("uq_acts_feed_digest_kid_refused")),
    )
    op.create_index(op.f("ix_acts_request_id"), "acts", ["request_id"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("findings", JsonText(), nullable=False),
        sa.Column("outflows", JsonText(), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged", JsonText(), nullable=True),
        sa.Column("closed", JsonText(), nullable=True),
        sa.Column("changes", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_alerts_fingerprint")),
    )
    op.create_index(op.f("ix_alerts_opened_at"), "alerts", ["opened_at"], unique=False)
    op.create_index(op.f("ix_alerts_state"), "alerts", ["state"], unique=False)
    op.create_table(
        "allocations",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("family", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("chain", "txid", "asset", "ordinal", name=op.f("pk_allocations")),
    )
    op.create_index(op.f("ix_allocations_request_id"), "allocations", ["request_id"], unique=False)
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_action"), "audit_entries", ["action"], unique=False)
    op.create_index(op.f("ix_audit_entries_subject"), "audit_entries", ["subject"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "balances",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("amount", BaseUnits(), nullable=False),
        sa.Column("taken_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "wallet", "asset", "height", name=op.f("pk_balances")),
    )
    op.create_table(
        "blocks",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parent_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("gaps", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "height", name=op.f("pk_blocks")),
    )
    op.create_table(
        "case_openings",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("address_text", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("amount", BaseUnits(), nullable=True),
        sa.PrimaryKeyConstraint("case_id", "asset", "address", "height", name=op.f("pk_case_openings")),
    )
    op.create_table(
        "case_transactions",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("tx_index", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_time", UtcTime(), nullable=False),
        sa.Column("facts", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "height", "tx_index", name=op.f("pk_case_transactions")),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("case", JsonText(), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("start_height", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
    )
    op.create_index(op.f("ix_cases_chain_state"), "cases", ["chain", "state"], unique=False)
    op.create_table(
        "chains",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_contact", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_chains")),
    )
    op.create_table(
        "cursors",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("start_height", sa.BigInteger(), nullable=False),
        sa.Column("final_height", sa.BigInteger(), nullable=False),
        sa.Column("complete_for", sa.Text(), nullable=False),
        sa.Column("moved_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_cursors")),
    )
    op.create_table(
        "destinations",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("address_text", sa.Text(), nullable=False),
        sa.Column("amount", BaseUnits(), nullable=False),
        sa.Column("broadcast_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "txid", "asset", "ordinal", name=op.f("pk_destinations")),
    )
    op.create_index(
        op.f("ix_destinations_chain_address_broadcast_at"),
        "destinations",
        ["chain", "address", "broadcast_at"],
        unique=False,
    )
    op.create_table(
        "feeds",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("position", JsonText(), nullable=False),
        sa.Column("read_at", UtcTime(), nullable=False),
        sa.Column("grew_at", UtcTime(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("feed", name=op.f("pk_feeds")),
    )
    op.create_table(
        "findings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=True),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("outflow", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("evidence", JsonText(), nullable=False),
        sa.Column("rules_digest", sa.Text(), nullable=False),
        sa.Column("found_at", UtcTime(), nullable=False),
        sa.Column("resolved", JsonText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_chain_txid"), "findings", ["chain", "txid"], unique=False)
    op.create_index(op.f("ix_findings_found_at"), "findings", ["found_at"], unique=False)
    op.create_index(op.f("ix_findings_outflow"), "findings", ["outflow"], unique=False)
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("confidence_milli", sa.Integer(), nullable=False),
        sa.Column("valid_from", UtcTime(), nullable=True),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint(
            "chain",
            "address",
            "label",
            "category",
            "source",
            name=op.f("uq_labels_chain_address_label_category_source"),
        ),
    )
    op.create_index(op.f("ix_labels_address"), "labels", ["address"], unique=False)
    op.create_table(
        "malformed_lines",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "line", name=op.f("pk_malformed_lines")),
    )
    op.create_table(
        "movements",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("block_time", UtcTime(), nullable=False),
        sa.Column("received", BaseUnits(), nullable=False),
        sa.Column("sent", BaseUnits(), nullable=False),
        sa.Column("fee", BaseUnits(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "txid", "wallet", "asset", name=op.f("pk_movements")),
    )
    op.create_index(op.f("ix_movements_chain_height"), "movements", ["chain", "height"], unique=False)
    op.create_index(op.f("ix_movements_wallet_asset_height"), "movements", ["wallet", "asset", "height"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("told_version", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("leased_until", UtcTime(), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("alert", "sink", name=op.f("uq_outbox_alert_sink")),
    )
    op.create_index(op.f("ix_outbox_state_due_at"), "outbox", ["state", "due_at"], unique=False)
    op.create_table(
        "outflows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", BaseUnits(), nullable=False),
        sa.Column("fee", BaseUnits(), nullable=False),
        sa.Column("payments", JsonText(), nullable=False),
        sa.Column("first_seen", UtcTime(), nullable=False),
        sa.Column("broadcast_at", UtcTime(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_time", UtcTime(), nullable=True),
        sa.Column("family", sa.LargeBinary(length=32), nullable=False),
        sa.Column("foreign_inputs", sa.Boolean(), nullable=False),
        sa.Column("traced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outflows")),
    )
    op.create_index(op.f("ix_outflows_broadcast_at"), "outflows", ["broadcast_at"], unique=False)
    op.create_index(op.f("ix_outflows_chain_height"), "outflows", ["chain", "height"], unique=False)
    op.create_index(op.f("ix_outflows_chain_txid"), "outflows", ["chain", "txid"], unique=False)
    op.create_index(
        op.f("ix_outflows_wallet_asset_broadcast_at"), "outflows", ["wallet", "asset", "broadcast_at"], unique=False
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("matchers", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
    )
    op.create_table(
        "spend_keys",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("chain", "key", "txid", name=op.f("pk_spend_keys")),
    )
    op.create_table(
        "transactions",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_time", UtcTime(), nullable=True),
        sa.Column("first_seen", UtcTime(), nullable=False),
        sa.Column("family", sa.LargeBinary(length=32), nullable=False),
        sa.Column("facts", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "txid", name=op.f("pk_transactions")),
    )
    op.create_index(op.f("ix_transactions_chain_family"), "transactions", ["chain", "family"], unique=False)
    op.create_index(op.f("ix_transactions_chain_height"), "transactions", ["chain", "height"], unique=False)
    op.create_index(op.f("ix_transactions_chain_state"), "transactions", ["chain", "state"], unique=False)
    op.create_table(
        "unspent_outputs",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vout", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("address_text", sa.Text(), nullable=False),
        sa.Column("value", BaseUnits(), nullable=False),
        sa.Column("created_height", sa.BigInteger(), nullable=False),
        sa.Column("spent_height", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("chain", "txid", "vout", name=op.f("pk_unspent_outputs")),
    )
    op.create_index(
        op.f("ix_unspent_outputs_chain_created_height"), "unspent_outputs", ["chain", "created_height"], unique=False
    )
    op.create_index(
        op.f("ix_unspent_outputs_chain_spent_height"), "unspent_outputs", ["chain", "spent_height"], unique=False
    )
    op.create_table(
        "unwatched_intervals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("from_height", sa.BigInteger(), nullable=False),
        sa.Column("to_height", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unwatched_intervals")),
    )
    op.create_table(
        "worker_reports",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("report", JsonText(), nullable=False),
        sa.Column("reported_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_worker_reports")),
    )
    for statement in create_guards(op.get_bind().dialect.name):
        op.execute(sa.text(statement))
