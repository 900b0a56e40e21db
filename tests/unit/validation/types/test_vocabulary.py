"""What holds for every field type, wherever it is declared."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from pydantic import dataclasses as pydantic_dataclasses

import stockade.validation
from stockade.validation import (
    HTTPURL,
    EmailAddress,
    FileName,
    Identifier,
    Int32,
    Int64,
    Line,
    Money,
    Page,
    PageSize,
    ParameterSchema,
    Password,
    PersonName,
    PhoneNumber,
    PublicHTTPURL,
    Schema,
    Slug,
    SortBy,
    Text,
    Token,
    Username,
    UUIDIdentifier,
)
from stockade.validation.bounds import find_unbounded
from stockade.validation.locations import Locations
from stockade.validation.problems import _MESSAGES, describe_errors

T = TypeVar("T")
Sort = Annotated[str, SortBy("title", "created_at")]


@dataclass(frozen=True)
class Sample:
    """A field type with a value that fits, what is made of it, and values that don't fit."""

    kind: Any
    good: str
    made: object
    bad: tuple[str, ...]


def text(kind: object, good: str, *bad: str) -> Sample:
    """Describe a type whose values are strings."""
    return Sample(kind, good, good, bad)


REFERENCE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "field-types.md"
MARK = "5ecret"
"""Part of what is submitted, which no error may show."""

SAMPLES = {
    "EmailAddress": text(EmailAddress, "ada@example.com", f"{MARK}@", "x" * 300 + "@example.com"),
    "FileName": text(FileName, "report.pdf", f"../{MARK}", "x" * 256),
    "HTTPURL": text(HTTPURL, "https://example.com/", f"javascript:{MARK}", f"http://{MARK}@a.de/"),
    "Identifier": text(Identifier, "a_1", f"{MARK} ", "x" * 65),
    "Int32": Sample(Int32, "-3", -3, (MARK, "-2147483649", "2147483648")),
    "Int64": Sample(Int64, "3", 3, (MARK, str(-(2**63) - 1), str(2**63))),
    "Line": text(Line, "A line", f"{MARK}\n", "x" * 256),
    "Money": Sample(Money, "19.90", Decimal("19.90"), (f"{MARK}", "1e5", "9" * 20)),
    "Page": Sample(Page, "3", 3, (f"{MARK}", "0", "10001")),
    "PageSize": Sample(PageSize, "3", 3, (f"{MARK}", "0", "101")),
    "Password": Sample(
        Password, "correct horse", SecretStr("correct horse"), (MARK, f"{MARK}" * 20)
    ),
    "PersonName": text(PersonName, "Ada Lovelace", f"{MARK}", "", "x" * 101),
    "PhoneNumber": text(PhoneNumber, "+442079460018", f"+{MARK}", "+999123456789"),
    "PublicHTTPURL": text(PublicHTTPURL, "https://example.com/", f"http://{MARK}/", MARK),
    "Slug": text(Slug, "a-b", f"{MARK}-", "x" * 65),
    "SortBy": text(Sort, "-title", MARK, "--title"),
    "Text": text(Text, "Two\nlines", f"{MARK}\0", "x" * 10_001),
    "Token": Sample(Token, "x" * 16, SecretStr("x" * 16), (MARK, f"{MARK}" * 3 + "\n")),
    "UUIDIdentifier": Sample(UUIDIdentifier, str(UUID(int=7)), UUID(int=7), (MARK, "7" * 32)),
    "Username": text(Username, "ada", f".{MARK}", "x" * 33),
}
NUMBERS = {"Int32", "Int64", "Page", "PageSize"}
every_type = pytest.mark.parametrize("name", SAMPLES)


class Plain(BaseModel, Generic[T]):
    """A plain Pydantic model."""

    value: T


class Strict(Schema, Generic[T]):
    """A request body."""

    value: T
    maybe: T | None = None
    many: list[T] = Field(default=[], max_length=3)
    named: dict[Identifier, T] = Field(default={}, max_length=3)


