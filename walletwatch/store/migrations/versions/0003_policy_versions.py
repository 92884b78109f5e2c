"""The approval policies as they stood at each time, and how much of a request each payment used up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from walletwatch.store.columns import BaseUnits, JsonText, UtcTime
from walletwatch.store.tables.base import RowId

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Payments kept before used up their requests whole: their amount stays unknown."""
    op.add_column("allocations", sa.Column("amount", BaseUnits(), nullable=True))
    op.create_table(
        "policy_versions",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("document", JsonText(), nullable=False),
        sa.Column("since", UtcTime(), nullable=True),
        sa.Column("kept_at", UtcTime(), nullable=False),
    )
