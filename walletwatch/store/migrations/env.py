"""Run by Alembic: migrations use the connection that `Store.upgrade` opened."""

from __future__ import annotations

from alembic import context

from walletwatch.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
