"""Random programs of several tenants do what a model says that knows who owns what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, create_engine, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import Session, make_transient, make_transient_to_detached
from sqlalchemy.pool import StaticPool

from stockade.core import TenantId
from stockade.tenancy import CrossTenantError, OpaqueSQLError, SyncTenantSessionFactory
from tests.unit.tenancy.models import Base, Comment, Folder, Note, isolate

TENANTS = [TenantId(name) for name in ("red", "green", "blue")]
tenants = st.sampled_from(TENANTS)
names = st.text("abc", min_size=1, max_size=3)
# Rows are named by their number among all, so that programs hit those of others as often as own.
numbers = st.integers(min_value=0, max_value=30)


class Programs(RuleBasedStateMachine):
    """Folders, the notes in them, and comments, of three tenants in one database."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: dict[int, tuple[str, str]] = {}
        self.notes: dict[int, tuple[str, str, int]] = {}
        self.comments: dict[int, tuple[int, str]] = {}
        self.system: Engine
        self.engine: Engine
        self.factory: SyncTenantSessionFactory
        self.kept: list[Folder] = []

    @initialize()
    def open(self) -> None:
        self.system = create_engine("sqlite://", poolclass=StaticPool)
        Base.metadata.create_all(self.system)
        self.engine = create_engine("sqlite://", pool=self.system.pool)
        isolation = isolate()
        isolation.install(self.engine)
        self.factory = isolation.session_factory(self.engine)

    def teardown(self) -> None:
        self.engine.dispose()
        self.system.dispose()

    def run(
        self, tenant: TenantId, work: Callable[[Session], object], *refusals: type[Exception]
    ) -> bool:
        """Do something in a tenant's session; tell whether it was let through."""
        expected: tuple[type[Exception], ...] = (CrossTenantError, *refusals)
        with self.factory(tenant) as session:
            try:
                work(session)
                session.commit()
            except expected:
                session.rollback()
                return False
        return True

    def pick(self, rows: dict[int, Any], number: int) -> int:
        """Return the key of a row of anybody, or one that is nobody's."""
        keys = sorted(rows)
        return keys[number % len(keys)] if keys and number % 10 else 9000 + number

    def owned(self, rows: dict[int, Any], tenant: TenantId) -> set[int]:
        return {key for key, row in rows.items() if row[0] == tenant}

    def owned_comments(self, tenant: TenantId) -> set[int]:
        notes = self.owned(self.notes, tenant)
        return {key for key, row in self.comments.items() if row[0] in notes}

    @rule(tenant=tenants, name=names, claimed=st.none() | tenants, core=st.booleans())
    def add_folder(
        self, tenant: TenantId, name: str, claimed: TenantId | None, *, core: bool
    ) -> None:
        given = {} if claimed is None else {"tenant_id": claimed}
        made: list[int] = []

        def work(session: Session) -> None:
            if core:
                values = {"name": name, "kind": "folder", **given}
                result: Any = session.connection().execute(insert(Folder.__table__), values)  # type: ignore[arg-type]
                made.append(result.inserted_primary_key[0])
            else:
                folder = Folder(name=name, **given)
                session.add(folder)
                session.flush()
                made.append(folder.id)

        if self.run(tenant, work):
            assert claimed in {None, tenant}
            self.folders[made[0]] = (tenant, name)
        else:
            assert claimed not in {None, tenant}

    @rule(tenant=tenants, number=numbers, name=names)
    def add_note(self, tenant: TenantId, number: int, name: str) -> None:
        folder = self.pick(self.folders, number)
        made: list[int] = []

        def work(session: Session) -> None:
            note = Note(name=name, folder_id=folder)
            session.add(note)
            session.flush()
            made.append(note.id)

        let = self.run(tenant, work)
        assert let == (folder in self.owned(self.folders, tenant))
        if let:
            self.notes[made[0]] = (tenant, name, folder)

    @rule(tenant=tenants, number=numbers, name=names)
    def add_comment(self, tenant: TenantId, number: int, name: str) -> None:
        note = self.pick(self.notes, number)
        made: list[int] = []

        def work(session: Session) -> None:
            row = {"note_id": note, "name": name}
            made.extend(session.scalars(insert(Comment).returning(Comment.id), [row]))

        let = self.run(tenant, work)
        assert let == (note in self.owned(self.notes, tenant))
        if let:
            self.comments[made[0]] = (note, name)

    @rule(tenant=tenants, number=numbers, name=names, how=st.sampled_from(["core", "orm", "bulk"]))
    def rename_folder(self, tenant: TenantId, number: int, name: str, how: str) -> None:
        key = self.pick(self.folders, number)

        def work(session: Session) -> None:
            if how == "core":
                session.execute(update(Folder).where(Folder.id == key).values(name=name))
            elif how == "bulk":
                session.execute(update(Folder), [{"id": key, "name": name}])
            elif (folder := session.get(Folder, key)) is not None:
                folder.name = name

        # An update by key that finds no row is an error of SQLAlchemy's.
        let = self.run(tenant, work, SQLAlchemyError, CrossTenantError)
        if let and key in self.owned(self.folders, tenant):
            self.folders[key] = (tenant, name)

    @rule(tenant=tenants, name=names)
    def rename_everything(self, tenant: TenantId, name: str) -> None:
        assert self.run(tenant, lambda s: s.execute(update(Folder).values(name=name)))
        for key in self.owned(self.folders, tenant):
            self.folders[key] = (tenant, name)

    @rule(tenant=tenants, note=numbers, folder=numbers, core=st.booleans())
    def move_note(self, tenant: TenantId, note: int, folder: int, *, core: bool) -> None:
        key, target = self.pick(self.notes, note), self.pick(self.folders, folder)

        def work(session: Session) -> None:
            if core:
                session.execute(update(Note).where(Note.id == key).values(folder_id=target))
            elif (found := session.get(Note, key)) is not None:
                found.folder_id = target

        let = self.run(tenant, work)
        own = key in self.owned(self.notes, tenant)
        if target in self.owned(self.folders, tenant):
            assert let
            if own:
                self.notes[key] = (tenant, self.notes[key][1], target)
        elif own and self.notes[key][2] != target:
            assert not let

    @rule(tenant=tenants, number=numbers, new=tenants, core=st.booleans())
    def move_to_tenant(self, tenant: TenantId, number: int, new: TenantId, *, core: bool) -> None:
        key = self.pick(self.folders, number)

        def work(session: Session) -> None:
            if core:
                session.execute(update(Folder).where(Folder.id == key).values(tenant_id=new))
            elif (found := session.get(Folder, key)) is not None:
                found.tenant_id = new

        self.run(tenant, work, CrossTenantError, OpaqueSQLError)

    @rule(tenant=tenants, number=numbers, name=names)
    def put_folder(self, tenant: TenantId, number: int, name: str) -> None:
        key = self.pick(self.folders, number)
        values = {"id": key, "name": name, "kind": "folder"}
        statement = upsert(Folder).values(values)
        statement = statement.on_conflict_do_update(index_elements=["id"], set_={"name": name})
        assert self.run(tenant, lambda s: s.execute(statement))
        if key not in self.folders or key in self.owned(self.folders, tenant):
            self.folders[key] = (tenant, name)

    @rule(tenant=tenants, number=numbers, core=st.booleans())
    def delete_note(self, tenant: TenantId, number: int, *, core: bool) -> None:
        key = self.pick(self.notes, number)

        def work(session: Session) -> None:
            if core:
                session.execute(delete(Comment).where(Comment.note_id == key))
                session.execute(delete(Note).where(Note.id == key))
            elif (note := session.get(Note, key)) is not None:
                session.delete(note)

        assert self.run(tenant, work)
        if key in self.owned(self.notes, tenant):
            del self.notes[key]
            self.comments = {k: row for k, row in self.comments.items() if row[0] != key}

    @rule(tenant=tenants)
    def delete_comments(self, tenant: TenantId) -> None:
        assert self.run(tenant, lambda s: s.execute(delete(Comment)))
        for key in self.owned_comments(tenant):
            del self.comments[key]

    @rule(tenant=tenants)
    def keep_objects(self, tenant: TenantId) -> None:
        with self.factory(tenant) as session:
            self.kept = list(session.scalars(select(Folder)))

    @precondition(lambda self: self.kept)
    @rule(tenant=tenants, name=names)
    def bring_objects(self, tenant: TenantId, name: str) -> None:
        """Change an object in the session of a tenant that may not be its own."""
        folder = self.kept.pop()
        key, owner = folder.id, folder.tenant_id

        def work(session: Session) -> None:
            session.add(folder)
            folder.name = name

        let = self.run(tenant, work, CrossTenantError, SQLAlchemyError)
        assert owner == tenant or not let
        if let:
            self.folders[key] = (tenant, name)
        make_transient(folder)

    @rule(tenant=tenants, number=numbers, name=names)
    def forge_object(self, tenant: TenantId, number: int, name: str) -> None:
        """Change a row through an object that claims to have been loaded."""
        key = self.pick(self.folders, number)
        folder = Folder(id=key, kind="folder")
        make_transient_to_detached(folder)

        def work(session: Session) -> None:
            session.add(folder)
            folder.name = name

        if self.run(tenant, work, SQLAlchemyError, InvalidRequestError, CrossTenantError):
            assert key in self.owned(self.folders, tenant)
            self.folders[key] = (tenant, name)

    @rule(tenant=tenants, number=numbers)
    def roll_back(self, tenant: TenantId, number: int) -> None:
        key = self.pick(self.folders, number)
        with self.factory(tenant) as session:
            session.execute(delete(Comment))
            session.execute(update(Folder).where(Folder.id == key).values(name="gone"))
            session.rollback()

    @invariant()
    def everybody_sees_the_own_rows(self) -> None:
        for tenant in TENANTS:
            with self.factory(tenant) as session:
                folders = session.execute(select(Folder.id, Folder.tenant_id, Folder.name))
                notes = session.scalars(select(Note)).all()
                comments = set(session.scalars(select(Comment.id)))
            assert {row.id: (row.tenant_id, row.name) for row in folders} == {
                key: self.folders[key] for key in self.owned(self.folders, tenant)
            }
            assert {n.id: (n.tenant_id, n.name, n.folder_id) for n in notes} == {
                key: self.notes[key] for key in self.owned(self.notes, tenant)
            }
            assert comments == self.owned_comments(tenant)

    @invariant()
    def nothing_else_is_there(self) -> None:
        with Session(self.system) as session:
            assert set(session.scalars(select(Folder.id))) == set(self.folders)
            assert set(session.scalars(select(Note.id))) == set(self.notes)
            assert set(session.scalars(select(Comment.id))) == set(self.comments)


Programs.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPrograms = Programs.TestCase
