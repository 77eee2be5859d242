"""Run migrations on the connection that `storage.database.migrate` gives."""

from alembic import context

from storage import exchange_schema

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=exchange_schema.exchange_messages.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
