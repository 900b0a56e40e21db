"""Keep invitations in one table, and what has been used up in one.

Invitations that were mailed as one-time links go on: into the table of invitations, with their
digests. Of two for the same address and tenant the newer one stays. On the way back everything
stays where the release before finds it, but the links of those that were carried over have to be
sent anew.
"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_LINKS = sa.table(
    "stockade_one_time_links",
    sa.column("purpose", sa.String),
    sa.column("email", sa.String),
    sa.column("user_id", sa.String),
    sa.column("tenant_id", sa.String),
    sa.column("role", sa.String),
    sa.column("digest", sa.String),
    sa.column("created_at", _MOMENT),
    sa.column("expires_at", _MOMENT),
)
_INVITATIONS = sa.table(
    "stockade_invitations",
    sa.column("id", sa.String),
    sa.column("tenant_id", sa.String),
    sa.column("email", sa.String),
    sa.column("role", sa.String),
    sa.column("digest", sa.String),
    sa.column("created_by", sa.String),
    sa.column("created_at", _MOMENT),
    sa.column("expires_at", _MOMENT),
    sa.column("mailed", sa.Boolean),
)


def upgrade() -> None:
    """Carry over what is open, then drop what held it."""
    op.add_column(
        "stockade_invitations",
        sa.Column("mailed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    _carry_over()
    op.drop_index("ix_stockade_one_time_links_tenant_id", "stockade_one_time_links")
    with op.batch_alter_table("stockade_one_time_links") as table:
        table.drop_constraint("fk_stockade_one_time_links_tenant_id", type_="foreignkey")
        table.drop_column("tenant_id")
        table.drop_column("role")
    _move_digests("stockade_used_challenges", "stockade_spent")
    op.drop_table("stockade_used_challenges")


def _carry_over() -> None:
    connection = op.get_bind()
    links, kept = _LINKS.c, _INVITATIONS.c
    found = connection.execute(
        sa.select(*links)
        .where(links.purpose == "invitation", links.tenant_id.is_not(None))
        .where(links.user_id.is_not(None), links.expires_at > datetime.now(UTC))
    )
    for link in found.all():
        place = sa.and_(kept.tenant_id == link.tenant_id, kept.email == link.email)
        newer = sa.select(kept.id).where(place, kept.created_at > link.created_at)
        if connection.execute(newer).first() is not None:
            continue
        connection.execute(sa.delete(_INVITATIONS).where(place))
        connection.execute(
            sa.insert(_INVITATIONS).values(
                id=str(uuid.uuid4()),
                tenant_id=link.tenant_id,
                email=link.email,
                role=link.role,
                digest=link.digest,
                created_by=link.user_id,
                created_at=link.created_at,
                expires_at=link.expires_at,
                mailed=True,
            )
        )
    connection.execute(sa.delete(_LINKS).where(links.purpose == "invitation"))


def _move_digests(old: str, new: str) -> None:
    op.execute(
        f"INSERT INTO {new} (digest, expires_at) SELECT digest, expires_at FROM {old}"  # noqa: S608 - names of our own
        f" WHERE digest NOT IN (SELECT digest FROM {new})"
    )


def downgrade() -> None:
    """Put back what the release before has."""
    op.create_table(
        "stockade_used_challenges",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_stockade_used_challenges"),
    )
    op.create_index(
        "ix_stockade_used_challenges_expires_at", "stockade_used_challenges", ["expires_at"]
    )
    # Which of them are challenges is not known; the others do no harm there.
    _move_digests("stockade_spent", "stockade_used_challenges")
    with op.batch_alter_table("stockade_one_time_links") as table:
        table.add_column(sa.Column("tenant_id", sa.String(36), nullable=True))
        table.add_column(sa.Column("role", sa.String(64), nullable=True))
        table.create_foreign_key(
            "fk_stockade_one_time_links_tenant_id",
            "stockade_tenants",
            ["tenant_id"],
            ["id"],
            ondelete="CASCADE",
        )
    op.create_index(
        "ix_stockade_one_time_links_tenant_id", "stockade_one_time_links", ["tenant_id"]
    )
    op.drop_column("stockade_invitations", "mailed")
