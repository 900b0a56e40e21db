"""Ways to reach another tenant's rows through SQLAlchemy, each with how it must end.

An attack gets the own tenant's session and the ids of all rows, also the foreign ones, and returns
what it saw. It ends ``filtered`` (it ran, and reached nothing foreign), ``refused`` (a
`TenancyError`) or in an ``error`` of the database or of SQLAlchemy, such as a stale row.
"""

# An attack's name says what it tries; statements of every type are passed around.
# ruff: noqa: ANN401, D103
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from sqlalchemy import delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    Session,
    aliased,
    contains_eager,
    joinedload,
    selectinload,
    subqueryload,
    with_loader_criteria,
    with_polymorphic,
)

from tests.unit.tenancy.models import (
    FOREIGN,
    OWN,
    Archive,
    Attachment,
    Base,
    Comment,
    Country,
    Folder,
    Note,
    Reaction,
    Tag,
    note_tag,
)

Ids = dict[str, int]
Ending = Literal["filtered", "refused", "error"]
Run = Callable[[Session, Ids], object]


@dataclass(frozen=True)
class Attack:
    """One way, and how it must end."""

    name: str
    ending: Ending
    run: Run


ATTACKS: list[Attack] = []


def attack(ending: Ending) -> Callable[[Run], Run]:
    """Add a function to the table."""

    def add(run: Run) -> Run:
        ATTACKS.append(Attack(getattr(run, "__name__", "attack"), ending, run))
        return run

    return add


def table_of(model: Any) -> Any:
    """Return the table of a model, as the Core takes it."""
    return model.__table__


