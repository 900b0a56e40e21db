"""Create projects, comments, and notes that are private."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "notes", sa.Column("private", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("note_id", sa.String(36), nullable=False),
        sa.Column("text", sa.String(1000), nullable=False),
        sa.Column("author", sa.String(36), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["note_id"], ["notes.id"], name="fk_comments_note_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
    )
    op.create_index("ix_comments_note_id", "comments", ["note_id"])
    op.create_table(
        "projects",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("lead", sa.String(36), nullable=False),
        sa.Column("budget", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_index("ix_projects_tenant_id", "projects", ["tenant_id"])
    op.create_table(
        "project_notes",
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("note_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_project_notes_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["note_id"], ["notes.id"], name="fk_project_notes_note_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "note_id", name="pk_project_notes"),
    )
    op.create_index("ix_project_notes_note_id", "project_notes", ["note_id"])


def downgrade() -> None:
    op.drop_table("project_notes")
    op.drop_table("projects")
    op.drop_table("comments")
    op.drop_column("notes", "private")
