"""Whole requests: rich text is sanitized, and every other field arrives as it was sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from starlette.responses import JSONResponse

from stockade.sanitization import SanitizationError, Sanitize, sanitize_html

POLICIES = ("default", "comment", "article", "email")
LIMIT = 80

# Text that a sanitizer would like to change.
MARKUP = st.lists(
    st.sampled_from(
        [
            *(
                "<p>",
                "</p>",
                "<b onclick=x>",
                "<script>",
                "</script>",
                "<img src=x onerror=y>",
                "&",
            ),
            *("&amp;", "&lt;", "<", ">", '"', "'", "<a href=javascript:x>", "\0", "\r\n", "\xa0"),
            *("Tom & Jerry < 3", "é", "e\u0301", "\u202e", "<!--", "]]>", "https://x.example"),
        ]
    ),
    max_size=8,
).map("".join)
# FastAPI's own answer to a lone surrogate repeats it, which no encoding can.
TEXTS = MARKUP | st.text(st.characters(exclude_categories=["Cs"]), max_size=LIMIT)


@dataclass(frozen=True)
class Kind:
    """A kind of field: its annotation, values for it, and the policies of the texts in it."""

    annotation: Any
    values: st.SearchStrategy[Any]
    policy: str | None = None


def plain() -> list[Kind]:
    """Return kinds of fields that nobody declared as rich text."""
    bounded = Annotated[str, Field(max_length=400)]
    return [
        Kind(bounded, TEXTS),
        Kind(bounded | None, st.none() | TEXTS),
        Kind(list[bounded], st.lists(TEXTS, max_size=3)),
        Kind(dict[bounded, bounded], st.dictionaries(TEXTS, TEXTS, max_size=3)),
        Kind(int, st.integers(-(2**53), 2**53)),
        Kind(bool, st.booleans()),
    ]


def rich() -> list[Kind]:
    """Return kinds of fields with rich text of each policy."""
    kinds = []
    for name in POLICIES:
        text = Annotated[str, Field(max_length=LIMIT), Sanitize(name)]
        kinds += [
            Kind(text, TEXTS, name),
            Kind(text | None, st.none() | TEXTS, name),
            Kind(list[text], st.lists(TEXTS, max_size=3), name),
            Kind(dict[str, text], st.dictionaries(TEXTS, TEXTS, max_size=3), name),
        ]
    return kinds


KINDS = st.sampled_from(plain()) | st.sampled_from(rich())


def expect(kind: Kind, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a field has to hold then.

    Raises:
        ValueError: The value has to be refused.
    """
    if kind.policy is None or value is None:
        return value
    if isinstance(value, list):
        return [expect(kind, item) for item in value]
    if isinstance(value, dict):
        return {key: expect(kind, item) for key, item in value.items()}
    if len(value) > LIMIT:
        raise ValueError
    cleaned = sanitize_html(value, kind.policy)
    if len(cleaned) > LIMIT:
        raise ValueError
    return cleaned


@st.composite
def requests(draw: st.DrawFn) -> tuple[type[BaseModel], dict[str, Any], dict[str, Any] | None]:
    """Draw a schema with a nested one, a body for it, and what has to arrive, if anything."""
    kinds = draw(st.dictionaries(st.from_regex(r"[a-z]{1,6}_", fullmatch=True), KINDS, max_size=4))
    inner = draw(st.dictionaries(st.from_regex(r"[a-z]{1,6}_", fullmatch=True), KINDS, max_size=3))
    models: list[type[BaseModel]] = []
    for number, fields in enumerate((inner, kinds)):
        definitions: dict[str, Any] = {
            name: (kind.annotation, ...) for name, kind in fields.items()
        }
        if number:
            definitions["inner"] = (models[0], ...)
        models.append(create_model(f"Model{number}", **definitions))
    body = {name: draw(kind.values) for name, kind in kinds.items()}
    body["inner"] = {name: draw(kind.values) for name, kind in inner.items()}
    try:
        arrived = {name: expect(kind, body[name]) for name, kind in kinds.items()}
        arrived["inner"] = {name: expect(kind, body["inner"][name]) for name, kind in inner.items()}
    except (SanitizationError, ValueError):
        return models[1], body, None
    return models[1], body, arrived


# A route for each schema takes a few milliseconds.
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(requests())
def test_a_body_arrives_as_it_was_sent_but_for_rich_text(
    request_: tuple[type[BaseModel], dict[str, Any], dict[str, Any] | None],
) -> None:
    """Fields that are not rich text arrive to the byte, rich text as the function gives it."""
    model, body, expected = request_
    seen: list[dict[str, Any]] = []
    app = FastAPI()

    async def handler(body: BaseModel) -> JSONResponse:
        seen.append(body.model_dump())
        return JSONResponse({})

    handler.__annotations__["body"] = model
    app.post("/")(handler)
    answer = TestClient(app).post("/", json=body)
    if expected is None:
        assert (answer.status_code, seen) == (422, [])
    else:
        assert (answer.status_code, seen) == (200, [expected])
        # To the byte, where Python would call two texts equal that are not.
        assert json.dumps(seen[0]).encode() == json.dumps(expected).encode()


def test_the_kinds_are_what_they_are_called() -> None:
    """The property is about both: fields with a policy and fields without one."""
    assert all(kind.policy is None for kind in plain())
    assert {kind.policy for kind in rich()} == set(POLICIES)
    marked = [any(isinstance(m, Sanitize) for m in get_args(kind.annotation)) for kind in rich()]
    assert any(marked)