def both(session: Session) -> Any:
    """Return the INSERT of the dialect, which knows ON CONFLICT."""
    return (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert


class Hidden(sa.sql.expression.ColumnElement[int]):
    """A construct with a compiler of its own."""

    inherit_cache: bool | None = True
    type: sa.types.TypeEngine[int] = sa.Integer()


@compiles(Hidden)
def _hidden(_element: Hidden, _compiler: object, **_kw: object) -> str:
    return "(SELECT max(name) FROM note)"


def queries() -> dict[str, Callable[[], sa.sql.expression.Executable]]:
    """Return queries that would show every tenant's rows if nothing filtered them."""
    note = table_of(Note)
    alias = aliased(Note)
    tree = select(Note.id, Note.name).where(Note.parent_id.is_(None)).cte(recursive=True)
    below = aliased(Note)
    tree = tree.union_all(select(below.id, below.name).join(tree, below.parent_id == tree.c.id))
    core = note.alias("n")
    near = select(Note.name).where(Note.folder_id == Folder.id).lateral()
    return {
        "select": lambda: select(Note),
        "columns": lambda: select(Note.tenant_id, Note.name),
        "join": lambda: select(Note.name, Folder.name).join(Note.folder),
        "outer_join": lambda: select(Folder.name, Note.name).outerjoin(Folder.notes),
        "full_join": lambda: select(Folder.name, Note.name).join(Folder.notes, full=True),
        "cross_join": lambda: select(Folder.name, Note.name).join(Note, sa.true()),
        "alias": lambda: select(alias),
        "self_join": lambda: select(Note.name, alias.name).outerjoin(
            alias, Note.parent_id == alias.id
        ),
        "subquery": lambda: select(select(Note).subquery().c.name),
        "aliased_subquery": lambda: select(aliased(Note, select(Note).subquery())),
        "cte": lambda: select(select(Note).cte().c.name),
        "recursive_cte": lambda: select(tree.c.name),
        "union": lambda: select(Note.name).union_all(select(Folder.name)),
        "intersect": lambda: select(Note.name).intersect(select(note.c.name)),
        "except": lambda: select(Note.name).except_(select(Folder.name)),
        "lateral": lambda: select(Folder.name, near.c.name).join(near, sa.true()),
        "scalar_subquery": lambda: select(select(func.min(Note.name)).scalar_subquery()),
        "aggregate": lambda: select(func.min(Note.tenant_id)),
        "window": lambda: select(func.min(Note.name).over()),
        "group_by": lambda: select(Note.tenant_id, func.count()).group_by(Note.tenant_id),
        "having": lambda: select(Note.name).group_by(Note.name).having(func.count() >= 1),
        "distinct": lambda: select(Note.name).distinct(),
        "page": lambda: select(Note.name).order_by(Note.id).limit(9).offset(0),
        "or_true": lambda: select(Note.name).where(sa.or_(sa.true(), Note.tenant_id == FOREIGN)),
        "asks_foreign": lambda: select(Note.name).where(Note.tenant_id == FOREIGN),
        "polymorphic": lambda: select(with_polymorphic(Folder, [Archive])),
        "subclass": lambda: select(Archive),
        "subclass_table": lambda: select(table_of(Archive)),
        "core_table": lambda: select(note),
        "core_alias": lambda: select(core.c.name),
        "core_join": lambda: select(sa.join(note, table_of(Folder))),
        "association": lambda: select(note_tag, Tag.name).join(Tag, Tag.id == note_tag.c.tag_id),
        "through_note": lambda: select(Comment.name),
        "through_comment": lambda: select(Reaction.name),
        "through_nullable": lambda: select(Attachment.name),
        "for_update": lambda: select(Note.name).with_for_update(),
        "lambda": lambda: sa.lambda_stmt(lambda: select(Note.name)),
        "from_statement": lambda: select(Note).from_statement(select(note)),
        "values_join": lambda: select(Note.name).join(
            sa.values(sa.column("v", sa.Integer), name="v").data([(1,)]), sa.true()
        ),
        "stream": lambda: select(Note).execution_options(yield_per=1),
        "fresh": lambda: select(Note).execution_options(populate_existing=True),
        "function": lambda: select(func.lower(Note.name)),
        "case": lambda: select(
            sa.case((exists().where(Note.tenant_id == FOREIGN), "foreign"), else_="")
        ),
        "exists": lambda: select(Country.name).where(exists().where(note.c.tenant_id == FOREIGN)),
        "in_subquery": lambda: select(Country.name).where(
            literal("foreign note").in_(select(Note.name))
        ),
        "any": lambda: select(Folder.id).where(Folder.notes.any(Note.name == "foreign crossing")),
        "has": lambda: select(Note.name).where(Note.folder.has(Folder.tenant_id == FOREIGN)),
        "other_binding": lambda: select(Note.name).execution_options(
            stockade_tenant_binding=FOREIGN
        ),
        "own_parameter": lambda: select(Note.name).where(
            Note.tenant_id == sa.bindparam("stockade_tenant_text", FOREIGN)
        ),
        "loader_criteria": lambda: select(Note).options(with_loader_criteria(Note, sa.true())),
        "selectinload": lambda: select(Folder).options(selectinload(Folder.notes)),
        "joinedload": lambda: select(Folder).options(joinedload(Folder.notes)),
        "subqueryload": lambda: select(Folder).options(subqueryload(Folder.notes)),
        "contains_eager": lambda: (
            select(Folder).join(Folder.notes).options(contains_eager(Folder.notes))
        ),
        "column_property": lambda: select(Folder.note_count),  # type: ignore[attr-defined]
    }


OPAQUE: dict[str, Callable[[], Any]] = {
    "text": lambda: text("SELECT name FROM note"),
    "text_columns": lambda: text("SELECT name FROM note").columns(Note.name),
    "text_subquery": lambda: select(
        text("SELECT name FROM note").columns(Note.name).subquery().c.name
    ),
    "text_from_statement": lambda: select(Note).from_statement(text("SELECT * FROM note")),
    "text_where": lambda: select(Note.name).where(text("1=1 OR 1=1")),
    "text_column": lambda: select(text("name")).select_from(Note),
    "text_exists": lambda: select(Country).where(text("EXISTS (SELECT 1 FROM note)")),
    "text_from": lambda: select(sa.column("name")).select_from(text("note")),
    "text_order": lambda: select(Note.name).order_by(text("name")),
    "text_prefix": lambda: select(Note.name).prefix_with("/* */"),
    "text_suffix": lambda: select(Note.name).suffix_with("UNION SELECT name FROM note"),
    "statement_hint": lambda: select(Note.name).with_statement_hint("UNION SELECT name FROM note"),
    "table_hint": lambda: select(Note.name).with_hint(Note, "ONLY"),
    "literal_column": lambda: select(sa.literal_column("(SELECT max(name) FROM note)")),
    "literal_from": lambda: select(sa.literal_column("name")).select_from(Note),
    "light_table": lambda: select(sa.column("name")).select_from(sa.table("note")),
    "light_table_columns": lambda: select(sa.table("note", sa.column("name"))),
    "other_metadata": lambda: select(sa.Table("note", sa.MetaData(), sa.Column("name", sa.String))),
    "master_table": lambda: select(sa.table("sqlite_master", sa.column("sql"))),
    "custom_element": lambda: select(Hidden()),
    "operator": lambda: select(Note.name).where(Note.name.op("IS NULL OR 1 =")(1)),
    "operator_query": lambda: select(Note.name.op("= (SELECT max(name) FROM note) --")("x")),
    "unary_operator": lambda: select(
        sa.sql.elements.UnaryExpression(
            literal(1), operator=sa.sql.operators.custom_op("(SELECT 1) +")
        )
    ),
    "extract_field": lambda: select(sa.extract("1 FROM note) --", func.now())),
    "unquoted_name": lambda: select(sa.column(sa.sql.quoted_name("(SELECT 1)", quote=False))),
    "query_to_xml": lambda: select(func.query_to_xml("SELECT * FROM note", True, True, "")),
    "set_config": lambda: select(func.set_config("app.tenant_id", FOREIGN, True)),
    "load_extension": lambda: select(func.load_extension("evil")),
    "tablesample": lambda: select(sa.tablesample(table_of(Note), 100)),
    "ddl": lambda: sa.schema.CreateTable(sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer))),
    "drop": lambda: sa.schema.DropTable(Base.metadata.tables["note"]),
    "translated_schema": lambda: select(Note.name).execution_options(
        schema_translate_map={None: "other"}
    ),
}


