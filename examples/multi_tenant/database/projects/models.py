"""The table of projects, and the one that says which notes belong to which."""

from uuid import uuid4

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from database.base import Base
from database.notes.models import Note
from stockade.tenancy import TenantScoped

# Without a column for the company: both ends have to be of the caller's, or nothing is written.
project_notes = Table(
    "project_notes",
    Base.metadata,
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("note_id", ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True, index=True),
)


def _new_id() -> str:
    return str(uuid4())


class Project(TenantScoped, Base):
    """A project of a company."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    name: Mapped[str] = mapped_column(String(100))
    lead: Mapped[str] = mapped_column(String(36))
    budget: Mapped[int] = mapped_column(default=0)

    notes: Mapped[list[Note]] = relationship(secondary=project_notes, passive_deletes=True)
