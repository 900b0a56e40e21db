"""Measure what `Schema` costs beside plain Pydantic, and what each field type costs.

A small body, one of 1 KB and a list of 100 items, each valid and invalid, from parsed JSON to a
model or to the list of problems that a 422 shows; parameters that arrive as text; a value of each
field type beside a string with a maximum length; and the look at JSON before it is parsed, beside
the parser. All candidates take turns in one run, so that a busy machine slows all of them; read the
ratios.

    PYTHONPATH=src:. python benchmarks/validation.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from benchmarks.turns import Turn, print_table, run_turns, turn_of
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
    Text,
    Token,
    Username,
    UUIDIdentifier,
)
from stockade.validation.content.json_text import JSONScanner
from stockade.validation.content.limits import ContentLimits
from stockade.validation.names import known_names_of
from stockade.validation.problems import describe_errors

UUID_TEXT: Final = "123e4567-e89b-42d3-a456-426614174000"


class PlainNote(BaseModel):
    """A small body, as it is usually declared."""

    title: str = Field(max_length=255)
    size: int
    is_open: bool


class BoundedNote(Schema):
    """The same as a Schema."""

    title: Annotated[str, Field(max_length=255)]
    size: int
    is_open: bool


class Note(Schema):
    """The same with a type for the title."""

    title: Line
    size: int
    is_open: bool


class PlainArticle(BaseModel):
    """A body of 1 KB."""

    id: UUID
    author: str = Field(max_length=100)
    email: str = Field(max_length=254)
    price: Decimal = Field(max_digits=19, decimal_places=4)
    tags: list[Annotated[str, Field(max_length=64)]] = Field(max_length=20)
    text: str = Field(max_length=10_000)


class Article(Schema):
    """The same with our types."""

    id: UUIDIdentifier
    author: PersonName
    email: EmailAddress
    price: Money
    tags: list[Slug] = Field(max_length=20)
    text: Text


class PlainPage(BaseModel):
    """A list of 100 items."""

    notes: list[PlainNote] = Field(max_length=100)


class NotePage(Schema):
    """The same with our types."""

    notes: list[Note] = Field(max_length=100)


class PlainQuery(BaseModel):
    """Parameters of a request."""

    page: int = Field(1, ge=1, le=10_000)
    size: int = Field(20, ge=1, le=100)
    search: str = Field("", max_length=255)
    open: bool = True


class Query(ParameterSchema):
    """The same with our types."""

    page: Page = 1
    size: PageSize = 20
    search: Line = ""
    open: bool = True


NOTE: Final = {"title": "Minutes of the meeting", "size": 7, "is_open": True}
BAD_NOTE: Final = {"title": "x" * 300, "size": "7", "is_open": None, "other": 1}
ARTICLE: Final = {
    "id": UUID_TEXT,
    "author": "Ada Lovelace",
    "email": "ada@python.org",
    "price": "19.90",
    "tags": ["history", "computing", "first-programs"],
    "text": "The engine weaves patterns as the loom weaves flowers and leaves.\n" * 12,
}
BAD_ARTICLE: Final = {**ARTICLE, "id": "1", "author": "\u202e", "price": 0.1, "tags": "none"}
QUERY: Final = {"page": "2", "size": "50", "search": "minutes", "open": "true"}
BAD_QUERY: Final = {"page": "-2", "size": "5000", "search": "x" * 300, "open": "perhaps"}

Models = dict[str, type[BaseModel]]
NOTES: Final[Models] = {
    "pydantic": PlainNote,
    "Schema, bounded str": BoundedNote,
    "Schema, Line": Note,
}
BODIES: Final[dict[str, tuple[Models, Any, Any]]] = {
    "small body": (NOTES, NOTE, BAD_NOTE),
    "1 KB": ({"pydantic": PlainArticle, "Schema, our types": Article}, ARTICLE, BAD_ARTICLE),
    "100 items": (
        {"pydantic": PlainPage, "Schema, our types": NotePage},
        {"notes": [NOTE] * 100},
        {"notes": [NOTE] * 99 + [BAD_NOTE]},
    ),
    "parameters": (
        {"pydantic": PlainQuery, "ParameterSchema": Query},
        QUERY,
        BAD_QUERY,
    ),
}

# Each with a value that it takes. The first is what the others are compared with.
FIELDS: Final[dict[str, tuple[Any, Any]]] = {
    "str, max_length": (Annotated[str, Field(max_length=255)], "Minutes of the meeting"),
    "str, pattern": (Annotated[str, Field(max_length=64, pattern="^[a-z-]+$")], "minutes-of-may"),
    "Line": (Line, "Minutes of the meeting"),
    "Text, 1,000 characters": (Text, "Minutes of the meeting\n\n" * 40),
    "Identifier": (Identifier, "note-4711_a"),
    "Slug": (Slug, "minutes-of-may"),
    "Username": (Username, "ada.lovelace"),
    "PersonName": (PersonName, "Ada Lovelace"),
    "PersonName, not ASCII": (PersonName, "Zoë Müller-Nuñez"),
    "EmailAddress": (EmailAddress, "ada@python.org"),
    "EmailAddress, not ASCII": (EmailAddress, "ada@münchen.de"),
    "PhoneNumber": (PhoneNumber, "+442079460018"),
    "HTTPURL": (HTTPURL, "https://docs.python.org/3/library/re.html?highlight=re#module-re"),
    "PublicHTTPURL": (PublicHTTPURL, "https://docs.python.org/3/library/re.html"),
    "FileName": (FileName, "Minutes of May.pdf"),
    "Password": (Password, "correct horse battery staple"),
    "Token": (Token, "mF_9.B5f-4.1JqM0aaaaaaaaa"),
    "UUID": (UUID, UUID_TEXT),
    "UUIDIdentifier": (UUIDIdentifier, UUID_TEXT),
    "Decimal": (Annotated[Decimal, Field(max_digits=19, decimal_places=4)], "19.90"),
    "Money": (Money, "19.90"),
    "int": (int, 7),
    "Page": (Page, 7),
    "SortBy": (Annotated[str, SortBy("title", "size")], "-title"),
    "SecretStr": (SecretStr, "correct horse battery staple"),
}


def accept(validate: Callable[[Any], object], body: object) -> Turn:
    """Return the turn of a body that has to be taken."""
    validate(body)
    return turn_of(partial(validate, body))


def refuse(model: type[BaseModel], body: object) -> Turn:
    """Return the turn of a body that has to be refused, up to what a 422 shows.

    Raises:
        RuntimeError: It is taken.
    """
    known = known_names_of(model)

    def call() -> object:
        try:
            model.model_validate(body)
        except ValidationError as error:
            # As FastAPI asks for them, with the values; ours are described without.
            return describe_errors(error.errors(), known_names=known)
        raise RuntimeError(f"{model.__name__} takes what it has to refuse")

    call()
    return turn_of(call)


def measure_bodies(rounds: int) -> None:
    """Compare each body's models, valid and invalid."""
    for name, (models, good, bad) in BODIES.items():
        size = len(json.dumps(good))
        accepted = {each: accept(model.model_validate, good) for each, model in models.items()}
        print_table(f"{name}, {size:,} bytes", run_turns(accepted, rounds=rounds))
        refused = {each: refuse(model, bad) for each, model in models.items()}
        print_table(f"{name}, refused", run_turns(refused, rounds=rounds))


