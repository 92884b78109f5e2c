"""The order in which outflows were judged, when each last changed, and indexes for the questions of rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = """
UPDATE outflows SET ordinal = numbered.place, changed = numbered.place
FROM (SELECT id, row_number() OVER (ORDER BY first_seen, broadcast_at, id) AS place FROM outflows) AS numbered
WHERE outflows.id = numbered.id
"""
_INDEXES = (
    ("outflows", ("wallet", "broadcast_at")),
    ("outflows", ("asset", "broadcast_at")),
    ("outflows", ("ordinal",)),
    ("outflows", ("changed",)),
    ("movements", ("wallet", "block_time")),
    ("findings", ("wallet", "severity")),
)


def upgrade() -> None:
    """Apply."""
    for column in ("ordinal", "changed"):
        op.add_column("outflows", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(sa.text(_NUMBER))
    for table, columns in _INDEXES:
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns), unique=False)
