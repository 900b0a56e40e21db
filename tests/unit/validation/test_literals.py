from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from stockade.validation import Schema


class Level(Enum):
    """A member that a literal can name."""

    HIGH = "high"


class Size(IntEnum):
    """A member that is a number."""

    SMALL = 1


class Colour(StrEnum):
    """A member that is a text."""

    RED = "red"


class Named(Schema):
    """Values that are members of enumerations."""

    size: Literal[Size.SMALL] = Size.SMALL
    colour: Literal[Colour.RED] = Colour.RED


@pytest.mark.parametrize("body", [{"size": 1}, {"colour": "red"}, {"size": Size.SMALL}])
def test_a_member_is_named_by_its_value(body: dict[str, object]) -> None:
    """As JSON spells it."""
    Named.model_validate(body)


@pytest.mark.parametrize("body", [{"size": True}, {"size": 1.0}, {"colour": "blue"}])
def test_what_is_only_equal_is_no_member(body: dict[str, object]) -> None:
    """The same holds for them."""
    with pytest.raises(ValidationError):
        Named.model_validate(body)


class Chosen(Schema):
    """Values of which one has to be sent exactly."""

    number: Literal[1, 2] = 1
    flag: Literal[True] = True
    mixed: Literal["a", 7] = 7
    level: Literal[Level.HIGH, 3] = 3


@pytest.mark.parametrize(
    "body", [{"number": 2}, {"flag": True}, {"mixed": "a"}, {"mixed": 7}, {"level": 3}]
)
def test_a_named_value_is_taken(body: dict[str, object]) -> None:
    """As it is."""
    assert Chosen.model_validate(body).model_dump(exclude_unset=True) == body


@pytest.mark.parametrize(
    "body",
    [
        {"number": True},
        {"number": 1.0},
        {"number": "1"},
        {"number": 3},
        {"number": [1]},
        {"flag": 1},
        {"flag": 1.0},
        {"flag": "true"},
        {"mixed": 7.0},
        {"mixed": "b"},
        {"level": True},
    ],
)
def test_what_is_only_equal_is_refused(body: dict[str, object]) -> None:
    """To Python true is 1 and 1.0 is both; to whoever reads JSON they are not."""
    with pytest.raises(ValidationError) as caught:
        Chosen.model_validate(body)
    assert caught.value.errors()[0]["type"] == "literal_error"


class Cat(Schema):
    """One kind."""

    kind: Literal["cat"]


class Numbered(Schema):
    """Another kind."""

    kind: Literal["dog"]


def test_a_discriminator_stays_readable() -> None:
    """Pydantic finds the kind by it."""
    adapter: TypeAdapter[object] = TypeAdapter(
        Annotated[Cat | Numbered, Field(discriminator="kind")]
    )
    assert adapter.validate_python({"kind": "dog"}) == Numbered(kind="dog")


@pytest.mark.parametrize("text", ["2026-01-31T00:00:00", "2026-01-31 ", "2026-01-31Z", "2026-1-31"])
def test_a_date_has_no_time(text: str) -> None:
    """One that has a time is no date, even at midnight."""
    from datetime import date

    class Day(Schema):
        day: date

    with pytest.raises(ValidationError):
        Day.model_validate({"day": text})
