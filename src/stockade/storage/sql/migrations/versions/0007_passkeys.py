"""Create passkeys."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stockade_passkeys",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("credential_id", sa.String(1364), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("user_handle", sa.LargeBinary(64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("backup_eligible", sa.Boolean(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("transports", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("last_used_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_stockade_passkeys_credential_id"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_passkeys_user_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_stockade_passkeys_user_id", "stockade_passkeys", ["user_id"])
    op.create_table(
        "stockade_used_challenges",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_stockade_used_challenges"),
    )
    op.create_index(
        "ix_stockade_used_challenges_expires_at", "stockade_used_challenges", ["expires_at"]
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("stockade_used_challenges")
    op.drop_table("stockade_passkeys")
