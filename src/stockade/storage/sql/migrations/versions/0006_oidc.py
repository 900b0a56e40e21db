"""Create identities at providers, and what works once and has been used."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stockade_identities",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("linked_at", moment, nullable=False),
        sa.Column("last_used_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_identities"),
        sa.UniqueConstraint("issuer", "subject", name="uq_stockade_identities_issuer_subject"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_identities_user_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_stockade_identities_user_id", "stockade_identities", ["user_id"])
    op.create_table(
        "stockade_spent",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_stockade_spent"),
    )
    op.create_index("ix_stockade_spent_expires_at", "stockade_spent", ["expires_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("stockade_spent")
    op.drop_table("stockade_identities")
