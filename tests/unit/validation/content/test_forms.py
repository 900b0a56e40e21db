from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import DeniedError
from stockade.validation.content import ContentLimits
from stockade.validation.content.forms import MultipartScanner, URLEncodedScanner

LIMITS = ContentLimits(text=30, fields=3, files=2)
MULTIPART = b"multipart/form-data; boundary=XX"


def verdict(make: Callable[[], URLEncodedScanner | MultipartScanner], parts: list[bytes]) -> str:
    """Return the reason code of a refusal, or ``passed``."""
    try:
        scanner = make()
        for index, part in enumerate(parts, start=1):
            scanner.feed(part, last=index == len(parts))
    except DeniedError as error:
        return error.reason.removeprefix("validation.")
    return "passed"


def both(make: Callable[[], URLEncodedScanner | MultipartScanner], data: bytes) -> str:
    """Return the verdict on a body in one part and in parts of one byte, which is the same."""
    whole = verdict(make, [data])
    assert verdict(make, [data[at : at + 1] for at in range(len(data))] or [b""]) == whole
    return whole


def url_encoded(data: bytes) -> str:
    """Scan a form of names and values."""
    return both(lambda: URLEncodedScanner(LIMITS), data)


def multipart(data: bytes, content_type: bytes = MULTIPART) -> str:
    """Scan a form of fields and files."""
    return both(lambda: MultipartScanner(content_type, LIMITS), data)


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    """Spell one part of a form."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    return b"--XX\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Spell a whole form."""
    return b"".join(parts) + b"--XX--\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "passed"),
        (b"a=1&b=2&c=3", "passed"),
        (b"a=1&b=2&c=3&d=4", "form_too_many_fields"),
        (b"&&&&a=1&&&&", "passed"),
        (b"a=" + b"x" * 29, "passed"),
        (b"a=" + b"x" * 30, "form_field_too_long"),
        (b"x" * 31, "form_field_too_long"),
        (b"a=%C3%A9", "passed"),
        (b"a=%E9", "not_utf8"),
        (b"%E9=a", "not_utf8"),
        (b"a=\xe9", "not_utf8"),
        (b"a=%ED%A0%80", "not_utf8"),
        (b"a=x%00", "string_unstorable"),
        (b"%00=x", "string_unstorable"),
        (b"a=\0", "string_unstorable"),
        (b"a=%zz", "passed"),
    ],
)
def test_a_form_of_names_and_values(data: bytes, expected: str) -> None:
    """It is counted as Starlette's parser counts it, and has to be text."""
    assert url_encoded(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (form(part('name="a"', b"1")), "passed"),
        (form(*[part('name="a"', b"1")] * 3), "passed"),
        (form(*[part('name="a"', b"1")] * 4), "form_too_many_fields"),
        (form(*[part('name="a"; filename="x"', b"1")] * 2), "passed"),
        (form(*[part('name="a"; filename="x"', b"1")] * 3), "form_too_many_files"),
        (form(part('name="a"', b"x" * 31)), "form_field_too_long"),
        (form(part('name="a"; filename="x"', b"x" * 31)), "passed"),
        (form(part('name="a"; filename=""', b"x" * 31)), "passed"),
        (form(part('name="a"', "é".encode())), "passed"),
        (form(part('name="a"', b"\xe9")), "not_utf8"),
        (form(part('name="a"', b"\xc3")), "not_utf8"),
        (form(part('name="a"; filename="x"', b"\xe9\0")), "passed"),
        (form(part('name="a"', b"\0")), "string_unstorable"),
        (form(part('name="\0"', b"1")), "string_unstorable"),
        (form(part('name="a"; filename="x\0.png"', b"1")), "string_unstorable"),
        # A name that looks like the start of a file name is still a field.
        (form(part('name="a; filename=b"', b"\0")), "string_unstorable"),
        (
            form(part('name="a"', b"\0", 'Content-Disposition: form-data; name="a"; filename="x"')),
            "multipart",
        ),
        (form(part('nam="a"', b"1")), "multipart"),
        (b"--YY\r\n\r\n", "form"),
        (b"no form at all", "form"),
    ],
)
def test_a_form_of_fields_and_files(data: bytes, expected: str) -> None:
    """Fields and files have limits of their own; fields have to be text."""
    assert multipart(data) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"multipart/form-data", "multipart"),
        (b"multipart/form-data; boundary=", "multipart"),
        (b"multipart/form-data; boundary=" + b"X" * 71, "multipart"),
        (b"multipart/form-data; boundary=XX; charset=utf-16", "charset"),
        (b"multipart/form-data; boundary=XX; charset=UTF-8", "passed"),
    ],
)
def test_the_header_says_how_to_read_it(content_type: bytes, expected: str) -> None:
    """Without a boundary, or in another character set, nobody knows what is in it."""
    assert multipart(form(part('name="a"', b"1")), content_type) == expected


def test_headers_of_a_part_are_few_and_short() -> None:
    """A part of headers alone is refused long before memory is full."""
    many = form(part('name="a"', b"1", *["X-A: b"] * 1000))
    long = form(part('name="a"', b"1", "X-A: " + "b" * 100_000))
    assert multipart(many) == "form"
    assert multipart(long) == "form"


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3))
def test_what_a_browser_sends_passes(fields: dict[str, str]) -> None:
    """Any text but NUL goes through a form."""
    try:
        data = urlencode(fields, quote_via=quote).encode()
    except UnicodeEncodeError:
        return
    unstorable = any("\0" in name + value for name, value in fields.items())
    too_long = any(
        len(quote(name, safe="") + quote(value, safe="")) > 30 for name, value in fields.items()
    )
    assert (url_encoded(data) == "passed") == (not unstorable and not too_long)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_verdict(data: bytes) -> None:
    """Nothing but the declared refusals comes out, however the body is cut up."""
    url_encoded(data)
    for body in (data, b"--XX\r\n" + data):
        assert verdict(lambda: MultipartScanner(MULTIPART, LIMITS), [body])
