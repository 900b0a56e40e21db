"""Draw schemas and values for them, and say by other means what is within their bounds.

Nothing here asks the types under test what they take: each rule is written down once more.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import IntEnum, StrEnum
from functools import partial
from itertools import count
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from hypothesis import strategies as st
from pydantic import Field, SecretStr, create_model

from stockade.validation import (
    HTTPURL,
    EmailAddress,
    FileName,
    Identifier,
    Line,
    Money,
    Page,
    PageSize,
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

MAX_ITEMS: Final = 3
# Lone surrogates, too: JSON can spell them.
ANY_TEXT: Final = st.text(st.characters(codec=None), max_size=40)
WORDS: Final = st.text(string.ascii_lowercase, min_size=1, max_size=8)
NAMES: Final = st.from_regex(r"[a-z]{1,6}_", fullmatch=True)

Fits = Callable[[Any, Any], bool]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 5


@dataclass(frozen=True)
class Kind:
    """A kind of field.

    Attributes:
        annotation: What a schema declares.
        values: JSON values that it has to take.
        fits: Whether what a schema holds is what was sent, and within bounds.
    """

    name: str
    annotation: Any = field(repr=False)
    values: st.SearchStrategy[Any] = field(repr=False)
    fits: Fits = field(repr=False)


def _same(kind: type, sent: Any, got: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether a value came through as it was, and as what it was: True is not 1."""
    return type(sent) is kind and type(got) is kind and bool(sent == got)


def _is_number(low: float, high: float, sent: Any, got: Any) -> bool:  # noqa: ANN401
    return _same(int, sent, got) and low <= got <= high


def _is_float(low: float, high: float, sent: Any, got: Any) -> bool:  # noqa: ANN401
    # JSON has one kind of number; a float holds the nearest one that it can.
    return type(sent) in {int, float} and _same(float, float(sent), got) and low <= got <= high


def _is_text(longest: int, allows: Callable[[str], object], sent: Any, got: Any) -> bool:  # noqa: ANN401
    if not _same(str, sent, got) or not all(map(_is_storable, got)):
        return False
    return len(got) <= longest and bool(allows(got))


def _is_storable(character: str) -> bool:
    return character != "\0" and unicodedata.category(character) != "Cs"


def _is_line(value: str) -> bool:
    return not any(
        unicodedata.category(each) in {"Cc", "Zl", "Zp"}
        or unicodedata.bidirectional(each)
        in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
        for each in value
    )


def _is_lines(value: str) -> bool:
    rest = value.replace("\r\n", "").replace("\n", "").replace("\t", "")
    return not any(
        unicodedata.category(each) == "Cc" or unicodedata.bidirectional(each) in {"LRO", "RLO"}
        for each in rest
    )


def _is_name(value: str) -> bool:
    kinds = {unicodedata.category(each)[0] for each in value}
    return "L" in kinds and kinds <= {"L", "M", "P", "Z"} and _is_line(value)


def _is_email(value: str) -> bool:
    local, _, domain = value.rpartition("@")
    return bool(local and "." in domain) and not any(map(str.isspace, value)) and _is_line(value)


def _is_url(value: str) -> bool:
    url = urlsplit(value)
    return (
        value[:5].lower() in {"http:", "https"}
        and url.username is None
        and bool(url.hostname)
        and not set(value) & set(' "<>\\^`')
        and _is_line(value)
    )


def _is_public(value: str) -> bool:
    host = urlsplit(value).hostname or ""
    return _is_url(value) and host.isascii() and "." in host and not host.endswith("localhost")


def _is_file(value: str) -> bool:
    return bool(value.strip(". ")) and not set(value) & set('/\\:*?"<>|') and _is_line(value)


def _is_money(sent: Any, got: Any) -> bool:  # noqa: ANN401
    if type(sent) not in {int, str} or type(got) is not Decimal:
        return False
    try:
        amount = Decimal(sent)
    except InvalidOperation:
        return False
    whole, _, places = f"{amount:f}".lstrip("-").partition(".")
    # Zeros at the end are places that no column needs.
    places = places.rstrip("0")
    return got == amount and len(places) <= 4 and len(whole.lstrip("0")) + len(places) <= 19


def _is_uuid(sent: Any, got: Any) -> bool:  # noqa: ANN401
    return type(sent) is str and type(got) is UUID and str(got) == sent.lower()


def _is_date(sent: Any, got: Any) -> bool:  # noqa: ANN401
    return type(sent) is str and type(got) is date and got.isoformat() == sent


def _is_member(kind: type[StrEnum | IntEnum], sent: Any, got: Any) -> bool:  # noqa: ANN401
    return type(got) is kind and _same(type(got.value), sent, got.value)


def _is_secret(longest: int, shortest: int, sent: Any, got: Any) -> bool:  # noqa: ANN401
    if type(got) is not SecretStr or "\0" in sent:
        return False
    value = got.get_secret_value()
    return _same(str, sent, value) and len(value) >= shortest and len(value.encode()) <= longest