def _add_queries() -> None:
    def runner(make: Callable[[], Any], *, unique: bool = False) -> Run:
        def run(session: Session, _ids: Ids) -> object:
            seen: list[object] = []
            result: Any = session.execute(make())
            if unique:
                result = result.unique()
            for row in result:
                seen.extend(describe(value) for value in row)
            return seen

        return run

    def plain(make: Callable[[], Any]) -> Run:
        return lambda session, _ids: session.connection().execute(make()).all()

    def later(name: str) -> Callable[[], Any]:
        return lambda: queries()[name]()  # noqa: PLW0108 - each run builds its own.

    for name in queries():
        run = runner(later(name), unique=name in {"joinedload", "contains_eager"})
        ATTACKS.append(Attack(f"query_{name}", "filtered", run))
        if "load" not in name and "eager" not in name:
            ATTACKS.append(Attack(f"connection_{name}", "filtered", plain(later(name))))
    for name, make in OPAQUE.items():
        ATTACKS.append(Attack(f"opaque_{name}", "refused", runner(make)))
        ATTACKS.append(Attack(f"connection_opaque_{name}", "refused", plain(make)))


def describe(value: object) -> object:
    """Return what an object shows, with the objects that it leads to."""
    if isinstance(value, Folder):
        return [value.name, value.tenant_id, [note.name for note in value.notes]]
    if isinstance(value, Note):
        parts = (value.tags, value.children, value.comments)
        return [value.name, value.tenant_id, [part.name for found in parts for part in found]]
    return value


_add_queries()


# Objects.


@attack("filtered")
def get_foreign(session: Session, ids: Ids) -> object:
    return session.get(Note, ids["foreign_note"])


@attack("filtered")
def get_through_query(session: Session, ids: Ids) -> object:
    return session.query(Note).filter_by(id=ids["foreign_note"]).all()


@attack("filtered")
def get_subclass(session: Session, ids: Ids) -> object:
    return session.get(Archive, ids["foreign_archive"])


@attack("filtered")
def get_through_owner(session: Session, ids: Ids) -> object:
    return [
        session.get(Comment, ids["foreign_comment"]),
        session.get(Reaction, ids["foreign_reaction"]),
    ]


@attack("filtered")
def lazy_collection(session: Session, ids: Ids) -> object:
    return describe(session.get(Folder, ids["own_folder"]))


@attack("filtered")
def lazy_association(session: Session, ids: Ids) -> object:
    note = session.get(Note, ids["own_note"])
    return describe(note)


@attack("filtered")
def write_only_collection(session: Session, ids: Ids) -> object:
    note = session.get_one(Note, ids["own_note"])
    return [tag.name for tag in session.scalars(note.streamed_tags.select())]


@attack("filtered")
def count_rows(session: Session, ids: Ids) -> object:
    counts = [
        session.scalar(select(func.count()).select_from(kind)) for kind in (Note, Folder, Tag)
    ]
    return "own" if counts == [2, 2, 1] else "foreign"


