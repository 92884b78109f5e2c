"""What a finding was before: severities, resolutions that were undone, violations it turned into."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from walletwatch.store.columns import JsonText

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Findings kept before have no history."""
    op.add_column("findings", sa.Column("history", JsonText(), nullable=True))
