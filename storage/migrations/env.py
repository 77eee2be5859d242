"""Run migrations on the connection that `storage.database.migrate` gives."""

from alembic import context

from storage import conduct_schema, exchange_schema

SCHEMAS = (conduct_schema, exchange_schema)  # imported: they add their tables to the one metadata
connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SCHEMAS[0].METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
