"""Create programs and their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stockade_api_clients",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=True),
        sa.Column("user_id", sa.String(36), nullable=True),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("created_by", sa.String(36), nullable=False),
        sa.Column("expires_at", moment, nullable=True),
        sa.Column("revoked_at", moment, nullable=True),
        sa.Column("last_used_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_api_clients"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["stockade_tenants.id"],
            name="fk_stockade_api_clients_tenant_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_api_clients_user_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_stockade_api_clients_tenant_id_user_id",
        "stockade_api_clients",
        ["tenant_id", "user_id"],
    )
    op.create_index("ix_stockade_api_clients_user_id", "stockade_api_clients", ["user_id"])
    op.create_table(
        "stockade_api_secrets",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("client_id", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_api_secrets"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["stockade_api_clients.id"],
            name="fk_stockade_api_secrets_client_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_stockade_api_secrets_client_id", "stockade_api_secrets", ["client_id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("stockade_api_secrets")
    op.drop_table("stockade_api_clients")
