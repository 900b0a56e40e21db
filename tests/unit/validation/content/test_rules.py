import gzip

import pytest

from stockade.errors import UnsupportedMediaTypeError
from stockade.validation.content import (
    ANY_JSON,
    JSON,
    MULTIPART,
    URL_ENCODED,
    BodyCheck,
    ContentLimits,
    ContentRules,
)

JSON_RULES = ContentRules((JSON, ANY_JSON), ContentLimits())
LENGTH = (b"content-length", b"2")


def open_body(rules: ContentRules, *headers: tuple[bytes, bytes]) -> BodyCheck | None:
    """Prepare for a body."""
    return rules.open(headers, limit=lambda: 100)


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"application/json; charset=utf-8", b"application/problem+json"],
)
def test_a_type_that_the_endpoint_reads_passes(content_type: bytes) -> None:
    """JSON is looked through, whatever its name says more."""
    check = open_body(JSON_RULES, (b"content-type", content_type), LENGTH)
    assert check is not None
    assert check.read(b"{}", last=True) == b"{}"


@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"text/json", b"image/svg+json", URL_ENCODED, b"", b"json"]
)
@pytest.mark.parametrize("announced", [LENGTH, (b"transfer-encoding", b"chunked")])
def test_any_other_type_is_refused_before_the_body(
    content_type: bytes, announced: tuple[bytes, bytes]
) -> None:
    """The refusal says what the endpoint reads."""
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        open_body(JSON_RULES, (b"content-type", content_type), announced)
    assert caught.value.header == "Accept"
    assert caught.value.accepted == "application/json, application/*+json"


def test_no_type_is_refused_where_there_is_a_body() -> None:
    """Without a type, FastAPI would hand on the bytes."""
    with pytest.raises(UnsupportedMediaTypeError):
        open_body(JSON_RULES, LENGTH)


def test_a_body_that_nobody_announced_is_refused_when_it_comes() -> None:
    """An endpoint may do without a body; one of the wrong type is still refused."""
    check = open_body(JSON_RULES)
    assert check is not None
    assert check.read(b"", last=False) == b""
    with pytest.raises(UnsupportedMediaTypeError):
        check.read(b"{}", last=True)


def test_an_endpoint_without_a_schema_reads_anything() -> None:
    """What is JSON or a form is looked through there as well, and nothing else is."""
    rules = ContentRules((), ContentLimits())
    assert open_body(rules) is None
    assert open_body(rules, (b"content-type", b"text/plain"), LENGTH) is None
    reports = b"application/csp-report"
    for content_type in (JSON, b"text/json", reports, URL_ENCODED, MULTIPART + b"; boundary=x"):
        assert open_body(rules, (b"content-type", content_type), LENGTH) is not None
    for content_type in (b"application/json, text/plain", b"json", b""):
        with pytest.raises(UnsupportedMediaTypeError) as caught:
            open_body(rules, (b"content-type", content_type), LENGTH)
        assert caught.value.accepted == "*/*"


def test_a_wildcard_takes_its_kind() -> None:
    """``text/*`` takes every text and nothing else."""
    rules = ContentRules((b"text/*",), ContentLimits())
    assert open_body(rules, (b"content-type", b"text/csv"), LENGTH) is None
    with pytest.raises(UnsupportedMediaTypeError):
        open_body(rules, (b"content-type", b"textual/csv"), LENGTH)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"gzip,deflate", b"", b"*"])
def test_other_codings_are_refused(coding: bytes) -> None:
    """The refusal says which codings are undone; several in a row never are."""
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        open_body(JSON_RULES, (b"content-type", JSON), (b"content-encoding", coding), LENGTH)
    assert (caught.value.header, caught.value.accepted) == ("Accept-Encoding", "deflate, gzip")


def test_a_coding_is_undone_before_the_rules() -> None:
    """The rules hold for what the endpoint gets."""
    check = open_body(JSON_RULES, (b"content-type", JSON), (b"content-encoding", b"GZIP"), LENGTH)
    assert check is not None
    assert check.inflates
    assert check.read(gzip.compress(b"[1]"), last=True) == b"[1]"


def test_identity_is_no_coding() -> None:
    """The body stays as it is."""
    check = open_body(
        JSON_RULES, (b"content-type", JSON), (b"content-encoding", b"identity"), LENGTH
    )
    assert check is not None
    assert not check.inflates
