"""An application with every kind of table: scoped, scoped through others, shared and exempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    column_property,
    mapped_column,
    relationship,
)

from stockade.core import SystemClock, TenantId
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenantScoped

OWN: Final = TenantId("tenant-own")
FOREIGN: Final = TenantId("tenant-foreign")


class Base(DeclarativeBase):
    pass


note_tag = Table(
    "note_tag",
    Base.metadata,
    Column("note_id", ForeignKey("note.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Tag(TenantScoped, Base):
    __tablename__ = "tag"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_tag_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Folder(TenantScoped, Base):
    __tablename__ = "folder"
    __mapper_args__: Mapping[str, Any] = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "folder",
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str]
    notes: Mapped[list[Note]] = relationship(back_populates="folder", cascade="all, delete-orphan")


class Archive(Folder):
    """A subclass whose own table has no tenant column."""

    __tablename__ = "archive"
    __mapper_args__: Mapping[str, Any] = {"polymorphic_identity": "archive"}

    id: Mapped[int] = mapped_column(ForeignKey("folder.id"), primary_key=True)
    shelf: Mapped[str]


class Note(TenantScoped, Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    folder_id: Mapped[int] = mapped_column(ForeignKey("folder.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("note.id"))
    folder: Mapped[Folder] = relationship(back_populates="notes")
    children: Mapped[list[Note]] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=note_tag)
    streamed_tags: WriteOnlyMapped[Tag] = relationship(secondary=note_tag, viewonly=True)
    comments: Mapped[list[Comment]] = relationship(cascade="all, delete-orphan")


class Comment(Base):
    """Belongs to a tenant through its note."""

    __tablename__ = "comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("note.id"))
    name: Mapped[str]


class Reaction(Base):
    """Belongs to a tenant through the note of its comment."""

    __tablename__ = "reaction"

    id: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[int] = mapped_column(ForeignKey("comment.id"))
    name: Mapped[str]


class Attachment(Base):
    """Belongs to a tenant as soon as it points to a note."""

    __tablename__ = "attachment"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int | None] = mapped_column(ForeignKey("note.id"))
    name: Mapped[str]


class Country(Base):
    """Shared by all tenants."""

    __tablename__ = "country"
    __table_args__ = (Index("ix_country_name", "name", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Statistic(Base):
    """Has a tenant column and is shared on purpose."""

    __tablename__ = "statistic"
    __tenant_exempt__ = "totals that every tenant may see"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    total: Mapped[int]


Folder.note_count = column_property(
    select(func.count(Note.id))
    .where(Note.folder_id == Folder.id)
    .correlate_except(Note)
    .scalar_subquery(),
    deferred=True,
)


def isolate(sink: MemorySink | None = None) -> Isolation:
    """Build the isolation of these tables."""
    log = EventLog([MemorySink() if sink is None else sink], clock=SystemClock())
    return Isolation(Base, events=log)


def seed(session: Session) -> dict[str, int]:
    """Fill a database below isolation and return ids, ``own_note`` and ``foreign_note`` and so on.

    Some rows cross the line, as they may in a database that was not isolated from the first day.
    """
    ids: dict[str, int] = {}
    made: dict[str, Any] = {}
    for word, tenant in (("own", OWN), ("foreign", FOREIGN)):
        tag = Tag(name=f"{word} tag", tenant_id=tenant)
        folder = Folder(name=f"{word} folder", tenant_id=tenant)
        archive = Archive(name=f"{word} archive", shelf=f"{word} shelf", tenant_id=tenant)
        note = Note(name=f"{word} note", tenant_id=tenant, folder=folder, tags=[tag])
        child = Note(name=f"{word} child", tenant_id=tenant, folder=folder)
        note.children = [child]
        session.add_all([tag, folder, archive, note, child])
        session.flush()
        comment = Comment(name=f"{word} comment", note_id=note.id)
        attachment = Attachment(name=f"{word} attachment", note_id=note.id)
        session.add_all([comment, attachment])
        session.flush()
        reaction = Reaction(name=f"{word} reaction", comment_id=comment.id)
        session.add_all([reaction, Statistic(tenant_id=tenant, total=2)])
        session.flush()
        parts = {
            "tag": tag,
            "folder": folder,
            "archive": archive,
            "note": note,
            "child": child,
            "comment": comment,
            "attachment": attachment,
            "reaction": reaction,
        }
        made |= {f"{word}_{name}": part for name, part in parts.items()}
    session.add_all([Country(name="Iceland"), Attachment(name="loose attachment")])
    made["own_note"].tags.append(made["foreign_tag"])
    crossing = Note(name="foreign crossing", tenant_id=FOREIGN, folder=made["own_folder"])
    session.add(crossing)
    session.flush()
    ids |= {name: part.id for name, part in made.items()}
    ids["foreign_crossing"] = crossing.id
    session.commit()
    return ids


def foreign_state(connection: Connection) -> list[object]:
    """Return everything that belongs to the foreign tenant, and every line that is crossed."""
    state: list[object] = []
    for table in Base.metadata.sorted_tables:
        rows = [tuple(row) for row in connection.execute(select(table))]
        kept = [row for row in rows if any("foreign" in str(value) for value in row)]
        state.append((table.name, sorted(kept, key=str)))
    crossings = (
        select(Note.id)
        .join(Folder, Note.folder_id == Folder.id)
        .where(Note.tenant_id != Folder.tenant_id),
        select(note_tag)
        .join(Note, Note.id == note_tag.c.note_id)
        .join(Tag, Tag.id == note_tag.c.tag_id)
        .where(Note.tenant_id != Tag.tenant_id),
        select(Comment.id, Comment.name).join(Note).where(Note.tenant_id == FOREIGN),
        select(Attachment.id, Attachment.name).join(Note).where(Note.tenant_id == FOREIGN),
        select(Reaction.id).join(Comment).join(Note).where(Note.tenant_id == FOREIGN),
        select(Archive.__table__).join(Folder.__table__).where(Folder.tenant_id == FOREIGN),
        select(note_tag).join(Note).where(Note.tenant_id == FOREIGN),
    )
    state.extend(sorted(map(tuple, connection.execute(query)), key=str) for query in crossings)
    return state