class Parameters(ParameterSchema, Generic[T]):
    """Parameters."""

    value: T
    maybe: T | None = None


def of(generic: Any, name: str) -> Any:  # noqa: ANN401 - put together here, unknown to mypy
    """Fill a generic type with a field type."""
    return generic[SAMPLES[name].kind]


def sent(name: str) -> object:
    """Return the value that fits, as JSON sends it."""
    good = SAMPLES[name].good
    return int(good) if name in NUMBERS else good


def test_every_type_is_looked_at() -> None:
    """A type that is offered has a sample here."""
    others = {"ParameterSchema", "Schema", "SortOrder", "resolve_public", "unbounded"}
    types = {
        name
        for name in set(stockade.validation.__all__) - others
        if name == "SortBy" or hasattr(getattr(stockade.validation, name), "__metadata__")
    }
    assert types == set(SAMPLES)


def test_the_reference_names_every_type_and_its_codes() -> None:
    """Each type has one row, and each code of a row has a message."""
    rows = re.findall(
        r"^\| `(\w+)` \| .+ \| .+ \| (.+) \|$", REFERENCE.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(name for name, _ in rows) == sorted(SAMPLES)
    codes = {code for _, cell in rows for code in re.findall(r"`([a-z_]+)`", cell)}
    assert codes <= _MESSAGES.keys()


@every_type
def test_a_type_is_bounded_by_itself(name: str) -> None:
    """No field of the type needs a limit of its own."""
    assert find_unbounded(SAMPLES[name].kind) == []


@every_type
def test_a_type_works_in_a_body(name: str) -> None:
    """Alone, optional, in a list and in a mapping, in a strict and generic model."""
    sample = SAMPLES[name]
    value = sent(name)
    body = of(Strict, name).model_validate(
        {"value": value, "maybe": value, "many": [value, value], "named": {"a": value}}
    )
    assert body.value == body.maybe == body.named["a"] == sample.made
    assert body.many == [sample.made, sample.made]
    assert of(Strict, name)(value=sample.made).maybe is None


@every_type
def test_a_type_works_in_json(name: str) -> None:
    """Pydantic's own JSON parser gives the same."""
    sample = SAMPLES[name]
    body = json.dumps({"value": sent(name)})
    for model in (Strict, Plain):
        assert of(model, name).model_validate_json(body).value == sample.made


@every_type
def test_a_type_works_in_parameters(name: str) -> None:
    """Everything arrives as text there."""
    sample = SAMPLES[name]
    read = of(Parameters, name).model_validate({"value": sample.good, "maybe": sample.good})
    assert read.value == read.maybe == sample.made


@every_type
def test_a_type_works_in_plain_classes(name: str) -> None:
    """A plain model, a dataclass and a type adapter need no Schema."""
    sample = SAMPLES[name]

    made: Any = dataclasses.make_dataclass("Made", [("value", sample.kind)])
    checked: Any = pydantic_dataclasses.dataclass(made)
    assert of(Plain, name)(value=sample.good).value == sample.made
    assert checked(sample.good).value == sample.made
    assert TypeAdapter(sample.kind | None).validate_python(sample.good) == sample.made
    assert TypeAdapter(of(list, name)).validate_python([sample.good]) == [sample.made]
    for bad in sample.bad:
        with pytest.raises(ValidationError):
            of(Plain, name)(value=bad)
        with pytest.raises(ValidationError):
            checked(bad)


@every_type
def test_a_type_works_on_endpoints(name: str) -> None:
    """FastAPI takes it in the path, in the query and in a body, and documents all three."""
    sample = SAMPLES[name]
    app = FastAPI()

    def read(value: Any) -> bool:  # noqa: ANN401 - annotated below
        return bool(value == sample.made)

    read.__annotations__["value"] = sample.kind
    app.get("/query")(read)

    def post(body: Any) -> bool:  # noqa: ANN401 - annotated below
        return bool(body.value == sample.made)

    post.__annotations__["body"] = of(Strict, name)
    app.post("/body")(post)
    client = TestClient(app)
    assert client.get("/query", params={"value": sample.good}).json() is True
    assert client.post("/body", json={"value": sent(name)}).json() is True
    assert client.get("/query", params={"value": sample.bad[0]}).status_code == 422
    assert client.get("/openapi.json").status_code == 200


@every_type
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_a_type_has_a_json_schema(name: str, mode: Any) -> None:  # noqa: ANN401 - a literal of Pydantic
    """Each can be documented, without an example of a secret, and as what JSON Schema knows."""
    shown = TypeAdapter(SAMPLES[name].kind).json_schema(mode=mode)
    assert shown
    assert not {"default", "example", "examples"} & set(shown)
    assert r"\p{" not in json.dumps(shown)


@every_type
def test_each_refusal_has_a_message_and_repeats_nothing(name: str) -> None:
    """Whatever is wrong, the answer has a stable code and a rule in words, and no value."""
    sample = SAMPLES[name]
    for model in (of(Strict, name), of(Parameters, name)):
        for bad in sample.bad:
            with pytest.raises(ValidationError) as caught:
                model.model_validate({"value": bad})
            assert MARK not in str(caught.value)
            problems = describe_errors(caught.value.errors(), locations=Locations.of(model))
            for problem in problems:
                assert problem.pointer == "/value"
                assert problem.code in _MESSAGES
                assert MARK not in repr(problem)


@every_type
@pytest.mark.parametrize("wrong", [None, True, 1.5, [], {}, [["a"]], b"abc", object()], ids=repr)
def test_other_kinds_are_refused_with_a_validation_error(name: str, wrong: object) -> None:
    """What is of another kind never ends in another error, and is never converted."""
    with pytest.raises(ValidationError):
        of(Strict, name).model_validate({"value": wrong})


@every_type
def test_a_lone_surrogate_and_a_nul_are_refused(name: str) -> None:
    """Neither a database nor UTF-8 could hold them."""
    sample = SAMPLES[name]
    adapter = TypeAdapter(sample.kind)
    for piece in ("\0", "\ud800"):
        for value in (piece, sample.good + piece, piece + sample.good):
            with pytest.raises(ValidationError):
                of(Strict, name).model_validate({"value": value})
            if name != "Password":
                with pytest.raises(ValidationError):
                    adapter.validate_python(value)


@every_type
@pytest.mark.parametrize(
    "config",
    [
        ConfigDict(regex_engine="python-re"),
        ConfigDict(str_max_length=5_000),
        ConfigDict(coerce_numbers_to_str=True),
    ],
    ids=str,
)
def test_configurations_open_no_type(name: str, config: ConfigDict) -> None:
    """What a plain model says of all its strings takes nothing from the type."""
    sample = SAMPLES[name]

    class Model(BaseModel):
        model_config = config
        value: sample.kind  # type: ignore[name-defined] # put together here

    for bad in sample.bad:
        with pytest.raises(ValidationError):
            Model(value=bad)


ANYTHING = st.text(max_size=60) | st.text(
    alphabet="aZ0-._@/:+='\\ \n\t\0\u0301\u200d\u202e\uff0f\u0661é漢", max_size=24
)
# Pydantic reads numbers in a few more spellings, which are all the same number.
ADAPTERS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(sample.kind) for name, sample in SAMPLES.items() if name not in NUMBERS
}


@pytest.mark.parametrize("name", ADAPTERS)
@given(data=st.data())
def test_no_type_alters_a_value(name: str, data: st.DataObject) -> None:
    """Any text is refused with a declared code, or comes back as it was sent."""
    value = data.draw(ANYTHING | st.just(SAMPLES[name].good))
    try:
        accepted = ADAPTERS[name].validate_python(value)
    except ValidationError as error:
        codes = {each["type"] for each in error.errors()}
    else:
        codes = set()
        assert spelled(accepted) == (value.lower() if name == "UUIDIdentifier" else value)
    assert codes <= _MESSAGES.keys()


def spelled(value: object) -> str:
    """Return what was made of a value as it is written."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
