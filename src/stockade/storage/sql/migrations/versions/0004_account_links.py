"""Create one-time links, and remember whether an address is known to be its owner's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column."""
    moment = sa.DateTime(timezone=True)
    # Accounts could be made by the application alone up to now, which vouches for their addresses.
    op.add_column(
        "stockade_users",
        sa.Column("email_verified", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.create_table(
        "stockade_one_time_links",
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=True),
        sa.Column("tenant_id", sa.String(36), nullable=True),
        sa.Column("role", sa.String(64), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("purpose", "subject", name="pk_stockade_one_time_links"),
        sa.UniqueConstraint("digest", name="uq_stockade_one_time_links_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_one_time_links_user_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["stockade_tenants.id"],
            name="fk_stockade_one_time_links_tenant_id",
            ondelete="CASCADE",
        ),
    )
    for column in ("user_id", "tenant_id", "expires_at"):
        name = f"ix_stockade_one_time_links_{column}"
        op.create_index(name, "stockade_one_time_links", [column])


def downgrade() -> None:
    """Drop the table and the column."""
    op.drop_table("stockade_one_time_links")
    op.drop_column("stockade_users", "email_verified")
