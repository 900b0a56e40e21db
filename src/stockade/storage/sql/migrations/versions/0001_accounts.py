"""Create accounts, tenants and memberships."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "stockade_users",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("user_type", sa.String(20), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("token_epoch", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_users"),
        sa.UniqueConstraint("email", name="uq_stockade_users_email"),
    )
    op.create_table(
        "stockade_tenants",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_tenants"),
    )
    op.create_table(
        "stockade_memberships",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "tenant_id", name="pk_stockade_memberships"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_memberships_user_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["stockade_tenants.id"],
            name="fk_stockade_memberships_tenant_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_stockade_memberships_tenant_id", "stockade_memberships", ["tenant_id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("stockade_memberships")
    op.drop_table("stockade_tenants")
    op.drop_table("stockade_users")
