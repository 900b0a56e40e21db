"""Run Stockade's migrations on the connection that `migrate` hands over."""

from alembic import context

from stockade.storage.sql.migrate import VERSION_TABLE
from stockade.storage.sql.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
