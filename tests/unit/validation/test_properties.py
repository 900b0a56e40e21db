"""Arbitrary bodies against arbitrary schemas: what is taken is in bounds and as it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stockade.validation.locations import Locations
from stockade.validation.problems import MAX_PROBLEMS, describe_errors
from tests.unit.validation.kinds import ANY_TEXT, MAX_ITEMS, SCALARS, SCHEMAS, Kind, items, model

# It stands in every text and name that a body should not have: no error may repeat it.
MARKER = "Qz7marker"

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
# A body is changed once it is drawn, and these are drawn again.
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(True, False, None, 0, 1, -1, 1.0, 5.0, 2**63, -(2**63) - 1, 1e308, 10**400, -0.0),
        *(
            "",
            "5",
            "1.5",
            "true",
            "null",
            "NaN",
            "a\0",
            "\ud800",
            "\u202e",
            "a\n",
            " a ",
            "A" * 300,
        ),
        *("2026-01-31T12:00:00", "1700000000", "-0", "1e5", "٣", "12345678901234567890.5"),
        *("{123e4567-e89b-42d3-a456-426614174000}", "javascript:alert(1)", "../a", "ﬀ@a.org"),
        *("http://localhost", "http://a@b.example", "https://python.org.", "+49 30 901820"),
        *([], {}, [[]], {"kind": "a"}, {"kind": "c"}, {"": 1}),
    ]
).map(deepcopy)
MARKED = ANY_TEXT.map(MARKER.__add__)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT | MARKED | ODD,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT | MARKED, inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON value
    """Yield every container in a value, with each of its keys or indexes."""
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in found:
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


@st.composite
def nudged(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Draw what is almost a value: in another type or spelling, or a little longer or larger."""
    if isinstance(value, str):
        end = draw(
            st.sampled_from(["\n", " ", "\0", "\u202e", "\ud800", "a", "é", "0", value * 40])
        )
        spellings = [value + end, end + value, value.upper(), value[1:], [value], {"value": value}]
        return draw(st.sampled_from(spellings))
    if isinstance(value, (bool, int, float)):
        step = draw(st.sampled_from([1, 100, 10_000, 2**63]))
        return draw(
            st.sampled_from(
                [str(value), value % 2**64 / 1, int(value), bool(value), value + step, value - step]
            )
        )
    return draw(st.sampled_from(["null", 0, False, "", [value]]))


@st.composite
def spoiled(draw: st.DrawFn, kind: Kind) -> Any:  # noqa: ANN401 - any JSON value
    """Draw a body that a schema has to take, and change one or two things in it."""
    body = json.loads(json.dumps(draw(kind.values)))
    for _ in range(draw(st.integers(1, 2))):
        there = list(places(body))
        change = draw(st.sampled_from(["replace", "nudge", "add", "drop", "repeat"]))
        if not there or change == "add":
            body[draw(MARKED)] = draw(JSON)
            continue
        container, key = draw(st.sampled_from(there))
        if change == "drop":
            del container[key]
        elif change == "repeat":
            container[key] = [container[key]] * (MAX_ITEMS + 1)
        elif change == "nudge":
            container[key] = draw(nudged(container[key]))
        else:
            container[key] = draw(JSON)
    return body


def check(kind: Kind, body: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Validate a body, and return whether it was taken; what is taken has to fit."""
    adapter = TypeAdapter[Any](kind.annotation)
    try:
        got = adapter.validate_python(body)
    except ValidationError as error:
        check_silence(error, kind)
        return False
    assert kind.fits(body, got)
    return True


def check_silence(error: ValidationError, kind: Kind) -> None:
    """Look for what was sent in what is told of an error."""
    problems = describe_errors(error.errors(), locations=Locations.of(kind.annotation))
    assert 1 <= len(problems) <= MAX_PROBLEMS + 1
    assert MARKER not in repr(problems)
    # Pydantic's own text names unknown fields, but shows no values.
    assert "input_value" not in str(error)


@pytest.mark.parametrize("kind", SCALARS, ids=lambda kind: kind.name)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_each_type_holds_what_was_sent_or_nothing(kind: Kind, data: st.DataObject) -> None:
    """A field of each type takes its own values, and of others only those in bounds, as sent."""
    schema = model({"value": (kind, True)})
    value = data.draw(kind.values)
    assert check(schema, {"value": value})
    check(schema, {"value": data.draw(nudged(value))})
    check(schema, {"value": data.draw(JSON)})


@settings(max_examples=800, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.data())
def test_a_body_comes_through_as_it_was_sent_or_not_at_all(kind: Kind, data: st.DataObject) -> None:
    """A schema takes every body that fits it, and nothing of any other is out of bounds."""
    assert check(kind, data.draw(kind.values))
    check(kind, data.draw(spoiled(kind)))
    check(kind, data.draw(JSON))


def test_plain_pydantic_would_not_pass() -> None:
    """The same bodies against the same fields without `Schema` come through changed."""
    loose = {kind.name: TypeAdapter[Any](kind.annotation) for kind in SCALARS}
    kinds = {kind.name: kind for kind in SCALARS}
    changed = {
        "bool": 1,
        "float": "1.5",
        "int": 5.0,
        "number enumeration": True,
        "str": "a\0",
    }
    for name, sent in changed.items():
        got = loose[name].validate_python(sent)
        assert not kinds[name].fits(sent, got)
        assert not check(model({"value": (kinds[name], True)}), {"value": sent})


@pytest.mark.parametrize(
    ("sent", "got"),
    [([1, 2, 3, 4], [1, 2, 3, 4]), ([1, 2], [1]), ([1], [True]), ((1,), [1])],
    ids=["too many", "one dropped", "another type", "no array"],
)
def test_an_array_that_is_not_what_was_sent_does_not_fit(sent: object, got: object) -> None:
    """What is compared is the number of items, their types and their values."""
    (number,) = (kind for kind in SCALARS if kind.name == "int")
    assert items(number).fits([1, 2], [1, 2])
    assert not items(number).fits(sent, got)


def test_an_object_with_more_than_was_declared_does_not_fit() -> None:
    """A field that nobody declared, or that was left out, is noticed."""
    (number,) = (kind for kind in SCALARS if kind.name == "int")
    schema = model({"value": (number, True)})
    got = schema.annotation(value=1)
    assert schema.fits({"value": 1}, got)
    assert not schema.fits({"value": 1, "other": 1}, got)
    assert not schema.fits({}, got)
