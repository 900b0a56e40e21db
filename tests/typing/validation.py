"""Show that plain Pydantic habits type-check with the field types of validation."""

from __future__ import annotations

from typing import Annotated, Any, assert_type
from uuid import UUID

from pydantic import Field, SecretStr

from stockade.validation import (
    EmailAddress,
    Identifier,
    Line,
    ParameterSchema,
    Password,
    Schema,
    Slug,
    Text,
    Username,
    UUIDIdentifier,
    unbounded,
)
from stockade.validation.names import known_names_of
from stockade.validation.problems import FieldProblem, describe_errors


class Account(Schema):
    """Each type, bare, narrowed by assignment, narrowed by annotation, and optional."""

    identifier: Identifier
    uuid: UUIDIdentifier
    slug: Slug
    username: Username
    email: EmailAddress
    password: Password
    title: Line = Field(max_length=200)
    about: Text = Field(default="", max_length=2_000)
    nickname: Annotated[Line, Field(min_length=1)] = "none"
    motto: Line | None = None
    tags: list[Line] = Field(default=[], max_length=10)
    payload: Annotated[dict[str, Any], unbounded("stored as the sender wrote it")] = Field(
        default={}
    )


class Search(ParameterSchema):
    """Parameters have plain defaults."""

    page: int = 1
    exact: bool = False


account = Account(
    identifier="a",
    uuid=UUID(int=0),
    slug="a",
    username="ada",
    email="ada@example.com",
    password=SecretStr("correct horse"),
    title="x",
)
assert_type(account.title, str)
assert_type(account.email, str)
assert_type(account.uuid, UUID)
assert_type(account.password, SecretStr)
assert_type(account.motto, str | None)
assert_type(account.tags, list[str])
assert_type(Search(page=2).page, int)

# The plugin knows the fields: an unknown one is an error at the developer's desk already.
Search(page=2, order="asc")  # type: ignore[call-arg]
Search(page="2")  # type: ignore[arg-type]

assert_type(
    describe_errors([], known_names=known_names_of(Account, Search)), tuple[FieldProblem, ...]
)
