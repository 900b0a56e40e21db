"""Telephone numbers have one spelling, and exist."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from stockade.errors import ConfigurationError
from stockade.validation import PhoneNumber, Schema
from stockade.validation.bounds import find_unbounded

NUMBERS = TypeAdapter(PhoneNumber)


@pytest.mark.parametrize(
    "value",
    [
        "+442079460018",
        "+12015550123",
        "+4930123456",
        # The zero of an Italian number is part of it.
        "+390612345678",
        "+819012345678",
        "+80012345678",
        "+5511961234567",
    ],
)
def test_numbers_are_accepted_as_they_are(value: str) -> None:
    """A number in its international spelling comes back unchanged."""
    assert NUMBERS.validate_python(value) == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "string_pattern_mismatch"),
        ("+", "string_pattern_mismatch"),
        ("442079460018", "string_pattern_mismatch"),
        ("00442079460018", "string_pattern_mismatch"),
        ("020 7946 0018", "string_pattern_mismatch"),
        ("+44 20 7946 0018", "string_pattern_mismatch"),
        ("+44-20-7946-0018", "string_pattern_mismatch"),
        ("+44(0)2079460018", "string_pattern_mismatch"),
        ("tel:+442079460018", "string_too_long"),
        ("tel:+4930123456", "string_pattern_mismatch"),
        ("+442079460018;ext=1", "string_too_long"),
        ("+4420794600x1", "string_pattern_mismatch"),
        ("+1800FLOWERS", "string_pattern_mismatch"),
        ("+442079460018\n", "string_pattern_mismatch"),
        ("\uff0b442079460018", "string_pattern_mismatch"),
        ("+44207946001\u0668", "string_pattern_mismatch"),
        ("+0442079460018", "string_pattern_mismatch"),
        ("+4" * 1_000, "string_too_long"),
        ("+4402079460018", "phone_number"),
        ("+999123456789", "phone_number"),
        ("+4", "string_pattern_mismatch"),
        ("+44", "phone_number"),
        ("+12015550", "phone_number"),
        ("+120155501234567", "phone_number"),
        ("+4420794600181234", "string_too_long"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_numbers_are_refused(value: str, code: str) -> None:
    """Another spelling, and a number that no network has given out, are refused."""
    with pytest.raises(ValidationError) as caught:
        NUMBERS.validate_python(value)
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_a_field_can_narrow_the_length() -> None:
    """A column for short numbers is a limit of the field."""

    class Contact(Schema):
        phone: PhoneNumber = Field(max_length=12)

    Contact(phone="+4930123456")
    with pytest.raises(ValidationError):
        Contact(phone="+442079460018")


def test_without_the_extra_the_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses the type without its library is told at the start, and which extra brings it."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ConfigurationError) as caught:
        type("Contact", (Schema,), {"__annotations__": {"phone": PhoneNumber}})
    assert "stockade[phone]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_is_bounded() -> None:
    """The type needs no limit of the field."""
    assert find_unbounded(PhoneNumber) == []


@given(st.from_regex(r"^\+[1-9][0-9]{1,14}$", fullmatch=True))
def test_only_declared_errors_come_out(value: str) -> None:
    """Whatever digits are sent are accepted as they are, or refused with the type's own code."""
    try:
        accepted = NUMBERS.validate_python(value)
    except ValidationError as error:
        codes = [each["type"] for each in error.errors()]
    else:
        codes = []
        assert accepted == value
    assert codes in ([], ["phone_number"])
