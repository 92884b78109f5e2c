"""When a feed could last be read: what is dated in an interval without reading is marked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from walletwatch.store.columns import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Of feeds read before, when they were last looked at is not known."""
    op.add_column("feeds", sa.Column("looked_at", UtcTime(), nullable=True))
