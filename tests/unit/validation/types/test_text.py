"""Text is held to an allow-list, and never altered."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from stockade.validation import Identifier, Line, Slug, Text, Username
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import TextFormat

RTL = "\u05d0"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Line, ""),
        (Line, " two  spaces "),
        (Line, "Ünïcödé 漢字 👩\u200d💻"),
        (Line, "<b>not markup here</b> & ' \""),
        (Line, f"{RTL}\u200f"),
        (Line, "x" * 255),
        (Text, "a\nb\tc\r\nd"),
        (Text, f"{RTL} \u2067abc\u2069"),
        (Text, "x" * 10_000),
    ],
)
def test_values_are_accepted_as_they_are(kind: type[Any], value: str) -> None:
    """A value that fits comes back unchanged."""
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Line, "a\nb"),
        (Line, "a\rb"),
        (Line, "a\tb"),
        (Line, "a\0b"),
        (Line, "a\x1bb"),
        (Line, "a\x7fb"),
        (Line, "a\x85b"),
        (Line, "a\u2028b"),
        (Line, "a\u202eb"),
        (Line, "a\u2066b"),
        (Line, "a\ud800"),
        (Line, "x" * 256),
        (Text, "a\rb"),
        (Text, "a\0b"),
        (Text, "a\x08b"),
        (Text, "a\u202eb"),
        (Text, "a\udfff"),
        (Text, "x" * 10_001),
    ],
)
def test_values_are_refused(kind: type[Any], value: str) -> None:
    """A value that does not fit is refused, not trimmed or folded."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@given(st.text(alphabet=st.characters(categories=["Cc", "Zl", "Zp", "Cf", "Lu", "Nd"]), max_size=9))
def test_a_line_has_no_breaks(value: str) -> None:
    """An accepted line is one line to everybody who splits lines."""
    try:
        accepted = TypeAdapter(Line).validate_python(value)
    except ValidationError:
        return
    assert len(accepted.splitlines()) <= 1


@pytest.mark.parametrize("kind", [Identifier, Slug, Username])
def test_trailing_newline_is_refused_under_any_engine(kind: type[Any]) -> None:
    """A model that chooses Python's engine, whose "$" allows a newline, changes nothing."""
    config = ConfigDict(regex_engine="python-re")
    model = create_model("Model", __config__=config, value=(kind, ...))
    with pytest.raises(ValidationError):
        model(value="abc\n")


def test_fields_narrow_a_type_in_both_spellings() -> None:
    """A limit on the field replaces the default one, as assignment and as annotation."""

    class Model(BaseModel):
        first: Line = Field(max_length=3)
        second: Annotated[Line, Field(max_length=3)] = ""
        third: Line | None = Field(None, max_length=3)
        wide: Line = Field("", max_length=300)

    assert Model(first="abc", third=None).third is None
    Model(first="abc", second="abc", third="abc", wide="x" * 300)
    for field in ("first", "second", "third"):
        with pytest.raises(ValidationError):
            Model(**{"first": "abc", field: "abcd"})


def test_a_pattern_on_the_field_does_not_replace_ours() -> None:
    """Both patterns hold."""

    class Model(BaseModel):
        first: Identifier = Field(pattern="^a")
        second: Annotated[Identifier, Field(pattern="^a")] = "a"

    Model(first="ab", second="ab")
    for field in ("first", "second"):
        for wrong in ("b", "a b"):
            with pytest.raises(ValidationError):
                Model(**{"first": "a", field: wrong})


def test_formats_belong_on_strings() -> None:
    """A format on another type stops the start."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[int, TextFormat("^a$", 1)])


def test_openapi_shows_pattern_and_length() -> None:
    """Clients can see what is accepted, in a pattern that JavaScript reads the same."""
    schema = TypeAdapter(Line).json_schema()
    assert schema["maxLength"] == 255
    assert "\\u202a-\\u202e" in schema["pattern"]


def test_a_pattern_of_its_own_dialect_is_not_shown() -> None:
    """The JSON schema of a pattern that only Rust reads has none, and keeps the field's own."""

    class Model(BaseModel):
        bare: Annotated[str, TextFormat(r"^\p{L}+$", 9, portable=False)]
        narrowed: Annotated[str, TextFormat(r"^\p{L}+$", 9, portable=False)] = Field(pattern="^a")

    shown = Model.model_json_schema()["properties"]
    assert "pattern" not in shown["bare"]
    assert shown["narrowed"]["pattern"] == "^a"
