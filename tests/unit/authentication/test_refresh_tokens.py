import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.refresh_tokens import COOKIE_PREFIX, PREFIX, RefreshTokens
from stockade.crypto import KeyRing
from tests.unit.authentication.helpers import NEW, OLD

SESSION = str(uuid.UUID(int=7))
TOKENS = RefreshTokens(KeyRing([NEW]))


def refusal(value: str, tokens: RefreshTokens = TOKENS) -> str:
    """Return the reason for which a token is refused."""
    with pytest.raises(InvalidTokenError) as caught:
        tokens.read(value)
    return caught.value.reason.removeprefix("authentication.")


def test_a_token_says_where_it_belongs_and_shows_no_secret() -> None:
    """It comes back as it was made, and its text holds nothing but session and place."""
    token = TOKENS.begin(SESSION)
    assert TOKENS.read(token.value) == token
    assert (token.session_id, token.place) == (SESSION, 0)
    assert repr(token) == f"RefreshToken(prefix='stkr_', session_id={SESSION!r}, place=0)"


def test_each_beginning_is_another_secret() -> None:
    """Two sessions, and two tokens of one, have nothing in common."""
    made = {TOKENS.begin(SESSION).value for _ in range(100)}
    assert len(made) == 100


def test_the_successor_is_the_same_each_time() -> None:
    """Whoever repeats a token gets the same next one, which is neither it nor its digest."""
    token = TOKENS.begin(SESSION)
    (successor,) = TOKENS.successors(token)
    assert TOKENS.successors(TOKENS.read(token.value)) == (successor,)
    assert successor.place == 1
    assert successor.body not in {token.body, bytes.fromhex(TOKENS.digests(token)[0])}
    assert TOKENS.read(successor.value) == successor


def test_nobody_else_can_go_on_with_the_chain() -> None:
    """Without the server's key a token does not lead to the next one."""
    token = TOKENS.begin(SESSION)
    other = RefreshTokens(KeyRing([OLD]))
    assert other.successors(token)[0].body != TOKENS.successors(token)[0].body
    assert refusal(token.value, other) == "refresh_unknown"


def test_keys_overlap() -> None:
    """Tokens of the older key are read, found by its digest, and lead to successors of both."""
    token = RefreshTokens(KeyRing([OLD])).begin(SESSION)
    both = RefreshTokens(KeyRing([OLD, NEW]))
    assert both.read(token.value) == token
    assert both.digests(token)[1:] == RefreshTokens(KeyRing([OLD])).digests(token)
    bodies = [each.body for each in both.successors(token)]
    assert bodies[1] == RefreshTokens(KeyRing([OLD])).successors(token)[0].body
    assert len(set(bodies)) == 2


@pytest.mark.parametrize("position", range(0, 68, 3))
def test_a_changed_token_is_not_ours(position: int) -> None:
    """No byte of session, place, secret or tag can be another one."""
    raw = bytearray(base64.urlsafe_b64decode(TOKENS.begin(SESSION).value[len(PREFIX) :] + "="))
    raw[position] ^= 1
    changed = PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert refusal(changed) == "refresh_unknown"


def test_a_token_has_one_spelling() -> None:
    """Bits that mean nothing, padding and white space are refused."""
    value = TOKENS.begin(SESSION).value
    assert {
        refusal(spelling)
        for spelling in (
            value + "=",
            value + "\n",
            " " + value,
            value.upper(),
            value[:-1],
            value[len(PREFIX) :],
            value[:-1] + chr(ord(value[-1]) + 1),
        )
    } <= {"refresh_malformed"}


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """Nothing but the declared refusal comes out."""
    assert refusal(text) == "refresh_malformed"
    assert refusal(PREFIX + text) in {"refresh_malformed", "refresh_unknown"}


def test_a_cookie_is_no_refresh_token() -> None:
    """Neither is taken for the other, under whichever prefix."""
    cookies = RefreshTokens(KeyRing([NEW]), prefix=COOKIE_PREFIX)
    cookie, token = cookies.begin(SESSION).value, TOKENS.begin(SESSION).value
    assert refusal(cookie) == refusal(token, cookies) == "refresh_malformed"
    assert refusal(PREFIX + cookie.removeprefix(COOKIE_PREFIX)) == "refresh_unknown"
    assert refusal(COOKIE_PREFIX + token.removeprefix(PREFIX), cookies) == "refresh_unknown"


def test_the_chain_has_an_end() -> None:
    """After four thousand million exchanges the account signs in again."""
    last = TOKENS._make(SESSION, 2**32 - 1, bytes(32))
    assert TOKENS.read(last.value) == last
    with pytest.raises(InvalidTokenError):
        TOKENS.successors(last)
