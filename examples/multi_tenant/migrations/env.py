"""Run the application's migrations on the connection that database/setup.py hands over."""

from alembic import context
from database.base import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
