"""Show that what teams write every day keeps working on an isolated engine."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, exists, func, insert, literal_column, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import aliased, selectinload, undefer, with_polymorphic

from stockade.core import TenantId
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import (
    OWN,
    Archive,
    Attachment,
    Comment,
    Country,
    Folder,
    Note,
    Reaction,
    Statistic,
    Tag,
    foreign_state,
    note_tag,
)

NEW = TenantId("tenant-new")


def test_new_object_shows_its_tenant(database: Database) -> None:
    """An object added without a tenant has the session's after the flush."""
    with database.factory(OWN) as session:
        tag = Tag(name="mine")
        session.add(tag)
        session.flush()
        assert tag.tenant_id == OWN


def test_own_tenant_may_be_given(database: Database) -> None:
    """Code that already writes the tenant keeps working."""
    with database.factory(OWN) as session:
        session.add(Tag(name="a", tenant_id=OWN))
        session.execute(insert(Tag).values(name="b", tenant_id=OWN))
        session.execute(insert(Tag), [{"name": "c", "tenant_id": OWN}, {"name": "d"}])
        session.execute(
            update(Tag), [{"id": database.ids["own_tag"], "tenant_id": OWN, "name": "e"}]
        )
        session.commit()
        assert set(session.scalars(select(Tag.name))) == {"a", "b", "c", "d", "e"}


def test_tree_is_written_at_once(database: Database) -> None:
    """A graph of new objects, with an association and a self-reference, is flushed as one."""
    with database.factory(NEW) as session:
        note = Note(name="top", tags=[Tag(name="x")], folder=Folder(name="f"))
        note.children = [Note(name="below", folder=note.folder)]
        note.comments = [Comment(name="c")]
        session.add(note)
        session.commit()
        session.expire_all()
        assert [tag.name for tag in note.tags] == ["x"]
        assert [child.name for child in note.children] == ["below"]
        assert session.scalar(select(func.count()).select_from(note_tag)) == 1


def test_association_is_changed(database: Database) -> None:
    """Objects are taken off and put on an association."""
    with database.factory(OWN) as session:
        note = session.get_one(Note, database.ids["own_note"])
        assert [tag.name for tag in note.tags] == ["own tag"]
        note.tags = [Tag(name="other")]
        session.commit()
        session.expire_all()
        assert [tag.name for tag in note.tags] == ["other"]


def test_cascade_deletes(database: Database) -> None:
    """Deleting an object deletes what hangs on it, and nothing of another tenant."""
    before = database.look(foreign_state)
    with database.factory(NEW) as session:
        folder = Folder(name="f", notes=[Note(name="n", comments=[Comment(name="c")])])
        session.add(folder)
        session.commit()
        session.delete(folder)
        session.commit()
        for model in (Folder, Note, Comment):
            assert session.scalars(select(model)).all() == []
    assert database.look(foreign_state) == before


def test_inheritance(database: Database) -> None:
    """A joined subclass is added, loaded through its base, changed and deleted."""
    with database.factory(NEW) as session:
        session.add(Archive(name="a", shelf="1"))
        session.commit()
        session.expunge_all()
        found = session.scalars(select(Folder)).one()
        assert isinstance(found, Archive)
        found.name, found.shelf = "b", "2"
        session.commit()
        rows = session.execute(select(with_polymorphic(Folder, [Archive]))).all()
        assert len(rows) == 1
        session.delete(found)
        session.commit()
        assert session.scalars(select(Archive)).all() == []


def test_bulk_insert_of_a_subclass(database: Database) -> None:
    """One statement for two tables stamps the table that has the tenant."""
    with database.factory(NEW) as session:
        session.execute(insert(Archive), [{"name": str(n), "shelf": "s"} for n in range(3)])
        session.commit()
        assert set(session.scalars(select(Archive.tenant_id))) == {NEW}
        session.execute(
            update(Archive), [{"id": a.id, "shelf": "t"} for a in session.scalars(select(Archive))]
        )
        assert set(session.scalars(select(Archive.shelf))) == {"t"}


def test_insert_returning(database: Database) -> None:
    """Many rows come back in order with their keys."""
    with database.factory(NEW) as session:
        rows = [{"name": str(number)} for number in range(1500)]
        made = session.scalars(insert(Tag).returning(Tag, sort_by_parameter_order=True), rows).all()
        assert [tag.name for tag in made] == [row["name"] for row in rows]
        assert {tag.tenant_id for tag in made} == {NEW}