@attack("error")
def refresh_foreign(session: Session, ids: Ids) -> object:
    note = Note(id=ids["foreign_note"])
    sa.orm.make_transient_to_detached(note)
    session.add(note)
    session.refresh(note)
    return note.name


@attack("error")
def expired_foreign(session: Session, ids: Ids) -> object:
    note = Note(id=ids["foreign_note"])
    sa.orm.make_transient_to_detached(note)
    session.add(note)
    return note.name


@attack("refused")
def attach_foreign(session: Session, ids: Ids) -> object:
    note = Note(id=ids["foreign_note"], tenant_id=FOREIGN, name="foreign")
    sa.orm.make_transient_to_detached(note)
    note.__dict__["tenant_id"] = FOREIGN
    session.add(note)
    return session.get(Note, ids["foreign_note"])


@attack("refused")
def merge_without_loading(session: Session, ids: Ids) -> object:
    note = Note(id=ids["foreign_note"])
    sa.orm.make_transient_to_detached(note)
    return session.merge(note, load=False)


@attack("error")
def merge_over_foreign(session: Session, ids: Ids) -> object:
    session.merge(Note(id=ids["foreign_note"], name="hacked", folder_id=ids["own_folder"]))
    session.flush()
    return []


@attack("refused")
def merge_foreign(session: Session, ids: Ids) -> object:
    return session.merge(Note(id=ids["foreign_note"], tenant_id=FOREIGN, name="hacked"))


# Raw SQL.


@attack("refused")
def driver_sql(session: Session, ids: Ids) -> object:
    return session.connection().exec_driver_sql("SELECT name FROM note").all()


@attack("error" if sa.__version__ >= "2.1" else "refused")
def compiled_elsewhere(session: Session, ids: Ids) -> object:
    bind: Any = session.get_bind()
    plain = type(bind.dialect)()
    compiled: Any = select(Note.name).compile(dialect=plain)
    return session.connection().execute(compiled).all()


@attack("refused")
def reflection(session: Session, ids: Ids) -> object:
    return sa.inspect(session.connection()).get_columns("note")


@attack("refused")
def drop_all(session: Session, ids: Ids) -> object:
    Base.metadata.drop_all(session.connection())
    return []


@attack("refused")
def sequence(session: Session, ids: Ids) -> object:
    return session.connection().scalar(sa.Sequence("s"))


@attack("refused")
def loader_criteria_operator(session: Session, ids: Ids) -> object:
    criteria = with_loader_criteria(Note, Note.name.op("= '' OR 1 =")(1))
    return session.scalars(select(Note).options(criteria)).all()


@attack("filtered")
def parameter_in_execute(session: Session, ids: Ids) -> object:
    return session.scalars(select(Note.name), {"stockade_tenant_text": FOREIGN}).all()


# Changes and deletions.


def _both_updates(name: str, make: Callable[[Ids], Any], ending: Ending = "filtered") -> None:
    def run(session: Session, ids: Ids) -> object:
        session.execute(make(ids))
        return []

    def connection(session: Session, ids: Ids) -> object:
        session.connection().execute(make(ids))
        return []

    ATTACKS.append(Attack(name, ending, run))
    ATTACKS.append(Attack(f"connection_{name}", ending, connection))


