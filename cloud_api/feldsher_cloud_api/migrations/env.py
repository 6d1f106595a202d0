"""Alembic's entry: runs the revisions on the connection that `feldsher_cloud_api.db.migrate` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise RuntimeError("only `feldsher-cloud migrate` migrates: it holds the lock that keeps two migrations apart")
context.configure(connection=connection, version_table_schema="public", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
