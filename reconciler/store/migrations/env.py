"""What alembic runs. The transaction and its lock belong to upgrade.py, so nothing here begins or commits."""

from alembic import context

from reconciler.store.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