_both_updates("update_all", lambda _: update(Note).values(name="hacked"))
_both_updates("update_core", lambda _: update(table_of(Note)).values(name="hacked"))
_both_updates("update_ordered", lambda _: update(Note).ordered_values((Note.name, "hacked")))
_both_updates(
    "update_or", lambda _: update(Note).where(sa.or_(Note.id > 0, sa.true())).values(name="x")
)
_both_updates(
    "update_by_id", lambda ids: update(Note).where(Note.id == ids["foreign_note"]).values(name="x")
)
_both_updates(
    "update_from",
    lambda _: update(table_of(Note)).where(Note.folder_id == Folder.id).values(name=Folder.name),
)
_both_updates(
    "update_correlated",
    lambda _: update(Note).values(name=select(func.min(Tag.name)).scalar_subquery()),
)
_both_updates("update_subclass", lambda _: update(table_of(Archive)).values(shelf="hacked"))
_both_updates("update_through_note", lambda _: update(Comment).values(name="hacked"))
_both_updates("update_through_comment", lambda _: update(Reaction).values(name="hacked"))
_both_updates("update_through_nullable", lambda _: update(Attachment).values(name="hacked"))
_both_updates("move_all", lambda _: update(Note).values(tenant_id=FOREIGN), "refused")
_both_updates("move_core", lambda _: update(table_of(Note)).values(tenant_id=FOREIGN), "refused")
_both_updates("move_expression", lambda _: update(Note).values(tenant_id=Note.name), "refused")
_both_updates("move_null", lambda _: update(Note).values(tenant_id=sa.null()), "refused")
_both_updates(
    "move_ordered", lambda _: update(Note).ordered_values((Note.tenant_id, FOREIGN)), "refused"
)
_both_updates(
    "point_ordered",
    lambda ids: update(Note).ordered_values((Note.folder_id, ids["foreign_folder"])),
    "refused",
)
_both_updates(
    "point_to_foreign", lambda ids: update(Note).values(folder_id=ids["foreign_folder"]), "refused"
)
_both_updates(
    "point_by_expression", lambda _: update(Note).values(folder_id=Note.folder_id + 1), "refused"
)
_both_updates(
    "point_by_query",
    lambda ids: update(Note).values(
        folder_id=select(literal(ids["foreign_folder"])).scalar_subquery()
    ),
    "refused",
)
_both_updates(
    "point_association",
    lambda ids: update(note_tag).values(tag_id=ids["foreign_tag"]),
    "refused",
)
_both_updates(
    "point_nullable", lambda ids: update(Attachment).values(note_id=ids["foreign_note"]), "refused"
)
_both_updates("delete_association", lambda _: delete(note_tag))
_both_updates("delete_attachments", lambda _: delete(Attachment))
_both_updates("delete_reactions", lambda _: delete(Reaction))
_both_updates("delete_core", lambda _: delete(table_of(Reaction)))
_both_updates("delete_or", lambda _: delete(Reaction).where(sa.or_(Reaction.id > 0, sa.true())))
_both_updates("delete_text", lambda _: delete(Reaction).where(text("1=1 OR 1=1")), "refused")
_both_updates(
    "update_text", lambda _: update(Note).where(text("1=1 OR 1=1")).values(name="x"), "refused"
)
_both_updates("update_alias", lambda _: update(table_of(Note).alias()).values(name="x"), "refused")
_both_updates(
    "update_operator",
    lambda _: update(Note).where(Note.name.op("= '' OR 1 =")(1)).values(name="x"),
    "refused",
)


@attack("filtered")
def update_returning(session: Session, ids: Ids) -> object:
    changed = update(Note).values(name="hacked").returning(Note.tenant_id)
    return session.scalars(changed).all()


@attack("filtered")
def delete_returning(session: Session, ids: Ids) -> object:
    return session.scalars(delete(Reaction).returning(Reaction.name)).all()


@attack("filtered")
def query_update(session: Session, ids: Ids) -> object:
    session.query(Note).update({"name": "hacked"})
    return []


@attack("filtered")
def query_delete(session: Session, ids: Ids) -> object:
    session.query(Reaction).delete()
    return []


@attack("filtered")
def update_from_statement(session: Session, ids: Ids) -> object:
    changed = update(Note).values(name="hacked").returning(Note)
    found = session.scalars(select(Note).from_statement(changed)).all()
    return [note.tenant_id for note in found]


@attack("refused")
def move_from_statement(session: Session, ids: Ids) -> object:
    changed = update(Note).values(tenant_id=FOREIGN).returning(Note)
    return session.scalars(select(Note).from_statement(changed)).all()


@attack("error")
def bulk_update_by_key(session: Session, ids: Ids) -> object:
    session.execute(update(Note), [{"id": ids["foreign_note"], "name": "hacked"}])
    return []


@attack("error")
def bulk_update_mappings(session: Session, ids: Ids) -> object:
    session.bulk_update_mappings(sa.inspect(Note), [{"id": ids["foreign_note"], "name": "hacked"}])
    return []


@attack("refused")
def bulk_move(session: Session, ids: Ids) -> object:
    session.execute(update(Note), [{"id": ids["own_note"], "tenant_id": FOREIGN}])
    return []


@attack("refused")
def move_object(session: Session, ids: Ids) -> object:
    session.get_one(Note, ids["own_note"]).tenant_id = FOREIGN
    session.flush()
    return []


