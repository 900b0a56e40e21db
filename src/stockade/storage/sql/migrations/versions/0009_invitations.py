"""Create invitations into tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stockade_invitations",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(36), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_invitations"),
        sa.UniqueConstraint("digest", name="uq_stockade_invitations_digest"),
        sa.UniqueConstraint("tenant_id", "email", name="uq_stockade_invitations_tenant_id_email"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["stockade_tenants.id"],
            name="fk_stockade_invitations_tenant_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("stockade_invitations")
