from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from stockade.api_docs import APIDocsSettings, basic_challenge, verify_basic
from stockade.api_docs.basic import MAX_HEADER_LENGTH
from stockade.api_docs.settings import MAX_PASSWORD_LENGTH, MAX_USERNAME_LENGTH
from stockade.errors import UnauthenticatedError

PASSWORD = "p\u00e4ss:word with colon"
SETTINGS = APIDocsSettings(username="reader", password=SecretStr(PASSWORD))


def header(username: str, password: str, *, scheme: str = "Basic") -> bytes:
    """Write an `Authorization` value as a browser does."""
    return f"{scheme} ".encode() + base64.b64encode(f"{username}:{password}".encode())


def reason(value: bytes | None, settings: APIDocsSettings = SETTINGS) -> str:
    """Return why a header is refused."""
    with pytest.raises(UnauthenticatedError) as caught:
        verify_basic(value, settings)
    assert caught.value.challenge == basic_challenge(settings)
    return caught.value.reason


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic   "])
def test_right_credentials_give_the_name(scheme: str) -> None:
    """The scheme is case-insensitive; the password may hold colons and non-ASCII letters."""
    assert verify_basic(header("reader", PASSWORD, scheme=scheme), SETTINGS) == "reader"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        pytest.param("reader", "wrong", id="password"),
        pytest.param("Reader", PASSWORD, id="name in capitals"),
        pytest.param("", PASSWORD, id="no name"),
        pytest.param("reader", "", id="no password"),
        pytest.param("reader", PASSWORD + "\x00", id="NUL at the end"),
        pytest.param("reader", PASSWORD + " ", id="space at the end"),
        pytest.param("reader", PASSWORD[:-1], id="prefix"),
        pytest.param("reader", "pa\u0308ss:word with colon", id="not NFC"),
        pytest.param(PASSWORD, "reader", id="swapped"),
    ],
)
def test_wrong_credentials_are_refused(username: str, password: str) -> None:
    """Any other name or password is refused, with one reason for both."""
    assert reason(header(username, password)) == "api_docs.credentials_wrong"


def test_missing_header_is_refused() -> None:
    """A request without credentials is asked for them."""
    assert reason(None) == "api_docs.credentials_missing"


GOOD = header("reader", PASSWORD)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Basic", id="scheme alone"),
        pytest.param(b"Basic ", id="no credentials"),
        pytest.param(b"Bearer " + GOOD[6:], id="other scheme"),
        pytest.param(b"Basic" + GOOD[6:], id="no space"),
        pytest.param(b"Basic\t" + GOOD[6:], id="tab for a space"),
        pytest.param(GOOD + b", " + GOOD, id="two credentials"),
        pytest.param(GOOD + b"\n", id="line feed"),
        pytest.param(b"Basic \xff\xfe", id="no base64"),
        pytest.param(b"Basic YQ", id="no padding"),
        pytest.param(b"Basic YTpi=", id="too much padding"),
        pytest.param(b"Basic " + base64.urlsafe_b64encode(b"a:\xfb\xff"), id="URL alphabet"),
        pytest.param(b"Basic " + base64.b64encode(b"reader"), id="no colon"),
        pytest.param(b"Basic " + base64.b64encode(b"reader:p\xe4ss"), id="Latin-1"),
        pytest.param(b"Basic " + base64.b64encode(b"a:\xed\xa0\x80"), id="encoded surrogate"),
        pytest.param(b"Basic " + b"A" * MAX_HEADER_LENGTH, id="too long"),
    ],
)
def test_malformed_header_is_refused(value: bytes) -> None:
    """What is not RFC 7617 with UTF-8 is refused before it is compared."""
    assert reason(value) == "api_docs.credentials_malformed"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(APIDocsSettings(), id="no credentials set"),
        pytest.param(SETTINGS.model_copy(update={"enabled": False}), id="switched off"),
        pytest.param(SETTINGS.model_copy(update={"password": None}), id="password taken away"),
    ],
)
@pytest.mark.parametrize("value", [None, GOOD, b"Basic Og==", header("None", "None")])
def test_nothing_opens_docs_that_are_off(settings: APIDocsSettings, value: bytes | None) -> None:
    """Without a password set, no header signs anybody in, the empty one included."""
    assert reason(value, settings) == "api_docs.off"


def test_longest_credentials_fit() -> None:
    """The size cap leaves room for every name and password that the settings accept."""
    username, password = "\U0001f600" * MAX_USERNAME_LENGTH, "\U0001f511" * MAX_PASSWORD_LENGTH
    settings = APIDocsSettings(username=username, password=SecretStr(password))
    assert verify_basic(header(username, password), settings) == username


def test_error_holds_no_credential() -> None:
    """Neither the expected nor the given credentials are in the error."""
    with pytest.raises(UnauthenticatedError) as caught:
        verify_basic(header("somebody", "guess-guess-guess"), SETTINGS)
    shown = repr(vars(caught.value)) + repr(caught.value)
    assert not any(text in shown for text in ("somebody", "guess", "reader", PASSWORD))


def test_challenge_names_realm_and_charset() -> None:
    """The challenge tells the browser to encode in UTF-8."""
    settings = APIDocsSettings(realm="Acme docs")
    assert basic_challenge(settings) == 'Basic realm="Acme docs", charset="UTF-8"'


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"Basic " + tail))
@example(b"Basic ====")
def test_any_bytes_raise_only_the_declared_error(value: bytes) -> None:
    """Whatever arrives is refused in the one declared way."""
    assert reason(value).startswith("api_docs.credentials_")


@given(st.binary(max_size=48))
def test_any_decoded_bytes_raise_only_the_declared_error(decoded: bytes) -> None:
    """Whatever the base64 holds is refused in the one declared way."""
    assert reason(b"Basic " + base64.b64encode(decoded)).startswith("api_docs.credentials_")


LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "M"))


@given(
    username=st.text(LETTERS.filter(lambda c: c != ":"), min_size=1, max_size=20),
    password=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=12, max_size=40),
)
def test_every_accepted_pair_signs_in(username: str, password: str) -> None:
    """Settings that were accepted can be used: what a client sends for them matches."""
    try:
        settings = APIDocsSettings(username=username, password=SecretStr(password))
    except ValueError:
        # Not in Normalization Form C, or the same text twice: refused at start-up.
        return
    assert verify_basic(header(username, password), settings) == username