@attack("refused")
def point_object(session: Session, ids: Ids) -> object:
    session.get_one(Note, ids["own_note"]).folder_id = ids["foreign_folder"]
    session.flush()
    return []


@attack("refused")
def move_in_rows(session: Session, ids: Ids) -> object:
    moved = update(table_of(Note)).where(Note.id == sa.bindparam("b_id"))
    rows = [{"b_id": ids["own_note"], "tenant_id": FOREIGN, "name": "x"}]
    session.connection().execute(moved, [*rows, *rows])
    return []


@attack("filtered")
def delete_foreign_object(session: Session, ids: Ids) -> object:
    reaction = Reaction(id=ids["foreign_reaction"])
    sa.orm.make_transient_to_detached(reaction)
    session.delete(reaction)
    with pytest.warns(sa.exc.SAWarning, match="0 were matched"):
        session.flush()
    return []


@attack("refused")
def update_in_cte(session: Session, ids: Ids) -> object:
    changed = update(Note).values(name="hacked").returning(Note.name).cte()
    return session.execute(select(changed.c.name)).all()


@attack("refused")
def insert_in_cte(session: Session, ids: Ids) -> object:
    made = insert(Tag).values(name="forged", tenant_id=FOREIGN).returning(Tag.name).cte()
    return session.execute(select(made.c.name)).all()


# Insertions.


def add(session: Session, made: object) -> None:
    """Add an object and write it."""
    session.add(made)
    session.flush()


def _inserts(
    name: str, values: Callable[[Ids], dict[str, Any]], model: Any, ending: Ending
) -> None:
    """Add every way to insert one row."""
    table = model if isinstance(model, sa.Table) else table_of(model)

    def ways(session: Session, ids: Ids) -> dict[str, Callable[[], object]]:
        row = values(ids)
        statement = insert(table).values(row)
        found: dict[str, Callable[[], object]] = {
            "values": lambda: session.execute(insert(model).values(**row)),
            "row": lambda: session.execute(insert(model), row),
            "rows": lambda: session.execute(insert(model), [row, dict(row)]),
            "core": lambda: session.execute(statement),
            "connection": lambda: session.connection().execute(insert(table), [row, dict(row)]),
            "multi": lambda: session.execute(insert(table).values([row, row])),
            "upsert": lambda: session.execute(
                both(session)(table).values(row).on_conflict_do_nothing()
            ),
            "lambda": lambda: session.execute(sa.lambda_stmt(lambda: statement)),
        }
        if model is not table:
            found |= {
                "object": lambda: add(session, model(**row)),
                "mappings": lambda: session.bulk_insert_mappings(sa.inspect(model), [row]),
                "objects": lambda: session.bulk_save_objects([model(**row)]),
                "returning": lambda: session.scalars(insert(model).returning(model), [row]).all(),
            }
        return found

    names = ["values", "row", "rows", "core", "connection", "multi", "upsert", "lambda"]
    if model is not table:
        names += ["object", "mappings", "objects", "returning"]

    def runner(way: str) -> Run:
        return lambda session, ids: ways(session, ids)[way]() and None

    ATTACKS.extend(Attack(f"{name}_{way}", ending, runner(way)) for way in names)


_inserts("insert_foreign", lambda _: {"name": "forged", "tenant_id": FOREIGN}, Tag, "refused")
_inserts(
    "insert_pointing",
    lambda ids: {"name": "forged", "folder_id": ids["foreign_folder"]},
    Note,
    "refused",
)
_inserts(
    "insert_below_foreign",
    lambda ids: {"name": "x", "folder_id": ids["own_folder"], "parent_id": ids["foreign_note"]},
    Note,
    "refused",
)
_inserts(
    "insert_comment",
    lambda ids: {"name": "forged", "note_id": ids["foreign_note"]},
    Comment,
    "refused",
)
_inserts(
    "insert_reaction",
    lambda ids: {"name": "forged", "comment_id": ids["foreign_comment"]},
    Reaction,
    "refused",
)
_inserts(
    "insert_attachment",
    lambda ids: {"name": "forged", "note_id": ids["foreign_note"]},
    Attachment,
    "refused",
)
_inserts(
    "insert_association",
    lambda ids: {"note_id": ids["own_child"], "tag_id": ids["foreign_tag"]},
    note_tag,
    "refused",
)
_both_updates(
    "insert_select_foreign",
    lambda _: insert(Tag).from_select(
        ["tenant_id", "name"], select(literal(FOREIGN), literal("x"))
    ),
    "refused",
)
_both_updates(
    "insert_expression",
    lambda _: insert(Tag).values(name="x", tenant_id=func.lower(FOREIGN)),
    "refused",
)
_both_updates(
    "insert_subclass_row",
    lambda ids: insert(table_of(Archive)).values(id=ids["foreign_folder"], shelf="forged"),
    "refused",
)
_both_updates(
    "insert_without_key", lambda _: insert(table_of(Archive)).values(shelf="forged"), "refused"
)
_both_updates(
    "insert_prefix",
    lambda ids: insert(Tag).prefix_with("OR REPLACE").values(id=ids["foreign_tag"], name="x"),
    "refused",
)


