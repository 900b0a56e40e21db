"""What belongs together is found, and what may be strangers is left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stockade.errors import ConfigurationError
from stockade.validation.columns.pairing import (
    Pair,
    declared_pairs,
    is_partial,
    pair_schemas,
    require_fields,
    stores,
)
from stockade.validation.errors import StoredSchemaError


def make(name: str, module: str) -> type[Any]:
    """Make a class as if a module had defined it."""
    return type(name, (), {"__module__": module})


def paired(schema: type[Any], *models: type[Any], modules: tuple[str, ...] = ()) -> str | None:
    """Return the name of the model that a schema is paired with."""
    found = pair_schemas([schema], models, modules=modules)
    return found[0].models[0].__name__ if found else None


@pytest.mark.parametrize(
    "name",
    [
        *("Note", "NoteCreate", "NoteUpdate", "NoteIn", "CreateNote", "NotePatch", "PatchNote"),
        *("NoteInput", "NoteWrite", "NoteBase", "NewNote", "NoteCreateRequest", "NoteSchema"),
        *("CreateNoteSchema", "NoteDTO", "NotePayload", "EditNoteForm", "UpsertNote", "NoteBody"),
        *("NoteCreate[int]", "NoteCreate[Annotated[str, Other]]"),
    ],
)
@pytest.mark.parametrize("model", ["Note", "NoteModel", "NoteORM", "DBNote", "NoteTable"])
def test_names_that_belong_together(name: str, model: str) -> None:
    """Words that say the role of a class are no part of its name."""
    assert paired(make(name, "shop.notes"), make(model, "shop.notes")) == model


@pytest.mark.parametrize(
    "name",
    [
        *("NoteOut", "NoteRead", "NoteResponse", "NotePublic", "Notes", "NotesCreate", "Keynote"),
        *(
            "KeynoteCreate",
            "NotebookCreate",
            "Create",
            "CreateUpdate",
            "FootNoteCreate",
            "NoteList",
        ),
        *("NoteFilter", "NoteQuery"),
    ],
)
def test_names_that_do_not(name: str) -> None:
    """What is shown, asked for, or of another name is not stored there."""
    assert paired(make(name, "shop.notes"), make("Note", "shop.notes")) is None


def test_the_longest_name_counts() -> None:
    """A model that has a role in its own name is meant before the one that has not."""
    models = [make("Note", "shop.notes"), make("NoteForm", "shop.notes")]
    assert paired(make("NoteFormCreate", "shop.notes"), *models) == "NoteForm"
    assert paired(make("NoteCreate", "shop.notes"), *models) == "Note"


def test_names_of_several_words() -> None:
    """Acronyms and numbers are words, too."""
    assert paired(make("CreateAPIKey", "a.b"), make("APIKey", "a.b")) == "APIKey"
    assert paired(make("Oauth2ClientIn", "a.b"), make("Oauth2Client", "a.b")) == "Oauth2Client"


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        ("shop.notes", "shop.notes"),
        ("database.notes.schemas", "database.notes.models"),
        ("shop.schemas.note", "shop.models.note"),
        ("shop.schemas.notes", "shop.models.note"),
        ("shop.schemas", "shop.models"),
        ("shop.schemas.note", "shop.models"),
        ("shop.notes.schemas", "shop.models"),
        ("shop.notes.api", "shop.notes.models"),
        ("shop.api.v1", "shop.api.models"),
        ("shop.notes.apis", "shop.db.models"),
    ],
)
def test_modules_of_one_family(schema: str, model: str) -> None:
    """The usual layouts are known."""
    assert paired(make("NoteCreate", schema), make("Note", model)) == "Note"


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        ("shop.notes.schemas", "crm.notes.models"),
        ("shop.crm.schemas", "shop.models"),
        ("shop.crm.notes.schemas", "shop.sales.notes.models"),
        ("shop.notes", "crm.notes"),
        ("shop", "crm"),
        ("schemas", "models"),
        ("library.models", "shop.schemas"),
    ],
)
def test_modules_of_strangers(schema: str, model: str) -> None:
    """Two classes of equal names in different corners may have nothing to do with each other."""
    assert paired(make("NoteCreate", schema), make("Note", model)) is None


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a function
    """Make modules that are loaded, with a file or without."""

    def make_module(name: str, file: str | None = None, **names: object) -> ModuleType:
        module = ModuleType(name)
        if file is not None:
            module.__file__ = str(Path("/srv") / file)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make_module


def test_scripts_of_one_folder(modules: Any) -> None:  # noqa: ANN401 - a function
    """Modules without a package belong together if they are in one folder."""
    modules("models", "app/models.py")
    modules("schemas", "app/schemas.py")
    assert paired(make("NoteCreate", "schemas"), make("Note", "models")) == "Note"


def test_scripts_of_two_folders(modules: Any) -> None:  # noqa: ANN401 - a function
    """And not if they are in two."""
    modules("models", "app/models.py")
    modules("schemas", "other/schemas.py")
    assert paired(make("NoteCreate", "schemas"), make("Note", "models")) is None


def test_a_module_that_imports_the_model(modules: Any) -> None:  # noqa: ANN401 - a function
    """A schema's module that knows the model knows which one is meant."""
    schema, model = make("NoteCreate", "api.bodies"), make("Note", "core.stored")
    assert paired(schema, model) is None
    modules("api.bodies", Note=model)
    assert paired(schema, model) == "Note"


