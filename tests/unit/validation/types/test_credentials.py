"""Passwords and tokens are bounded, unaltered and out of sight."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from stockade.validation import Password, Schema, Token
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import PasswordFormat, TokenFormat


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


def test_json_schema_shows_limits_of_passwords_and_no_example() -> None:
    """A client can tell people the rule before they send anything."""
    assert TypeAdapter(Password).json_schema() == {
        "type": "string",
        "format": "password",
        "writeOnly": True,
        "minLength": 8,
        "maxLength": 72,
    }

    class Longer(BaseModel):
        password: Password = Field(min_length=12)

    assert Longer.model_json_schema()["properties"]["password"]["minLength"] == 12


TOKEN = "3q2-7wAb_Zk9.Qx~+/1=="


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        "x" * 16,
        "x" * 512,
        "0123456789abcdef",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
    ],
)
def test_tokens_are_kept_as_they_are(value: str) -> None:
    """What a bearer token may hold is accepted."""
    assert TypeAdapter(Token).validate_python(value).get_secret_value() == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 15,
        "x" * 513,
        "x" * 1_000_000,
        "x" * 16 + "\n",
        "x" * 16 + "\r\nSet-Cookie: a=b",
        " " + "x" * 16,
        "x" * 16 + " y",
        "x" * 16 + "\0",
        "x" * 16 + "é",
        "\uff41" * 16,
        "\u0661" * 16,
        "x" * 16 + "=y",
        "=" * 16,
        "x" * 16 + "'--",
        "x" * 16 + ",y",
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_tokens_are_refused(value: str) -> None:
    """What could end a header, or read as another token, is no token."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Token).validate_python(value)
    assert [error["type"] for error in caught.value.errors()] == ["token"]


def test_a_token_with_a_lone_surrogate_is_refused() -> None:
    """It can't be encoded, and is no token."""
    with pytest.raises(ValidationError):
        TypeAdapter(Token).validate_python("x" * 16 + "\ud800")


def test_tokens_are_not_shown() -> None:
    """Neither the field, nor the model, nor an error of a Schema shows the token."""

    class Call(Schema):
        token: Token

    call = Call.model_validate({"token": TOKEN})
    with pytest.raises(ValidationError) as caught:
        Call.model_validate({"token": TOKEN + "!"})
    for shown in (repr(call), str(call), call.model_dump_json(), str(caught.value)):
        assert TOKEN[:8] not in shown


def test_token_limits_are_settings() -> None:
    """An application with long tokens says so, and the JSON schema shows it."""
    adapter = TypeAdapter(Annotated[SecretStr, TokenFormat(min_length=20, max_length=600)])
    adapter.validate_python("x" * 600)
    with pytest.raises(ValidationError):
        adapter.validate_python("x" * 19)
    shown = adapter.json_schema()
    assert (shown["minLength"], shown["maxLength"]) == (20, 600)


@pytest.mark.parametrize("kind", [PasswordFormat(), TokenFormat()], ids=repr)
@pytest.mark.parametrize("source", [str, bytes, int, SecretStr | None], ids=str)
def test_formats_of_secrets_belong_on_secrets(kind: object, source: object) -> None:
    """A password in a plain string would be shown everywhere, and stops the start."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[source, kind])  # type: ignore[arg-type] # put together here


@given(st.text(max_size=40) | st.text(alphabet="aZ09-_.~+/=", min_size=10, max_size=30))
def test_a_token_fits_in_a_header(value: str) -> None:
    """Whatever is accepted is one word of visible ASCII."""
    try:
        accepted = TypeAdapter(Token).validate_python(value).get_secret_value()
    except ValidationError:
        return
    assert accepted == value
    assert accepted.isascii()
    assert accepted.isprintable()
    assert len(accepted.split()) == 1
