"""Schemas are compared field by field with the models they are stored in."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    create_model,
    field_validator,
    model_validator,
)
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    func,
    select,
)
from sqlalchemy import Text as TextType
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    registry,
    relationship,
    synonym,
)
from typing_extensions import TypedDict

from stockade.sanitization import RichText
from stockade.validation.columns import ColumnMismatch, MismatchKind, check_columns, stores
from stockade.validation.columns.fields import schemas_in
from stockade.validation.errors import StoredSchemaError
from stockade.validation.schema import Schema
from stockade.validation.types import Line, Password


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    password: Mapped[str] = mapped_column(String(60))


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    subtitle: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(TextType)
    price: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    rank: Mapped[int] = mapped_column(SmallInteger, default=0)
    state: Mapped[str] = mapped_column(String(10), server_default="draft")
    made_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    kind: Mapped[str] = mapped_column("note_kind", String(5))
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship()
    heading: Mapped[str] = synonym("title")
    label: Mapped[str] = column_property(title + " " + body)

    @hybrid_property
    def shown(self) -> str:
        """Return what is shown."""
        return self.title


class NoteCreate(Schema):
    title: Line = Field(max_length=200)
    subtitle: Line | None = Field(default=None, max_length=200)
    body: RichText
    price: Decimal = Field(max_digits=8, decimal_places=2)
    rank: int = Field(default=0, ge=0, le=100)


def found(*schemas: type[Any]) -> list[tuple[str, str, str]]:
    """Check schemas by their names."""
    return [(each.field, each.column, each.kind.value) for each in check_columns(Base, schemas)]


def declared(schema: type[Any], model: Any = Note) -> list[tuple[str, str, str]]:  # noqa: ANN401 - a model or several
    """Check a schema as declared."""
    mismatches = check_columns(Base, {schema: model})
    return [(each.field, each.column, each.kind.value) for each in mismatches]


def test_what_fits_passes() -> None:
    """A schema whose bounds are those of the columns is no finding, declared or not."""
    assert found(NoteCreate) == []
    assert declared(NoteCreate) == []


def test_what_does_not_fit_is_told() -> None:
    """A finding names schema, field, column and kind, and says what to write."""

    class CreateNote(Schema):
        title: Line = Field(max_length=300)

    (mismatch,) = check_columns(Base, [CreateNote])
    assert isinstance(mismatch, ColumnMismatch)
    assert mismatch.schema.endswith("CreateNote")
    assert (mismatch.field, mismatch.column) == ("title", "notes.title")
    assert mismatch.kind is MismatchKind.TOO_LONG
    assert "Field(max_length=200)" in mismatch.hint
    for part in ("CreateNote.title", "300", "200", "notes.title", mismatch.hint):
        assert part in str(mismatch)
    assert "\n" not in str(mismatch)


def test_plain_models_are_compared() -> None:
    """A model that is no Schema is looked at in the same way."""

    class NoteIn(BaseModel):
        title: str
        price: float
        rank: int

    assert found(NoteIn) == [
        ("title", "notes.title", "too_long"),
        ("price", "notes.price", "out_of_range"),
        ("rank", "notes.rank", "out_of_range"),
    ]


def test_dataclasses_and_typed_dicts_are_compared() -> None:
    """Whatever has fields can be compared."""

    @dataclasses.dataclass
    class NoteInput:
        title: str

    class NotePayload(TypedDict):
        title: str

    assert found(NoteInput, NotePayload) == [("title", "notes.title", "too_long")] * 2


def test_validators_of_the_whole_model_are_looked_behind() -> None:
    """Validators around a model hide nothing."""

    class NoteIn(BaseModel):
        title: str

        @model_validator(mode="after")
        def look(self) -> NoteIn:  # noqa: N804 - this kind of validator is no class method
            return self

        @model_validator(mode="before")
        @classmethod
        def read(cls, value: object) -> object:
            return value

    assert found(NoteIn) == [("title", "notes.title", "too_long")]


def test_attributes_and_columns_have_names() -> None:
    """A column is found by the name of its attribute, by its own, and by an alias of the field."""

    class NoteIn(BaseModel):
        kind: str

    class NoteInput(BaseModel):
        note_kind: str

    class NoteBody(BaseModel):
        sort: str = Field(alias="kind")

    for schema in (NoteIn, NoteInput, NoteBody):
        assert [column for _, column, _ in found(schema)] == ["notes.note_kind"]


def test_synonyms_lead_to_their_column() -> None:
    """Another name of a column is that column."""

    class NoteIn(BaseModel):
        heading: str

    assert found(NoteIn) == [("heading", "notes.title", "too_long")]


class Everything(Schema):
    author: Line = Field(max_length=5_000)
    label: Line = Field(max_length=5_000)
    shown: Line = Field(max_length=5_000)
    tags: Line = Field(max_length=5_000)


def test_fields_without_a_column_are_left_alone() -> None:
    """By name, a field that has no column is none of ours."""

    class NoteCreate(Everything):
        pass

    assert found(NoteCreate) == []


def test_declared_fields_need_a_column() -> None:
    """Where the pair is declared, a field goes somewhere: a column, or a property of the model."""
    assert declared(Everything) == [("tags", "Note", "unknown_column")]


def test_excluded_fields_need_none() -> None:
    """A field that is not dumped is not stored."""

    class NoteCreate(Schema):
        confirm: Line = Field(exclude=True)

    assert declared(NoteCreate) == []


@pytest.mark.parametrize(
    ("name", "annotation", "default", "expected"),
    [
        ("NoteCreate", Line | None, ..., True),
        ("NoteCreate", Line | None, None, True),
        ("NoteUpdate", Line | None, ..., True),
        ("NoteUpdate", Line | None, None, False),
        ("PatchNote", Line | None, None, False),
        ("NoteCreate", Line, None, True),
        ("NoteCreate", Line, ..., False),
    ],
)
def test_null_for_a_column_that_refuses_it(
    name: str,
    annotation: Any,  # noqa: ANN401 - any annotation
    default: Any,  # noqa: ANN401 - any default
    expected: bool,
) -> None:
    """Null is found, but for None in a change, which leaves things as they are."""
    field = Field(default, max_length=200)
    schema = create_model(name, title=(annotation, field), __module__=__name__)
    for result in (found(schema), declared(schema)):
        assert (("title", "notes.title", "nullable") in result) is expected


@pytest.mark.parametrize("name", ["subtitle", "rank", "state", "id"])
def test_null_that_finds_a_place(name: str) -> None:
    """A column that is nullable, has a default or counts by itself takes null."""
    schema = create_model("NoteCreate", **{name: (None, ...)}, __module__=__name__)  # type: ignore[call-overload] # a name in a variable
    assert declared(schema) == []


def test_passwords_are_hashed_by_whoever_stores_them() -> None:
    """By name, a secret is not compared with the column that holds its hash."""

    class AuthorCreate(Schema):
        name: Line = Field(max_length=100)
        password: Password

    assert found(AuthorCreate) == []
    assert declared(AuthorCreate, Author) == [("password", "authors.password", "too_long")]


def test_fields_that_are_stored_elsewhere() -> None:
    """What is named as an exception is left alone, and the rest is not."""

    @stores(Author, elsewhere=("password", "invitation"))
    class SignUp(Schema):
        name: Line = Field(max_length=101)
        password: Password
        invitation: Line

    assert found(SignUp) == [("name", "authors.name", "too_long")]
    assert declared(SignUp, Author) == [("name", "authors.name", "too_long")]


def test_exceptions_name_fields() -> None:
    """An exception for nothing is a mistake."""

    @stores(Author, elsewhere=("pasword",))
    class SignUp(Schema):
        password: Password

    with pytest.raises(StoredSchemaError):
        check_columns(Base, [SignUp])


def test_a_subclass_may_lack_the_field() -> None:
    """An exception is inherited; what the subclass has made of it is its own matter."""

    @stores(Author, elsewhere=("password",))
    class SignUp(BaseModel):
        password: Password

    class Renamed(SignUp):
        name: Line = Field(max_length=100)

    assert found(Renamed) == []


def test_several_models() -> None:
    """Fields can be spread over several tables, and each has to fit where it has a column."""

    @stores(Author, Note)
    class Submission(Schema):
        name: Line = Field(max_length=101)
        title: Line = Field(max_length=201)
        other: Line

    assert found(Submission) == [
        ("name", "authors.name", "too_long"),
        ("title", "notes.title", "too_long"),
        ("other", "Author or Note", "unknown_column"),
    ]


def test_models_have_to_be_mapped() -> None:
    """A class without a table is a mistake."""

    class Loose:
        pass

    with pytest.raises(StoredSchemaError):
        check_columns(Base, {NoteCreate: Loose})


def test_mapped_bases_have_no_table() -> None:
    """The declarative base itself is none of the models."""
    with pytest.raises(StoredSchemaError):
        check_columns(Base, {NoteCreate: Base})


@pytest.mark.parametrize("base", [MetaData(), 1, [MetaData()]], ids=["tables", "number", "list"])
def test_bases_of_wrong_types(base: Any) -> None:  # noqa: ANN401 - wrong types
    """A collection of tables has no classes whose names could be looked at."""
    with pytest.raises(TypeError):
        check_columns(base, [NoteCreate])


def test_registries_and_several_bases() -> None:
    """Models mapped in any way are known."""
    mapping = registry()
    table = Table("pages", mapping.metadata, Column("id", Integer, primary_key=True))
    table.append_column(Column("title", String(5)))

    class Page:
        pass

    class PageCreate(BaseModel):
        title: str

    mapping.map_imperatively(Page, table)
    bases: list[Any] = [mapping, [Base, mapping]]
    for base in bases:
        (mismatch,) = check_columns(base, [PageCreate])
        assert mismatch.column == "pages.title"


def test_columns_of_a_base_class_count() -> None:
    """With joined tables, the columns of all of them are compared."""

    class Parent(Base):
        __tablename__ = "parents"

        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(String(5))

    class Child(Parent):
        __tablename__ = "children"

        id: Mapped[int] = mapped_column(ForeignKey("parents.id"), primary_key=True)
        name: Mapped[str] = mapped_column(String(5))

    class ChildCreate(BaseModel):
        id: int
        title: str
        name: str

    assert found(ChildCreate) == [
        ("id", "children.id", "out_of_range"),
        ("id", "parents.id", "out_of_range"),
        ("title", "parents.title", "too_long"),
        ("name", "children.name", "too_long"),
    ]


def test_broken_relationships_are_none_of_ours() -> None:
    """Looking at columns configures no mapper: that is for the application to do."""

    class Broken(Base):
        __tablename__ = "broken"

        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(String(5))
        missing: Mapped[list[Any]] = relationship("NoSuchModel")

    class BrokenCreate(BaseModel):
        title: str

    try:
        assert found(BrokenCreate) == [("title", "broken.title", "too_long")]
    finally:
        Base.registry._dispose_cls(Broken)
        Base.metadata.remove(Broken.__table__)  # type: ignore[arg-type] # it is a table


def test_selections_are_not_written_to() -> None:
    """What is read from a selection is stored nowhere by itself."""

    class Selected(Base):
        __table__ = select(Note.id, Note.title).subquery("s")  # type: ignore[mutable-override]  # as users write it

    class SelectedCreate(BaseModel):
        id: int | None
        title: str

    assert found(SelectedCreate) == []
    assert declared(SelectedCreate, Selected) == []


def test_validators_that_may_change_a_field() -> None:
    """In a declared pair, a validator behind the maximum is in doubt, and is named."""

    class NoteCreate(Schema):
        title: Line = Field(max_length=200)

        @field_validator("title")
        @classmethod
        def decorate(cls, value: str) -> str:
            return f"*{value}*"

    assert found(NoteCreate) == []
    (mismatch,) = check_columns(Base, {NoteCreate: Note})
    assert mismatch.kind is MismatchKind.TOO_LONG
    assert "NoteCreate" in mismatch.detail


def test_schemas_without_fields_are_none() -> None:
    """A root model has no field that could be a column."""

    class NoteCreate(RootModel[Annotated[str, Field(max_length=5)]]):
        pass

    assert found(NoteCreate) == []


def test_generic_schemas_have_the_name_they_are_given() -> None:
    """A schema that is in another one is found there."""

    class Envelope(BaseModel):
        notes: list[NoteCreate] | dict[str, Author2] | None

    class Author2(BaseModel):
        model_config = ConfigDict(extra="forbid")

    Envelope.model_rebuild(_types_namespace={"Author2": Author2})
    assert set(schemas_in(Envelope)) == {Envelope, NoteCreate, Author2}