def test_a_model_that_imports_the_schema(modules: Any) -> None:  # noqa: ANN401 - a function
    """It works the other way round."""
    schema, model = make("NoteCreate", "api.bodies"), make("Note", "core.stored")
    modules("core.stored", NoteCreate=schema)
    assert paired(schema, model) == "Note"


def test_an_endpoint_that_knows_both(modules: Any) -> None:  # noqa: ANN401 - a function
    """The module of the endpoint tells, if it knows both and not only one."""
    schema, model = make("NoteCreate", "api.bodies"), make("Note", "core.stored")
    modules("web.one", NoteCreate=schema)
    modules("web.both", NoteCreate=schema, Note=model)
    assert paired(schema, model, modules=("web.one",)) is None
    assert paired(schema, model, modules=("web.both",)) == "Note"


def test_the_nearest_model_is_meant() -> None:
    """Of two models of one name, that of the same module is meant."""
    near, far = make("Note", "shop.notes.api"), make("Note", "shop.notes.models")
    (pair,) = pair_schemas([make("NoteCreate", "shop.notes.api")], [far, near])
    assert pair.models == (near,)


def test_of_two_equals_none_is_meant() -> None:
    """Where nobody can tell, nothing is compared."""
    models = [make("Note", "shop.notes.models"), make("NoteModel", "shop.notes.tables")]
    assert paired(make("NoteCreate", "shop.notes.schemas"), *models) is None


def test_what_is_declared_comes_first() -> None:
    """A declaration wins over the name, and reaches any module."""
    schema, model = make("NoteCreate", "a.b"), make("Memo", "x.y")
    stores(model, elsewhere=("draft",))(schema)
    assert pair_schemas([schema], [make("Note", "a.b")]) == [
        Pair(schema, (model,), declared=True, elsewhere=frozenset({"draft"}))
    ]


def test_what_is_stored_nowhere() -> None:
    """A schema can say that its name means nothing."""
    schema = make("NoteCreate", "a.b")
    stores()(schema)
    assert pair_schemas([schema], [make("Note", "a.b")]) == []


def test_subclasses_are_stored_as_their_base_is() -> None:
    """A declaration is inherited, and can be replaced."""
    model, other = make("Note", "a.b"), make("Memo", "a.b")
    base = stores(model)(make("NoteCreate", "a.b"))
    inheriting = type("Special", (base,), {})
    replacing = stores(other)(type("Other", (base,), {}))
    assert [pair.models for pair in pair_schemas([inheriting, replacing], [])] == [
        (model,),
        (other,),
    ]


@pytest.mark.parametrize(
    ("models", "elsewhere"),
    [(("Note",), ()), ((1,), ()), ((int,), "password"), ((int,), (1,))],
    ids=["name", "number", "one text", "number as a field"],
)
def test_declarations_of_wrong_types(models: tuple[Any, ...], elsewhere: Any) -> None:  # noqa: ANN401 - wrong types
    """Only classes, and names of fields, can be declared."""
    with pytest.raises(TypeError):
        stores(*models, elsewhere=elsewhere)


def test_mappings_declare() -> None:
    """A mapping pairs a schema with a model or with several."""
    schema, one, two = make("A", "a"), make("B", "b"), make("C", "c")
    assert [pair.models for pair in declared_pairs({schema: one})] == [(one,)]
    assert [pair.models for pair in declared_pairs({schema: (one, two)})] == [(one, two)]


@pytest.mark.parametrize("models", ["Note", (1,)], ids=["text", "number"])
def test_mappings_of_wrong_types(models: object) -> None:
    """Only classes can be paired."""
    with pytest.raises(TypeError):
        declared_pairs({make("A", "a"): models})


def test_an_exception_needs_its_field() -> None:
    """An exception for a field that does not exist would hold for nothing."""
    schema = stores(make("Note", "a"), elsewhere=("pasword",))(make("NoteCreate", "a"))
    (pair,) = pair_schemas([schema], [])
    with pytest.raises(StoredSchemaError) as caught:
        require_fields(pair, ["password"])
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.code == "stored_schema"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NoteUpdate", True),
        ("PatchNote", True),
        ("NoteEditForm", True),
        ("NoteCreate", False),
        ("NoteWrite", False),
        ("Updater", False),
    ],
)
def test_partial_schemas_are_known_by_name(name: str, expected: bool) -> None:
    """A change leaves out what stays."""
    assert is_partial(make(name, "a")) is expected
