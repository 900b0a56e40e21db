"""Give programs limits of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    column = sa.Column("requests_per_minute", sa.Integer(), nullable=True)
    op.add_column("stockade_api_clients", column)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("stockade_api_clients", "requests_per_minute")
