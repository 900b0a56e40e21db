import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.totp import (
    PERIOD,
    TOTPFactor,
    compute_code,
    find_step,
    generate_secret,
    is_code,
    step_at,
    write_secret,
    write_uri,
)
from stockade.core import UserId

SECRET = b"12345678901234567890"
NOW = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)

# RFC 4226, appendix D.
HOTP = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]
# RFC 6238, appendix B, for SHA-1: eight digits, of which six are the last six.
TOTP = [
    (59, "94287082"),
    (1_111_111_109, "07081804"),
    (1_111_111_111, "14050471"),
    (1_234_567_890, "89005924"),
    (2_000_000_000, "69279037"),
    (20_000_000_000, "65353130"),
]


@pytest.mark.parametrize(("step", "code"), list(enumerate(HOTP)))
def test_codes_are_those_of_rfc_4226(step: int, code: str) -> None:
    """Each counter has its code."""
    assert compute_code(SECRET, step) == code


@pytest.mark.parametrize(("moment", "code"), TOTP, ids=[str(moment) for moment, _ in TOTP])
def test_codes_are_those_of_rfc_6238(moment: int, code: str) -> None:
    """Each moment has its code."""
    assert compute_code(SECRET, step_at(datetime.fromtimestamp(moment, tz=UTC))) == code[-6:]


@pytest.mark.parametrize(
    ("offset", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_only_codes_next_to_now_fit(offset: int, fits: bool) -> None:
    """A clock may be one step off, in either direction."""
    step = step_at(NOW) + offset
    assert find_step(SECRET, compute_code(SECRET, step), now=NOW) == (step if fits else None)


@given(st.integers(0, 2**40), st.binary(min_size=20, max_size=20))
def test_the_code_of_now_is_found(seconds: int, secret: bytes) -> None:
    """At any time: its step is found, or a later one that has the same code."""
    now = datetime.fromtimestamp(seconds % 200_000_000_000, tz=UTC)
    step = step_at(now)
    assert find_step(secret, compute_code(secret, step), now=now) in (step, step + 1)


def test_the_first_seconds_of_time_have_codes() -> None:
    """There is no step before the first one."""
    start = datetime.fromtimestamp(0, tz=UTC)
    assert find_step(SECRET, compute_code(SECRET, 0), now=start) == 0


@pytest.mark.parametrize(
    "value", ["", "12345", "1234567", "12345a", "१२३४५६", " 12345", "123456\n", "+12345", "1e1000"]
)
def test_what_is_no_code_is_told(value: str) -> None:
    """Six digits, as ASCII has them, and nothing around them."""
    assert not is_code(value)
    assert is_code("000000")


def test_a_secret_is_random_and_long() -> None:
    """160 bits (RFC 4226, section 4)."""
    assert len(generate_secret()) == 20
    assert len({generate_secret() for _ in range(100)}) == 100
    assert base64.b32decode(write_secret(SECRET)) == SECRET


def test_the_address_says_what_an_app_needs() -> None:
    """Every character of the names survives, and none of them ends a part early."""
    uri = write_uri(SECRET, issuer="Acme & Söhne / Ltd", account="a+b?c#d@example.com")
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("otpauth", "totp", "")
    assert unquote(parts.path) == "/Acme & Söhne / Ltd:a+b?c#d@example.com"
    assert "+" not in uri
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query == {
        "secret": write_secret(SECRET),
        "issuer": "Acme & Söhne / Ltd",
        "algorithm": "SHA1",
        "digits": "6",
        "period": str(PERIOD),
    }


def test_a_factor_shows_no_secret() -> None:
    """Not even the sealed one."""
    factor = TOTPFactor(factor_id="1", user_id=UserId("ana"), sealed="5eal", created_at=NOW)
    assert "5eal" not in repr(factor)
    assert factor.last_step < step_at(NOW - timedelta(days=20_000))
