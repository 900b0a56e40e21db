"""Field types refuse; they never repair."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    create_model,
)

from stockade.validation import (
    EmailAddress,
    Identifier,
    Line,
    Password,
    Slug,
    Text,
    Username,
    UUIDIdentifier,
)
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import PasswordFormat, TextFormat

UUID_TEXT = "123e4567-e89b-42d3-a456-426614174000"
RTL = "\u05d0"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Identifier, "a"),
        (Identifier, "A_z-09"),
        (Identifier, "x" * 64),
        (Slug, "a-b-1"),
        (Username, "ada.lovelace_1"),
        (Line, ""),
        (Line, " two  spaces "),
        (Line, "Ünïcödé 漢字 👩\u200d💻"),
        (Line, "<b>not markup here</b> & ' \""),
        (Line, f"{RTL}\u200f"),
        (Line, "x" * 255),
        (Text, "a\nb\tc\r\nd"),
        (Text, f"{RTL} \u2067abc\u2069"),
        (Text, "x" * 10_000),
        (EmailAddress, "ada+list@example.com"),
        (EmailAddress, "Ada@EXAMPLE.com"),
    ],
)
def test_values_are_accepted_as_they_are(kind: type[Any], value: str) -> None:
    """A value that fits comes back unchanged."""
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Identifier, ""),
        (Identifier, "a\n"),
        (Identifier, "a b"),
        (Identifier, " a"),
        (Identifier, "é"),
        (Identifier, "\uff41"),
        (Identifier, "\u0661"),
        (Identifier, "a/../b"),
        (Identifier, "a'--"),
        (Identifier, "a\0"),
        (Identifier, "x" * 65),
        (Slug, "A"),
        (Slug, "-a"),
        (Slug, "a--b"),
        (Slug, "a-"),
        (Username, "ab"),
        (Username, ".abc"),
        (Username, "abc."),
        (Username, "\u0430dmin"),
        (Username, "admin\u200b"),
        (Username, "x" * 33),
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
        (EmailAddress, "ada"),
        (EmailAddress, "ada@localhost"),
        (EmailAddress, "ada@example.com\n"),
        (EmailAddress, " ada@example.com"),
        (EmailAddress, "Ada <ada@example.com>"),
        (EmailAddress, "a@b@example.com"),
        (EmailAddress, "e\u0301@example.com"),
        (EmailAddress, "x" * 250 + "@example.com"),
        (EmailAddress, "ada@[127.0.0.1]"),
    ],
)
def test_values_are_refused(kind: type[Any], value: str) -> None:
    """A value that does not fit is refused, not trimmed or folded."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


ALL_TEXT = [Identifier, Slug, Username, Line, Text, EmailAddress]


@pytest.mark.parametrize("kind", ALL_TEXT)
@given(value=st.text(max_size=80))
def test_no_type_alters_a_value(kind: type[Any], value: str) -> None:
    """Whatever is accepted is what was sent."""
    adapter = TypeAdapter(kind)
    try:
        accepted = adapter.validate_python(value)
    except ValidationError:
        return
    assert accepted == value


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


class Login(BaseModel):
    password: Password


@pytest.mark.parametrize(
    "value", ["x" * 8, " spaces kept ", "é" * 36, "x" * 72, "\tab and \n more"]
)
def test_passwords_are_kept_as_they_are(value: str) -> None:
    """A password is not trimmed or normalised."""
    assert Login.model_validate({"password": value}).password.get_secret_value() == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 7, "password_too_short"),
        ("x" * 73, "password_too_long"),
        ("é" * 37, "password_too_long"),
        ("x" * 100_000, "password_too_long"),
        ("x" * 8 + "\0y", "password_characters"),
    ],
)
def test_passwords_are_refused(value: str, code: str) -> None:
    """Length counts in bytes at the upper end, where bcrypt would cut."""
    with pytest.raises(ValidationError) as caught:
        Login.model_validate({"password": value})
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_passwords_are_not_shown() -> None:
    """Neither the field nor the model shows the password."""
    login = Login.model_validate({"password": "correct horse"})
    for shown in (repr(login), str(login), login.model_dump_json()):
        assert "correct" not in shown


def test_password_limits_are_settings() -> None:
    """An Argon2 application allows longer passwords, a strict one asks for more."""
    kind = Annotated[SecretStr, PasswordFormat(min_length=15, max_bytes=256)]
    adapter = TypeAdapter(kind)
    adapter.validate_python("x" * 256)
    with pytest.raises(ValidationError):
        adapter.validate_python("x" * 14)

    class Longer(BaseModel):
        password: Password = Field(min_length=12)

    with pytest.raises(ValidationError):
        Longer.model_validate({"password": "x" * 11})


def test_uuids_have_one_spelling() -> None:
    """Only the canonical form of a UUID is accepted."""
    adapter = TypeAdapter(UUIDIdentifier)
    assert adapter.validate_python(UUID_TEXT) == UUID(UUID_TEXT)
    assert adapter.validate_python(UUID(UUID_TEXT)) == UUID(UUID_TEXT)
    for wrong in (
        UUID_TEXT.replace("-", ""),
        f"urn:uuid:{UUID_TEXT}",
        f"{{{UUID_TEXT}}}",
        f"{UUID_TEXT}\n",
        1,
        UUID(UUID_TEXT).bytes,
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
