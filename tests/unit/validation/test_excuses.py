"""Every excuse is listed with its place and its reason."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from stockade.validation.bounds import find_unbounded, unbounded
from stockade.validation.excuses import Excused, find_excused
from stockade.validation.types import Line

Payload = Annotated[dict[str, Any], unbounded("the sender decides")]


class Item(BaseModel):
    name: str


class Hook(BaseModel):
    payload: Payload
    other: Line
    items: list[Annotated[Item, unbounded("few of them")]] = Field(max_length=3)


class Tree(BaseModel):
    note: Annotated[str, unbounded("for the test")]
    children: list[Tree] = Field(max_length=3)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Line, []),
        (str, []),
        (Annotated[str, unbounded("why")], [Excused("", "str", "why")]),
        (Annotated[str, unbounded("why"), Field(min_length=1)], [Excused("", "str", "why")]),
        (Annotated[str, Field(min_length=1), unbounded("why")], [Excused("", "str", "why")]),
        (Annotated[str | None, unbounded("why")], [Excused("", "nullable", "why")]),
        (Payload | None, [Excused("", "dict", "the sender decides")]),
        (
            Hook,
            [
                Excused("payload", "dict", "the sender decides"),
                Excused("items[]", "model", "few of them"),
            ],
        ),
        (Tree, [Excused("note", "str", "for the test")]),
        (
            Annotated[list[Payload], unbounded("outside")],
            [Excused("", "list", "outside"), Excused("[]", "dict", "the sender decides")],
        ),
        (TypeAdapter(Payload), [Excused("", "dict", "the sender decides")]),
    ],
    ids=str,
)
def test_excuses_are_listed(annotation: object, expected: list[Excused]) -> None:
    """Each use of `unbounded` is named once, with what it excuses."""
    assert find_excused(annotation) == expected


def test_an_excuse_holds_where_it_stands() -> None:
    """A model that is excused in one place is not excused in another one."""

    class Both(BaseModel):
        one: Annotated[Item, unbounded("here only")]
        two: Item

    assert [each.path for each in find_excused(Both)] == ["one"]
    assert [each.path for each in find_unbounded(Both)] == ["two.name"]


def test_nothing_is_excused_that_is_not_listed() -> None:
    """Where the check of bounds is silent about a bare string, the list says why."""
    for annotation in (Annotated[str, unbounded("why")], Hook, Tree):
        assert bool(find_unbounded(annotation)) is False
        assert find_excused(annotation)
