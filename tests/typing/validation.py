"""Show that plain Pydantic habits type-check with the field types of validation."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, assert_type
from uuid import UUID

from pydantic import Field, SecretStr

from stockade.validation import (
    HTTPURL,
    EmailAddress,
    FileName,
    Identifier,
    Line,
    Money,
    Page,
    PageSize,
    ParameterSchema,
    Password,
    PersonName,
    PhoneNumber,
    PublicHTTPURL,
    Schema,
    Slug,
    SortBy,
    SortOrder,
    Text,
    Token,
    Username,
    UUIDIdentifier,
    resolve_public,
    unbounded,
)
from stockade.validation.locations import Locations
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


class Contact(Schema):
    """The types with a meaning, bare and narrowed."""

    name: PersonName = Field(max_length=80)
    phone: PhoneNumber | None = None
    site: HTTPURL = Field(default="https://example.com/", max_length=500)
    hook: Annotated[PublicHTTPURL, Field(max_length=500)]
    token: Token
    photo: FileName = "photo.png"
    fee: Money = Field(default=Decimal("1.50"), ge=0, max_digits=8, decimal_places=2)


NOTES = SortBy("created_at", "title")


class Search(ParameterSchema):
    """Parameters have plain defaults."""

    page: Page = 1
    size: PageSize = Field(default=20, le=50)
    sort: Annotated[str, NOTES] = "-created_at"
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
assert_type(Search(page=2).sort, str)
assert_type(NOTES.parse(Search().sort), SortOrder)

contact = Contact(name="Ada", hook="https://example.com/", token=SecretStr("x" * 16))
assert_type(contact.name, str)
assert_type(contact.phone, str | None)
assert_type(contact.hook, str)
assert_type(contact.token, SecretStr)
assert_type(contact.fee, Decimal)


async def look_up() -> None:
    """Addresses come back as such."""
    assert_type(await resolve_public(contact.hook), tuple[IPv4Address | IPv6Address, ...])


# The plugin knows the fields: an unknown one is an error at the developer's desk already.
Search(page=2, order="asc")  # type: ignore[call-arg]
Search(page="2")  # type: ignore[arg-type]

assert_type(describe_errors([], locations=Locations.of(Account)), tuple[FieldProblem, ...])
