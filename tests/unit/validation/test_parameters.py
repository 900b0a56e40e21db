"""Where one value is read, two are refused."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, Json

from stockade.errors import InvalidRequestError
from stockade.validation.parameters import SingleParameters


class Filters(BaseModel):
    page: int = 1
    tags: list[str] = Field(default_factory=list)
    sort: str = Field("", validation_alias=AliasChoices("order", "by"))  # type: ignore[pydantic-alias]  # as users write it


PARAMETERS = SingleParameters.among(
    [
        ("query", ("q",), str | None),
        ("query", ("ids",), list[int]),
        ("query", ("either",), str | list[str]),
        ("query", ("pairs",), Annotated[tuple[int, ...] | None, Field(max_length=2)]),
        ("query", ("packed",), Json[list[int]]),
        ("query", ("filters",), Filters | None),
        ("query", ("both",), str),
        ("query", ("both",), list[str]),
        ("header", ("X-Tenant",), str),
        ("header", ("headers",), Annotated[Any, Field(description="anything")]),
        ("cookie", ("theme",), str),
        ("body", ("title",), str),
    ]
)


def scope(query: str = "", headers: tuple[tuple[str, str], ...] = ()) -> dict[str, object]:
    """Return what the check reads of a request."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"query_string": query.encode("latin-1"), "headers": raw}


def test_single_parameters_are_found() -> None:
    """Lists are none, in models as well, nor is what another dependency reads as a list."""
    assert PARAMETERS.query == {"q", "packed", "page", "sort", "order", "by"}
    assert PARAMETERS.header == {b"x-tenant", b"headers"}
    assert PARAMETERS.cookie == {"theme"}
    assert PARAMETERS.form == {"title"}
    assert not SingleParameters.among([("body", ("title",), str)])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("q=1&q=2", "/query/q"),
        ("q=1&q=1", "/query/q"),
        ("q&q=2", "/query/q"),
        ("a=1&page=1&b=2&page=2&c=3", "/query/page"),
        ("page=1&p%61ge=2", "/query/page"),
        ("by=1&%62%79=2", "/query/by"),
    ],
)
def test_two_values_in_the_query_are_refused(query: str, pointer: str) -> None:
    """However the name is spelled, and be the values equal."""
    with pytest.raises(InvalidRequestError) as caught:
        PARAMETERS.check(scope(query))
    assert (caught.value.rule, caught.value.pointer) == ("repeated", pointer)
    assert caught.value.reason == "validation.repeated"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=1",
        "ids=1&ids=2&either=a&either=b&tags=x&tags=y&pairs=1&pairs=2",
        "both=1&both=2",
        "unknown=1&unknown=2",
        "q=1&Q=2",
        "q=a%26q=b",
        "&&&",
        "q=1;q=2",
        "%FF=1&%FF=2",
    ],
)
def test_other_queries_pass(query: str) -> None:
    """Lists take several values, and what nobody reads is not looked at."""
    PARAMETERS.check(scope(query))


def test_two_headers_are_refused() -> None:
    """Of two headers, a proxy may have looked at the other one."""
    PARAMETERS.check(scope(headers=(("x-tenant", "a"), ("accept", "b"), ("accept", "c"))))
    with pytest.raises(InvalidRequestError) as caught:
        PARAMETERS.check(scope(headers=(("x-tenant", "a"), ("x-tenant", "a"))))
    assert caught.value.pointer == "/header/x-tenant"


@pytest.mark.parametrize(
    "headers",
    [
        (("cookie", "theme=a; other=b; theme=c"),),
        (("cookie", "theme=a"), ("cookie", "theme=b")),
        (("cookie", " theme =a;theme=b"),),
    ],
)
def test_two_cookies_are_refused(headers: tuple[tuple[str, str], ...]) -> None:
    """A neighbour under the same domain can plant one beside that of the application."""
    PARAMETERS.check(scope(headers=(("cookie", "theme=theme=b; other=1; other=2"),)))
    with pytest.raises(InvalidRequestError) as caught:
        PARAMETERS.check(scope(headers=headers))
    assert caught.value.pointer == "/cookie/theme"
