"""How a ledger's database comes from each version of its schema to the next, with Alembic."""