def measure_fields(rounds: int) -> None:
    """Compare a value of each field type."""
    turns = {
        name: accept(TypeAdapter[Any](annotation).validate_python, value)
        for name, (annotation, value) in FIELDS.items()
    }
    print_table("one value of a type", run_turns(turns, rounds=rounds, milliseconds=5))


def measure_json(rounds: int) -> None:
    """Compare the look at a body of JSON, before it is parsed, with its parser."""
    limits = ContentLimits()
    for name, (_, good, _) in BODIES.items():
        data = json.dumps(good).encode()

        def scan(data: bytes) -> None:
            JSONScanner(limits).feed(data, last=True)

        def scan_in_parts(data: bytes) -> None:
            scanner = JSONScanner(limits)
            middle = len(data) // 2
            scanner.feed(data[:middle], last=False)
            scanner.feed(data[middle:], last=True)

        turns = {
            "json.loads": accept(json.loads, data),
            "JSONScanner, whole": accept(scan, data),
            "JSONScanner, two parts": accept(scan_in_parts, data),
        }
        print_table(f"{name}, {len(data):,} bytes", run_turns(turns, rounds=rounds))


def main() -> None:
    """Print a table for each subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each candidate")
    rounds = parser.parse_args().rounds
    print("JSON to a model, or to the problems of a 422")
    measure_bodies(rounds)
    print("\nFields")
    measure_fields(rounds)
    print("\nJSON before it is parsed")
    measure_json(rounds)


if __name__ == "__main__":
    main()
