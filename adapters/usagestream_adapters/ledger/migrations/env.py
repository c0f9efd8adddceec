"""What Alembic runs: on the connection of whoever opens the ledger, in their transaction."""

from __future__ import annotations

from alembic import context

from usagestream_adapters.ledger._schema import VERSION_TABLE, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
