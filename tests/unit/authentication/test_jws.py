import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import InvalidTokenError
from stockade.authentication.jws import (
    decode_base64url,
    decode_object,
    encode_base64url,
    encode_object,
    read_compact,
    read_object,
    write_compact,
)
from tests.unit.authentication.helpers import encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


@given(st.binary(max_size=100))
def test_bytes_come_back(raw: bytes) -> None:
    """What is encoded is decoded to the same, and looks as other libraries write it."""
    text = encode_base64url(raw)
    assert decode_base64url(text) == raw
    assert text == base64.urlsafe_b64encode(raw).rstrip(b"=")


@given(st.text(max_size=12) | st.text("AQgw_-+/= ", max_size=12))
def test_one_value_has_one_spelling(text: str) -> None:
    """Whatever is decoded at all is what would be written."""
    try:
        raw = decode_base64url(text.encode())
    except InvalidTokenError:
        return
    assert encode_base64url(raw) == text.encode()


@pytest.mark.parametrize(
    "text",
    [b"A", b"AAAAA", b"AA=", b"AA==", b"AB", b"AAB", b"A A", b"AA\n", b"A+A", b"A/A", b"A!A"],
    ids=repr,
)
def test_another_spelling_is_refused(text: bytes) -> None:
    """Cut, padded, spaced, of the other alphabet, or with bits behind the end."""
    with pytest.raises(InvalidTokenError) as caught:
        decode_base64url(text)
    assert caught.value.reason == "authentication.token_malformed"


@given(OBJECT)
def test_objects_come_back(value: dict[str, object]) -> None:
    """Also those with names and texts beyond ASCII."""
    assert decode_object(encode_object(value)) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b'"x"',
        b"5",
        b"{",
        b"{}x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\x00"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 200_000,
        b'{"a": ' + b'{"a": ' * 200_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda raw: ascii(raw[:24]),
)
def test_what_is_not_one_clear_object_is_refused(raw: bytes) -> None:
    """Every reader sees the same, or nobody sees anything; the error repeats none of it."""
    with pytest.raises(ValueError, match="no JSON object") as caught:
        read_object(raw)
    assert caught.value.__cause__ is None


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_an_error(raw: bytes) -> None:
    """Reading raises one kind of error alone."""
    try:
        assert isinstance(read_object(raw), dict)
    except ValueError:
        return


@given(st.text(max_size=60) | st.lists(st.binary(max_size=12).map(encode)).map(".".join))
def test_any_text_is_a_token_or_a_refusal(text: str) -> None:
    """What is taken apart is put together to the same text."""
    try:
        compact = read_compact(text, limit=50)
    except InvalidTokenError:
        return
    assert len(text) <= 50
    signature = encode_base64url(compact.signature)
    assert b".".join((compact.header, compact.payload, signature)) == text.encode()
    assert compact.signed == text.encode().rpartition(b".")[0]


def test_the_parts_of_a_token_are_found() -> None:
    """Header and payload stay encoded, and the signature is of both."""
    signed = write_compact(encode_object({"alg": "x"}), {"sub": "a"})
    compact = read_compact(signed.decode() + ".AAAA", limit=100)
    assert compact.signed == signed
    assert compact.signature == bytes(3)
    assert json.loads(base64.urlsafe_b64decode(compact.payload + b"==")) == {"sub": "a"}


@pytest.mark.parametrize("length", [100, 101])
def test_the_limit_is_for_the_whole_token(length: int) -> None:
    """One character more is not looked at."""
    token = "A" * (length - 8) + ".AA.AAAA"
    if length > 100:
        with pytest.raises(InvalidTokenError) as caught:
            read_compact(token, limit=100)
        assert caught.value.reason == "authentication.token_too_long"
    else:
        read_compact(token, limit=100)
