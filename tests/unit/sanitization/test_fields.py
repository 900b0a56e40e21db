"""Only fields that are declared rich text are changed."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.sanitization import HTMLPolicy, RichText, Sanitize, UnsafePolicyError
from stockade.sanitization.fields import METADATA_KEY


class Note(BaseModel):
    title: str
    body: RichText = Field(max_length=40)
    footer: RichText | None = None
    article: Annotated[str, Sanitize("article"), Field(max_length=60)] = ""


def code(caught: pytest.ExceptionInfo[ValidationError]) -> str:
    """Return the code of the only error."""
    (error,) = caught.value.errors()
    return error["type"]


def test_rich_text_is_sanitized() -> None:
    """A rich-text field holds what its policy allows."""
    note = Note(title="t", body="<p onclick=x>a</p><script>b</script>")
    assert note.body == "<p>a</p>"


def test_optional_rich_text() -> None:
    """None stays None and text is sanitized in an optional field."""
    assert Note(title="t", body="b", footer=None).footer is None
    assert Note(title="t", body="b", footer="<i>x</i>").footer == "x"


def test_policy_is_chosen_per_field() -> None:
    """A field has the policy that its marker names."""
    note = Note(title="t", body="<h4>a</h4>", article="<h4>a</h4>")
    assert (note.body, note.article) == ("a", "<h4>a</h4>")


def test_limit_holds_for_the_input() -> None:
    """Markup that sanitizing would remove counts towards the limit."""
    with pytest.raises(ValidationError) as caught:
        Note(title="t", body="<b></b>" * 6)
    assert code(caught) == "string_too_long"


def test_limit_holds_for_the_output() -> None:
    """A value that fits until it is escaped is refused, not cut."""
    Note(title="t", body="<p>" + "x" * 33 + "</p>")
    with pytest.raises(ValidationError) as caught:
        Note(title="t", body="<p>" + "&" * 33 + "</p>")
    assert code(caught) == "string_too_long"


def test_limit_behind_the_marker_holds_too() -> None:
    """The order of marker and limit does not open a gap."""
    with pytest.raises(ValidationError):
        Note(title="t", body="", article="<p>" + "&" * 50 + "</p>")


def test_field_without_a_limit_has_that_of_its_policy() -> None:
    """No rich text is unbounded."""
    adapter = TypeAdapter(RichText)
    assert adapter.json_schema()["maxLength"] == 1_000_000
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python("x" * 1_000_001)
    assert code(caught) == "string_too_long"


def test_a_field_can_not_widen_its_policy() -> None:
    """The smaller of both limits holds."""
    policy = HTMLPolicy(name="tiny", tags=frozenset({"p"}), max_length=5)

    class Tiny(BaseModel):
        body: Annotated[str, Sanitize(policy)] = Field(max_length=50)

    with pytest.raises(ValidationError):
        Tiny(body="x" * 6)


def test_hostile_markup_is_a_validation_error() -> None:
    """What can't be sanitized within bounds is refused with a code."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(RichText).validate_python("<div>" * 10_000)
    assert code(caught) == "rich_text_too_complex"


def test_unknown_policy_fails_when_the_model_is_defined() -> None:
    """A misspelt policy stops the start."""
    with pytest.raises(UnsafePolicyError):
        TypeAdapter(Annotated[str, Sanitize("no such policy")])


def test_only_strings_can_be_rich_text() -> None:
    """The marker on another type stops the start."""
    with pytest.raises(UnsafePolicyError):
        TypeAdapter(Annotated[list[str], Sanitize()])


def test_openapi_shows_a_string_with_its_limit() -> None:
    """The marker does not hide the field from the API's schema."""
    schema = Note.model_json_schema()["properties"]["body"]
    assert (schema["type"], schema["maxLength"]) == ("string", 40)


def test_audits_can_see_the_marker() -> None:
    """The core schema says which policy is in force."""
    assert TypeAdapter(RichText).core_schema["metadata"][METADATA_KEY] == "default"


@given(st.text(), st.dictionaries(st.text(), st.text()), st.lists(st.text()))
def test_ordinary_fields_are_never_altered(
    text: str, mapping: dict[str, str], items: list[str]
) -> None:
    """Whatever stands beside rich text arrives as it was sent."""

    class Body(BaseModel):
        text: str
        mapping: dict[str, str]
        items: list[str]
        rich: RichText

    body = Body(text=text, mapping=mapping, items=items, rich="<b>x</b>")
    assert (body.text, body.mapping, body.items, body.rich) == (text, mapping, items, "x")


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_identifiers_pass_the_sanitizer_unchanged(identifier: str) -> None:
    """Requirement R2: an alphanumeric identifier is not altered even in a rich-text field."""
    assert TypeAdapter(RichText).validate_python(identifier) == identifier