@attack("refused")
def insert_mixed_rows(session: Session, ids: Ids) -> object:
    session.execute(
        insert(Tag), [{"name": "a", "tenant_id": OWN}, {"name": "b", "tenant_id": FOREIGN}]
    )
    return []


@attack("refused")
def insert_named_parameter(session: Session, ids: Ids) -> object:
    named = insert(table_of(Note)).values(name="x", folder_id=sa.bindparam("f"))
    session.connection().execute(named, {"f": ids["foreign_folder"]})
    return []


@attack("refused")
def insert_value_and_row(session: Session, ids: Ids) -> object:
    stated = insert(table_of(Note)).values(folder_id=ids["own_folder"])
    session.connection().execute(stated, {"name": "x", "folder_id": ids["foreign_folder"]})
    return []


@attack("error")
def insert_association_through_object(session: Session, ids: Ids) -> object:
    tag = Tag(id=ids["foreign_tag"])
    sa.orm.make_transient_to_detached(tag)
    session.get_one(Note, ids["own_child"]).tags.append(tag)
    session.flush()
    return []


# Upserts.


@attack("filtered")
def upsert_by_key(session: Session, ids: Ids) -> object:
    upsert = both(session)(Tag).values(id=ids["foreign_tag"], name="hacked")
    session.execute(upsert.on_conflict_do_update(index_elements=["id"], set_={"name": "hacked"}))
    return []


@attack("filtered")
def upsert_by_key_with_where(session: Session, ids: Ids) -> object:
    upsert = both(session)(Tag).values(id=ids["foreign_tag"], name="hacked")
    condition = sa.or_(Tag.id > 0, sa.true())
    session.execute(
        upsert.on_conflict_do_update(index_elements=["id"], set_={"name": "x"}, where=condition)
    )
    return []


@attack("filtered")
def upsert_comment(session: Session, ids: Ids) -> object:
    upsert = both(session)(Comment).values(
        id=ids["foreign_comment"], note_id=ids["own_note"], name="hacked"
    )
    session.execute(upsert.on_conflict_do_update(index_elements=["id"], set_={"name": "hacked"}))
    return []


@attack("filtered")
def upsert_steals_comment(session: Session, ids: Ids) -> object:
    upsert = both(session)(Comment).values(
        id=ids["foreign_comment"], note_id=ids["own_note"], name="x"
    )
    session.execute(
        upsert.on_conflict_do_update(
            index_elements=["id"], set_={"note_id": upsert.excluded.note_id}
        )
    )
    return []


@attack("refused")
def upsert_moves(session: Session, ids: Ids) -> object:
    upsert = both(session)(Tag).values(id=ids["own_tag"], name="x")
    session.execute(
        upsert.on_conflict_do_update(index_elements=["id"], set_={"tenant_id": FOREIGN})
    )
    return []


@attack("refused")
def upsert_points(session: Session, ids: Ids) -> object:
    upsert = both(session)(Comment).values(id=ids["own_comment"], note_id=ids["own_note"], name="x")
    session.execute(
        upsert.on_conflict_do_update(index_elements=["id"], set_={"note_id": ids["foreign_note"]})
    )
    return []


@attack("refused")
def upsert_text_where(session: Session, ids: Ids) -> object:
    upsert = both(session)(Tag).values(id=ids["foreign_tag"], name="x")
    session.execute(
        upsert.on_conflict_do_update(
            index_elements=["id"], set_={"name": "x"}, where=text("1=1 OR 1=1")
        )
    )
    return []
