"""E-mail addresses are held to their form and lengths, in one spelling each."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.validation import EmailAddress

ADDRESSES = TypeAdapter(EmailAddress)
LONG_DOMAIN = ".".join(["d" * 60] * 3)


@pytest.mark.parametrize(
    "value",
    [
        "ada+list@example.com",
        "Ada@EXAMPLE.com",
        "a@b.co",
        "o'brien@example.com",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "a.b.c@sub-domain.example.co.uk",
        "l" * 64 + "@example.com",
        "a@" + "d" * 63 + ".com",
        "l" * 64 + f"@{LONG_DOMAIN}.com",
        "ada@m\u00fcnchen.de",
        "ada@xn--mnchen-3ya.de",
        "\u00e9" * 32 + "@example.com",
        "\u7528\u6237@\u4f8b\u5b50.\u516c\u53f8",
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_addresses_are_accepted_as_they_are(value: str) -> None:
    """An address comes back unchanged, capitals and all."""
    assert ADDRESSES.validate_python(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@example",
        "ada@example.com\n",
        "ada@example.com\r\nBcc: all@example.com",
        " ada@example.com",
        "ada @example.com",
        "ada@example.com,bob@example.com",
        "Ada <ada@example.com>",
        "a@b@example.com",
        '"ada@home"@example.com',
        "ada(home)@example.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..b@example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@exa_mple.com",
        "ada@.com",
        "ada@example.com.",
        "ada@[127.0.0.1]",
        "ada@127.0.0.1",
        "ada@example.123",
        "ada@ab--cd.com",
        "ada@xn--0.com",
        # Lengths are in bytes, and both parts have their own.
        "l" * 65 + "@example.com",
        "\u00e9" * 33 + "@example.com",
        "a@" + "d" * 64 + ".com",
        "l" * 64 + f"@{LONG_DOMAIN}.info.com",
        "x" * 250 + "@example.com",
        "\u00e9" * 30 + "@" + "\u00e4" * 40 + "." + "\u00e4" * 40 + ".ab" * 26 + ".de",
        "a@" + "a." * 200 + "com",
        # Another spelling of an address that somebody else may have.
        "e\u0301@example.com",
        "ada@\uff45xample.com",
        "ada@example\u3002com",
        "ada@M\u00dcNCHEN.de",
        "ad\u200ba@example.com",
        "ada@exam\u00adple.com",
        "ada\u202e@example.com",
        "ada\0@example.com",
        # Names that no mail is sent to.
        "ada@example.test",
        "ada@example.invalid",
        "ada@printer.local",
        "ada@a.localhost",
        "ada@hidden.onion",
        "ada@1.0.0.127.in-addr.arpa",
        "ada@EXAMPLE.TEST",
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    """A list, a comment, a header and a second spelling are no address."""
    with pytest.raises(ValidationError) as caught:
        ADDRESSES.validate_python(value)
    (error,) = caught.value.errors()
    assert error["type"] in {"email", "string_too_long"}


def test_a_field_can_not_allow_more_than_mail_does() -> None:
    """A wider limit of the field stops the library from nothing; a narrower one holds."""

    class Model(BaseModel):
        wide: EmailAddress = Field(default="a@b.co", max_length=10_000)
        narrow: EmailAddress = Field(default="a@b.co", max_length=12)

    with pytest.raises(ValidationError):
        Model(wide="a@" + "a." * 200 + "com")
    with pytest.raises(ValidationError):
        Model(narrow="ada@example.com")


def test_clients_see_that_it_is_an_address() -> None:
    """The JSON schema has the format and the length."""
    assert ADDRESSES.json_schema() == {"type": "string", "format": "email", "maxLength": 254}


_LOCAL = st.text(alphabet="aZ0.!+_-\u00e9", min_size=1, max_size=70)
_DOMAIN = st.lists(st.text(alphabet="aZ0-x\u00e9", min_size=1, max_size=8), max_size=4).map(
    ".".join
)
_TOP = st.sampled_from(["com", "test", "local", "c", "1", "INVALID", "xn--p1ai", "x-y", "de."])


@given(st.tuples(_LOCAL, _DOMAIN, _TOP).map(lambda parts: f"{parts[0]}@{parts[1]}.{parts[2]}"))
def test_the_short_way_takes_nothing_that_the_library_refuses(value: str) -> None:
    """Whatever is accepted is an address to the library, too, and comes back as it was."""
    try:
        accepted = ADDRESSES.validate_python(value)
    except ValidationError:
        return
    assert accepted == value
    try:
        validate_email(value, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        pytest.fail(f"{value!r}: {error}")


@given(st.emails())
def test_ordinary_addresses_are_accepted_where_the_library_accepts_them(value: str) -> None:
    """The short way refuses nothing by itself."""
    try:
        validate_email(value, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return
    if "--" not in value:
        assert ADDRESSES.validate_python(value) == value