def _text(
    name: str,
    annotation: Any,  # noqa: ANN401 - any annotation
    values: st.SearchStrategy[str],
    longest: int,
    allows: Any,  # noqa: ANN401
) -> Kind:
    """Return a kind of text; what it allows is a pattern for the whole, or a function."""
    if isinstance(allows, str):
        allows = re.compile(allows).fullmatch
    return Kind(name, annotation, values, partial(_is_text, longest, allows))


def _some(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


PLAIN = st.characters(categories=["L", "Nd", "Zs"])
SORTED = ("title", "-title", "size", "-size")
SCALARS: Final = (
    Kind("bool", bool, st.booleans(), partial(_same, bool)),
    Kind("int", int, st.integers(-(2**63), 2**63 - 1), partial(_is_number, -(2**63), 2**63 - 1)),
    Kind(
        "int in bounds",
        Annotated[int, Field(ge=-3, lt=100)],
        st.integers(-3, 99),
        partial(_is_number, -3, 99),
    ),
    Kind("page", Page, st.integers(1, 10_000), partial(_is_number, 1, 10_000)),
    Kind("page size", PageSize, st.integers(1, 100), partial(_is_number, 1, 100)),
    Kind(
        "float",
        float,
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        partial(_is_float, -1.8e308, 1.8e308),
    ),
    Kind(
        "float in bounds",
        Annotated[float, Field(gt=0, le=1.5)],
        st.floats(0.001, 1.5),
        partial(_is_float, 0, 1.5),
    ),
    Kind(
        "literal", Literal["a", "b"], _some("a", "b"), partial(_is_text, 1, {"a", "b"}.__contains__)
    ),
    Kind("text enumeration", Colour, _some("red", "blue"), partial(_is_member, Colour)),
    Kind("number enumeration", Level, st.sampled_from([1, 5]), partial(_is_member, Level)),
    Kind("date", date, st.dates().map(date.isoformat), _is_date),
    Kind("uuid", UUIDIdentifier, st.uuids().map(str), _is_uuid),
    Kind(
        "money",
        Money,
        st.decimals(-(10**14), 10**14, places=4).map(lambda each: f"{each + 0:f}")
        | st.integers(0, 9),
        _is_money,
    ),
    Kind(
        "password",
        Password,
        st.text(PLAIN, min_size=8, max_size=18),
        partial(_is_secret, 72, 8),
    ),
    Kind(
        "token",
        Token,
        st.text(string.ascii_letters, min_size=16, max_size=40),
        partial(_is_secret, 512, 16),
    ),
    _text("str", Annotated[str, Field(max_length=20)], st.text(PLAIN, max_size=20), 20, r"(?s:.*)"),
    _text(
        "str with pattern",
        Annotated[str, Field(max_length=9, min_length=2, pattern="^[a-z]+$")],
        st.text(string.ascii_lowercase, min_size=2, max_size=9),
        9,
        "[a-z]{2,}",
    ),
    _text("line", Line, st.text(PLAIN, max_size=30), 255, _is_line),
    _text(
        "short line", Annotated[Line, Field(max_length=5)], WORDS.map(lambda w: w[:5]), 5, _is_line
    ),
    _text("text", Text, st.text(PLAIN, max_size=30).map("a\r\n\t".__add__), 10_000, _is_lines),
    _text("identifier", Identifier, WORDS, 64, "[A-Za-z0-9_-]+"),
    _text("slug", Slug, st.tuples(WORDS, WORDS).map("-".join), 64, "[a-z0-9]+(?:-[a-z0-9]+)*"),
    _text(
        "username", Username, WORDS.map("ada".__add__), 32, "[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9]"
    ),
    _text("person", PersonName, _some("Ada Lovelace", "Zoë", "李小龍", "O'Neil"), 100, _is_name),
    _text("e-mail", EmailAddress, _some("ada@python.org", "é@münchen.de"), 254, _is_email),
    _text(
        "url", HTTPURL, _some("https://a.example/b?c#d", "http://127.0.0.1:8000"), 2_048, _is_url
    ),
    _text("public url", PublicHTTPURL, _some("https://python.org/a"), 2_048, _is_public),
    _text("file", FileName, _some("a.txt", "Übersicht 1.pdf"), 255, _is_file),
    _text("phone", PhoneNumber, _some("+442079460018", "+4930901820"), 16, r"\+[1-9][0-9]{1,14}"),
    _text("order", Annotated[str, SortBy("title", "size")], _some(*SORTED), 6, "-?(?:title|size)"),
)


def optional(inner: Kind) -> Kind:
    """Return the kind that may be null."""

    def fits(sent: Any, got: Any) -> bool:  # noqa: ANN401
        return (sent is None and got is None) or inner.fits(sent, got)

    return Kind(f"{inner.name} or null", inner.annotation | None, st.none() | inner.values, fits)


def either(first: Kind, second: Kind) -> Kind:
    """Return the kind that is one of two."""

    def fits(sent: Any, got: Any) -> bool:  # noqa: ANN401
        return first.fits(sent, got) or second.fits(sent, got)

    name = f"{first.name} or {second.name}"
    return Kind(name, first.annotation | second.annotation, first.values | second.values, fits)


def items(inner: Kind) -> Kind:
    """Return the kind of a bounded array."""

    def fits(sent: Any, got: Any) -> bool:  # noqa: ANN401
        if type(sent) is not list or type(got) is not list:
            return False
        return len(sent) == len(got) <= MAX_ITEMS and all(map(inner.fits, sent, got))

    annotation = Annotated[list[inner.annotation], Field(max_length=MAX_ITEMS)]  # type: ignore[name-defined] # Known when it runs.
    return Kind(f"[{inner.name}]", annotation, st.lists(inner.values, max_size=MAX_ITEMS), fits)


def mapping(inner: Kind) -> Kind:
    """Return the kind of a bounded object with keys of the caller's choosing."""

    def fits(sent: Any, got: Any) -> bool:  # noqa: ANN401
        if type(sent) is not dict or type(got) is not dict or len(got) > MAX_ITEMS:
            return False
        keys = all(re.fullmatch("[A-Za-z0-9_-]{1,64}", key) for key in got)
        return keys and sent.keys() == got.keys() and all(inner.fits(sent[k], got[k]) for k in got)

    annotation = Annotated[dict[Identifier, inner.annotation], Field(max_length=MAX_ITEMS)]  # type: ignore[name-defined] # As above.
    values = st.dictionaries(WORDS, inner.values, max_size=MAX_ITEMS)
    return Kind(f"{{{inner.name}}}", annotation, values, fits)


_numbers = count()


def model(fields: dict[str, tuple[Kind, bool]], tag: str | None = None) -> Kind:
    """Return the kind of a schema.

    Args:
        fields: Kind of each field, and whether it is required; others are None by default.
        tag: Value of a field ``kind`` that tells schemas apart.
    """
    members: dict[str, Any] = {
        name: (kind.annotation, ...) if required else (kind.annotation | None, None)
        for name, (kind, required) in fields.items()
    }
    if tag is not None:
        members["kind"] = (Literal[tag], ...)
    schema = create_model(f"Schema{next(_numbers)}", __base__=Schema, **members)

    def fits_field(name: str, sent: dict[str, Any], got: Schema) -> bool:
        kind, required = fields[name]
        held = getattr(got, name)
        if name not in sent or (sent[name] is None and not required):
            return not required and held is None
        return kind.fits(sent[name], held)

    def fits(sent: Any, got: Any) -> bool:  # noqa: ANN401
        if type(sent) is not dict or type(got) is not schema:
            return False
        if not sent.keys() <= members.keys() or (tag is not None and sent.get("kind") != tag):
            return False
        return all(fits_field(name, sent, got) for name in fields)

    required = {name: kind.values for name, (kind, needed) in fields.items() if needed}
    others = {name: kind.values for name, (kind, needed) in fields.items() if not needed}
    if tag is not None:
        required["kind"] = st.just(tag)
    names = ", ".join(f"{name}: {kind.name}" for name, (kind, _) in fields.items())
    return Kind(f"({names})", schema, st.fixed_dictionaries(required, optional=others), fits)


def tagged(first: Kind, second: Kind) -> Kind:
    """Return the kind of two schemas that a field tells apart."""
    both = either(first, second)
    return Kind(
        both.name, Annotated[both.annotation, Field(discriminator="kind")], both.values, both.fits
    )


def _draw_model(draw: st.DrawFn, kinds: st.SearchStrategy[Kind], tag: str | None = None) -> Kind:
    fields = draw(st.dictionaries(NAMES, st.tuples(kinds, st.booleans()), max_size=4))
    return model(fields, tag)


@st.composite
def models(draw: st.DrawFn, kinds: st.SearchStrategy[Kind]) -> Kind:
    """Draw a schema."""
    return _draw_model(draw, kinds)


@st.composite
def tagged_models(draw: st.DrawFn, kinds: st.SearchStrategy[Kind]) -> Kind:
    """Draw two schemas that a field tells apart."""
    return tagged(_draw_model(draw, kinds, "a"), _draw_model(draw, kinds, "b"))


def _around(kinds: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    return st.one_of(
        kinds.map(optional),
        kinds.map(items),
        kinds.map(mapping),
        st.builds(either, kinds, kinds),
        models(kinds),
        tagged_models(kinds),
    )


KINDS: Final = st.recursive(st.sampled_from(SCALARS), _around, max_leaves=5)
SCHEMAS: Final = models(KINDS)
