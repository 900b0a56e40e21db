"""Amounts of money are exact, and have one plain spelling."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.validation import Money, ParameterSchema, Schema
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import MoneyFormat

AMOUNTS = TypeAdapter(Money)


class Price(Schema):
    amount: Money


class Filter(ParameterSchema):
    least: Money = Decimal(0)


READERS: dict[str, Callable[[object], Decimal]] = {
    "adapter": AMOUNTS.validate_python,
    "schema": lambda sent: Price.model_validate({"amount": sent}).amount,
    "parameter": lambda sent: Filter.model_validate({"least": sent}).least,
}


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "19.90",
        "-19.9",
        "0.0001",
        "1.10",
        "999999999999999.9999",
        0,
        19,
        -19,
        Decimal("19.90"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", READERS)
def test_amounts_are_kept_to_the_last_digit(value: object, place: str) -> None:
    """A string, a whole number and a decimal give the decimal that they say."""
    accepted = READERS[place](value)
    assert isinstance(accepted, Decimal)
    assert str(accepted) == str(value)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (19.9, "money"),
        (19.0, "money"),
        (float("nan"), "money"),
        (float("inf"), "money"),
        ("", "money"),
        (" 1", "money"),
        ("1 ", "money"),
        ("1\n", "money"),
        ("+1", "money"),
        ("1e3", "money"),
        ("1E-2", "money"),
        ("1_000", "money"),
        ("1,50", "money"),
        ("1.000,00", "money"),
        ("1.", "money"),
        (".5", "money"),
        ("007", "money"),
        ("-0", "money"),
        ("-0.00", "money"),
        ("0x10", "money"),
        ("NaN", "money"),
        ("sNaN", "money"),
        ("Infinity", "money"),
        ("$5", "money"),
        ("\u0661\u0662", "money"),
        ("\uff11", "money"),
        ("\u2212\u0031", "money"),
        ("1" * 65, "money"),
        ("1" * 1_000_000, "money"),
        ("0.00001", "decimal_max_places"),
        ("1" * 16, "decimal_whole_digits"),
        ("1" * 20, "decimal_max_digits"),
        (10**15, "decimal_whole_digits"),
        (10**1_000, "decimal_max_digits"),
        (Decimal("NaN"), "finite_number"),
        (Decimal("Infinity"), "finite_number"),
        (True, "decimal_type"),
        (None, "decimal_type"),
        (b"1", "decimal_type"),
        ([1], "decimal_type"),
        ((0, (1,), 0), "decimal_type"),
    ],
    ids=lambda value: ascii(value)[:30],
)
@pytest.mark.parametrize("place", READERS)
def test_other_spellings_are_refused(value: object, code: str, place: str) -> None:
    """Binary numbers, exponents, signs, spaces and infinities are no amount."""
    with pytest.raises(ValidationError) as caught:
        READERS[place](value)
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_json_numbers_with_a_fraction_are_refused() -> None:
    """Whoever parses the JSON, a binary number is no amount; a whole number is."""
    assert Price.model_validate_json('{"amount": 19}').amount == 19
    with pytest.raises(ValidationError):
        Price.model_validate_json('{"amount": 19.9}')


def test_fields_set_signs_and_digits() -> None:
    """A field narrows the range, and sets other digits, in both spellings."""

    class Model(BaseModel):
        price: Money = Field(default=Decimal(1), gt=0, max_digits=6, decimal_places=2)
        fee: Annotated[Money, Field(ge=0, decimal_places=2)] = Decimal(1)
        wide: Money = Field(default=Decimal(1), max_digits=30, decimal_places=8)

    Model(price=Decimal("9999.99"), fee=Decimal("0.10"), wide=Decimal("1" * 22 + ".12345678"))
    for wrong in (
        {"price": "0"},
        {"price": "1.001"},
        {"price": "10000"},
        {"fee": "-1"},
        {"fee": "0.001"},
        {"wide": "0.123456789"},
    ):
        with pytest.raises(ValidationError):
            Model.model_validate(wrong)


def test_amounts_stand_on_decimals() -> None:
    """On a float the type would promise what it can't keep."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[float, MoneyFormat()])


def test_clients_see_that_a_string_is_wanted() -> None:
    """The JSON schema has no number with a fraction, and keeps the field's limits."""

    class Model(BaseModel):
        price: Money = Field(ge=1)

    shown = Model.model_json_schema()["properties"]["price"]
    assert [each["type"] for each in shown["anyOf"]] == ["integer", "string"]
    assert shown["anyOf"][0]["minimum"] == 1
    sent = Model.model_json_schema(mode="serialization")["properties"]["price"]
    assert sent["type"] == "string"


def test_amounts_travel_through_an_endpoint() -> None:
    """An amount comes in as a string and goes out as one; a fraction is refused."""
    app = FastAPI()

    @app.post("/prices")
    def post(price: Price) -> Price:
        return price

    client = TestClient(app)
    assert client.post("/prices", json={"amount": "19.90"}).json() == {"amount": "19.90"}
    assert client.post("/prices", json={"amount": 19.9}).status_code == 422
    assert client.get("/openapi.json").status_code == 200


@given(st.text(alphabet="0123456789.-+eE_ ,\u0661", max_size=24) | st.text(max_size=8))
def test_an_accepted_string_is_what_the_decimal_prints(value: str) -> None:
    """Nothing is lost or read another way."""
    try:
        accepted = AMOUNTS.validate_python(value)
    except ValidationError:
        return
    assert format(accepted, "f") == value


@given(st.decimals(min_value=-(10**14), max_value=10**14, allow_nan=False, places=4))
def test_every_amount_that_fits_is_accepted(value: Decimal) -> None:
    """No amount of the usual size has a spelling that is refused."""
    spelled = format(value, "f")
    if value == 0:
        spelled = spelled.removeprefix("-")
    assert AMOUNTS.validate_python(spelled) == value
