import email.message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.validation.content.media_types import is_json, read_media_type


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"application/json", b"application/json"),
        (b"Application/JSON", b"application/json"),
        (b" application/json ; charset=utf-8", b"application/json"),
        (b'application/vnd.api+json;x="a;b"', b"application/vnd.api+json"),
        (b"", None),
        (b"json", None),
        (b"application/", None),
        (b"/json", None),
        (b"application/json, text/plain", None),
        (b"application/json text/plain", None),
        (b"application/json/x", None),
        (b"application /json", None),
        (b"application/j\xe9son", None),
        (b"a/" + b"b" * 128, None),
    ],
)
def test_the_name_is_read_or_refused(value: bytes, name: bytes | None) -> None:
    """The name is what stands before the first semicolon, or there is none."""
    assert read_media_type(value) == name


@given(st.sampled_from([b"", b" ", b"a", b"x/"]), st.text("/;, +ajson\"'=\t", max_size=12))
def test_what_fastapi_takes_for_json_is_json_here(prefix: bytes, text: str) -> None:
    """A header that has no name here is never parsed as JSON behind us as if it had one."""
    value = prefix + b"application/json" + text.encode()
    message = email.message.Message()
    message["content-type"] = value.decode()
    subtype = message.get_content_subtype()
    taken = message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    )
    name = read_media_type(value)
    if taken and name is not None:
        assert is_json(name)