def test_upsert_of_own_row(database: Database) -> None:
    """An upsert finds the tenant's row by its key and by a key with the tenant in it."""
    with database.factory(OWN) as session:
        by_key = upsert(Tag).values(id=database.ids["own_tag"], name="a")
        session.execute(by_key.on_conflict_do_update(index_elements=["id"], set_={"name": "a"}))
        by_name = upsert(Tag).values(name="a")
        session.execute(
            by_name.on_conflict_do_update(
                index_elements=["tenant_id", "name"], set_={"name": "b"}, where=Tag.id > 0
            )
        )
        assert session.scalars(select(Tag.name)).all() == ["b"]


def test_upsert_keeps_references(database: Database) -> None:
    """A verified reference may be taken from the row that was to be inserted."""
    with database.factory(OWN) as session:
        values = {
            "id": database.ids["own_comment"],
            "note_id": database.ids["own_child"],
            "name": "c",
        }
        statement = upsert(Comment).values(values)
        moved = {"note_id": statement.excluded.note_id, "name": statement.excluded.name}
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=moved))
        assert session.scalars(select(Comment.note_id)).one() == database.ids["own_child"]


def test_column_property_and_loading(database: Database) -> None:
    """Computed columns, eager loads and pages count the tenant's rows."""
    with database.factory(OWN) as session:
        counted = undefer(Folder.note_count)  # type: ignore[attr-defined]
        page = (
            select(Folder).options(counted, selectinload(Folder.notes)).order_by(Folder.id).limit(1)
        )
        folder = session.scalars(page).one()
        assert folder.note_count == len(folder.notes) == 2  # type: ignore[attr-defined]
        assert session.scalar(select(func.count()).select_from(page.subquery())) == 1


def test_recursive_tree(database: Database) -> None:
    """A recursive query walks down the tenant's tree."""
    with database.factory(OWN) as session:
        top = select(Note.id, Note.name).where(Note.parent_id.is_(None)).cte(recursive=True)
        below = aliased(Note)
        tree = top.union_all(select(below.id, below.name).join(top, below.parent_id == top.c.id))
        assert session.scalars(select(tree.c.name)).all() == ["own note", "own child"]


def test_locks_and_savepoints(database: Database) -> None:
    """FOR UPDATE works; a savepoint that is rolled back leaves the tenant in place."""
    with database.factory(OWN) as session:
        assert len(session.scalars(select(Note).with_for_update()).all()) == 2
        savepoint = session.begin_nested()
        session.execute(delete(Reaction))
        savepoint.rollback()
        assert session.scalars(select(Reaction.name)).all() == ["own reaction"]


def test_shared_and_exempt_tables(database: Database) -> None:
    """Tables without a tenant, and those exempt with a reason, are everybody's."""
    with database.factory(OWN) as session:
        session.add(Country(name="Norway"))
        session.execute(insert(Country).from_select(["name"], select(Folder.name)))
        session.execute(insert(Statistic).values(tenant_id="anyone", total=1))
        session.commit()
        assert session.scalar(select(func.count()).select_from(Country)) == 4
        assert session.scalar(select(func.count()).select_from(Statistic)) == 3


def test_rows_that_point_nowhere_are_shared(database: Database) -> None:
    """A row whose nullable reference is empty belongs to nobody, so everybody sees it."""
    with database.factory(OWN) as session:
        names = set(session.scalars(select(Attachment.name)))
        assert names == {"own attachment", "loose attachment"}


@pytest.mark.parametrize("text", ["*", "1", "'engineer'", "NULL"])
def test_constant_literals(database: Database, text: str) -> None:
    """A literal_column() that is a constant shows nothing of any row."""
    with database.factory(OWN) as session:
        column = func.count(literal_column(text)) if text == "*" else literal_column(text)
        assert len(session.execute(select(column).select_from(Note)).all()) >= 1


def test_operators(database: Database) -> None:
    """Plain custom operators, regular expressions and JSON paths are understood."""
    with database.factory(OWN) as session:
        query = select(Note.name).where(Note.name.op("LIKE")("own%"), Note.id.op("<>")(0))
        assert len(session.scalars(query).all()) == 2
        found = select(exists().where(Note.name.icontains("NOTE"), ~Note.name.regexp_match("^x")))
        assert session.scalar(found) is True


def test_connection_of_the_session(database: Database) -> None:
    """The Core on the session's connection is as isolated as the session."""
    with database.factory(OWN) as session:
        connection = session.connection()
        assert connection.execute(
            select(Note.__table__.c.tenant_id).distinct()
        ).scalars().all() == [OWN]
        table: Any = Tag.__table__
        result = connection.execute(insert(table), {"name": "core"})
        assert result.inserted_primary_key is not None
