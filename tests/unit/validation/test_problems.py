"""A problem says where and which rule, and never what was sent."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from stockade.validation import Line, Password, Schema
from stockade.validation.locations import Locations
from stockade.validation.problems import _MESSAGES, MAX_PROBLEMS, FieldProblem, describe_errors

SECRET = "hunter2-hunter2"


def problems_of(annotation: type[Any], value: object) -> tuple[FieldProblem, ...]:
    """Validate and describe, as the gate does."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(annotation).validate_python(value)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return describe_errors(errors, locations=Locations.of_request([("body", (), annotation)]))


class Inner(Schema):
    size: int = Field(ge=1, lt=10)


class Body(Schema):
    title: Line = Field(max_length=5)
    password: Password | None = None
    inner: Inner | None = None
    tags: list[Line] = Field([], max_length=2)
    prices: dict[Line, int] = Field({}, max_length=2)
    odd: int = Field(0, alias="a/b~c")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, FieldProblem("/body/title", "missing", "This field is required.")),
        (
            {"title": "x" * 6},
            FieldProblem("/body/title", "string_too_long", "Must have at most 5 characters."),
        ),
        (
            {"title": "x", "inner": {"size": 0}},
            FieldProblem("/body/inner/size", "greater_than_equal", "Must be at least 1."),
        ),
        (
            {"title": "x", "tags": ["a", "\0"]},
            FieldProblem(
                "/body/tags/1",
                "string_pattern_mismatch",
                "Has a character or a form that is not allowed here.",
            ),
        ),
        (
            {"title": "x", "a/b~c": "x"},
            FieldProblem("/body/a~1b~0c", "int_type", "Must be a whole number."),
        ),
        (
            {"title": "x", SECRET: 1},
            FieldProblem("/body/*", "extra_forbidden", "This field is unknown."),
        ),
        (
            {"title": "x", "prices": {SECRET: "x"}},
            FieldProblem("/body/prices/*", "int_type", "Must be a whole number."),
        ),
        (
            {"title": "x", "password": "short"},
            FieldProblem(
                "/body/password", "password_too_short", "Must have at least 8 characters."
            ),
        ),
    ],
)
def test_problems_name_place_and_rule(value: object, expected: FieldProblem) -> None:
    """The pointer is a JSON Pointer and the message has the schema's own limits."""
    assert problems_of(Body, value) == (expected,)


def test_own_validators_may_say_anything() -> None:
    """The text of an application's error, which may hold the value, is not shown."""

    def refuse(value: str) -> str:
        message = f"{value} is wrong"
        raise ValueError(message)

    kind = Annotated[str, Field(max_length=100), AfterValidator(refuse)]
    (problem,) = problems_of(kind, SECRET)
    assert problem == FieldProblem("/body", "value_error", "This value does not fit.")


def test_only_constants_are_taken_from_the_context() -> None:
    """A context can hold anything; only numbers that a schema states are shown."""
    error = {
        "type": "string_too_long",
        "loc": ("body",),
        "ctx": {"max_length": SECRET, "error": SECRET},
        "input": SECRET,
        "msg": SECRET,
    }
    (problem,) = describe_errors([error])
    assert problem.message == "This value does not fit."


@given(
    st.dictionaries(
        st.sampled_from(["title", "password", "inner", "tags", "prices", "nope"]),
        st.recursive(
            st.just(SECRET) | st.integers() | st.none() | st.booleans() | st.floats(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just(SECRET), inner),
            max_leaves=6,
        ),
    )
)
def test_nothing_that_was_sent_is_shown(value: dict[str, object]) -> None:
    """Whatever is wrong with a body, its description holds no piece of it."""
    try:
        Body.model_validate(value)
    except ValidationError as error:
        described = describe_errors(error.errors(), locations=Locations.of(Body))
        shown = json.dumps([[each.pointer, each.code, each.message] for each in described])
        assert "hunter2" not in shown
        assert described


def test_fastapi_errors_are_described() -> None:
    """Errors that FastAPI makes itself have the same shape."""
    errors: list[dict[str, object]] = [
        {"type": "json_invalid", "loc": ("body", 17), "msg": SECRET, "ctx": {"error": SECRET}},
        {"type": "missing", "loc": ("query", "page"), "msg": "x", "input": None},
    ]
    locations = Locations.of_request([("body", ("body",), Body), ("query", ("page",), int)])
    described = describe_errors(errors, locations=locations)
    assert [each.pointer for each in described] == ["/body", "/query/page"]
    assert SECRET not in repr(described)


def test_many_problems_are_counted() -> None:
    """A long list of errors makes a short answer."""
    kind = Annotated[list[int], Field(max_length=1_000)]
    described = problems_of(kind, ["x"] * 200)
    assert len(described) == MAX_PROBLEMS + 1
    assert described[-1] == FieldProblem("", "more_problems", "There are 150 more problems.")


def test_exactly_as_many_as_are_shown_need_no_count() -> None:
    """No count stands behind a list that is complete."""
    assert len(problems_of(list[int], ["x"] * MAX_PROBLEMS)) == MAX_PROBLEMS


@pytest.mark.parametrize("code", sorted(_MESSAGES))
def test_messages_are_sentences(code: str) -> None:
    """Each message is one sentence that asks for no unknown constant."""
    error = {"type": code, "loc": (), "ctx": dict.fromkeys(("max_length", "ge"), 1)}
    (problem,) = describe_errors([error])
    assert problem.message.endswith(".")
    assert "{" not in problem.message
