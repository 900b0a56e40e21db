"""Create second factors and known devices, and let sessions say what was given for them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the column."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "stockade_totp",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("sealed", sa.String(200), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("confirmed_at", moment, nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stockade_totp"),
        sa.UniqueConstraint("user_id", name="uq_stockade_totp_user_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["stockade_users.id"], name="fk_stockade_totp_user_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "stockade_recovery_codes",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "digest", name="pk_stockade_recovery_codes"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_recovery_codes_user_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "stockade_known_devices",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "digest", name="pk_stockade_known_devices"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["stockade_users.id"],
            name="fk_stockade_known_devices_user_id",
            ondelete="CASCADE",
        ),
    )
    # What a session of an older release was begun with is not known.
    op.add_column(
        "stockade_sessions",
        sa.Column("factors", sa.String(100), nullable=False, server_default=sa.text("''")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("stockade_sessions", "factors")
    op.drop_table("stockade_known_devices")
    op.drop_table("stockade_recovery_codes")
    op.drop_table("stockade_totp")
